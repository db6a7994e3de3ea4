"""What the gateway charges and records where a provider's usage contradicts itself, in each format."""

import json
from typing import Any

import pytest
from tests.services.stand_in import all_priced, events, price, settled, streamed, whole

from pertoken.core.events import EventStatus
from pertoken.core.price_book import PriceBook
from pertoken.core.usage import Completeness
from pertoken.services.extract import CannotExtract, extract_usage

OUTPUT = {"input_tokens": 10, "output_tokens": 90}
DECIDED: list[tuple[str, str, dict[str, Any], dict[str, int]]] = [
    (
        "gemini's chat endpoint leaves thoughts only in the total",
        "openai.chat",
        {"prompt_tokens": 10, "completion_tokens": 6, "total_tokens": 100},
        OUTPUT,
    ),
    ("a side left out", "openai.chat", {"prompt_tokens": 10, "total_tokens": 100}, OUTPUT),
    ("the input left out", "openai.chat", {"completion_tokens": 90, "total_tokens": 100}, OUTPUT),
    (
        "more reasoning than output",
        "openai.chat",
        {
            "prompt_tokens": 10,
            "completion_tokens": 90,
            "total_tokens": 100,
            "completion_tokens_details": {"reasoning_tokens": 95},
        },
        OUTPUT,
    ),
    (
        "reasoning beside, and a total that leaves more",
        "openai.chat",
        {
            "prompt_tokens": 10,
            "completion_tokens": 20,
            "total_tokens": 100,
            "completion_tokens_details": {"reasoning_tokens": 30},
        },
        {**OUTPUT, "reasoning_tokens": 30},
    ),
    (
        "more thinking than output",
        "anthropic.messages",
        {"input_tokens": 10, "output_tokens": 90, "output_tokens_details": {"thinking_tokens": 93}},
        OUTPUT,
    ),
    (
        "more reasoning than output, responses",
        "openai.responses",
        {"input_tokens": 10, "output_tokens": 90, "output_tokens_details": {"reasoning_tokens": 93}},
        OUTPUT,
    ),
    ("the rest of gemini's total", "gemini.generate", {"promptTokenCount": 10, "totalTokenCount": 100}, OUTPUT),
    (
        "vectors are no tokens",
        "openai.embeddings",
        {"prompt_tokens": 10, "total_tokens": 100},
        {"input_tokens": 100, "output_tokens": 0},
    ),
]


@pytest.mark.parametrize(("api", "usage", "found"), [one[1:] for one in DECIDED], ids=[one[0] for one in DECIDED])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_the_total_decides_and_what_has_no_price_is_dropped(
    api: str, usage: dict[str, Any], found: dict[str, int], stream: bool
) -> None:
    """Where the provider's own total decides, the call is priced like any other, and says what did not add up."""
    if api == "openai.embeddings" and stream:
        pytest.skip("embeddings do not stream")
    answer = (streamed if stream else whole)(api, usage)
    event = settled(api, "openai", answer, stream=stream)
    body, sse = (None, answer.decode()) if stream else (answer, None)

    assert (event.status, event.completeness) == (EventStatus.PRICED, Completeness.FINAL)
    assert {unit: event.quantities[unit] for unit in found} == found
    assert json.loads(event.raw) == usage
    assert extract_usage(api, "openai", body, sse).get("note") == event.reason
    tells_both = len({"prompt_tokens", "completion_tokens"} & usage.keys()) != 1 or api != "openai.chat"
    assert (event.reason is not None) == tells_both


@pytest.mark.parametrize(("reasoning", "output"), [(2, 4), (1, 4), (3, 4)])
def test_reasoning_that_has_a_price_is_not_dropped_for_less(reasoning: int, output: int) -> None:
    """Where reasoning costs more than output, as much of it as fits is charged; where less, none."""
    prices = {"input_tokens": 1, "output_tokens": 2, "reasoning_tokens": reasoning}
    book = PriceBook([price(unit, amount, provider="openai") for unit, amount in prices.items()])
    usage = {
        "prompt_tokens": 0,
        "completion_tokens": output,
        "total_tokens": output,
        "completion_tokens_details": {"reasoning_tokens": 9},
    }

    assert settled("openai.chat", "openai", whole("openai.chat", usage), book=book).cost_picos == output * max(
        reasoning, 2
    )


DELTAS = [
    ("zeros", {"input_tokens": 100, "cache_read_input_tokens": 50}, {"input_tokens": 0}, 150, None),
    (
        "zeros for all input",
        {"input_tokens": 100, "cache_read_input_tokens": 50},
        {"input_tokens": 0, "cache_read_input_tokens": 0, "cache_creation_input_tokens": 0},
        150,
        None,
    ),
    ("more", {"input_tokens": 0}, {"input_tokens": 100}, 100, None),
    ("all of it cached", {"input_tokens": 100}, {"input_tokens": 0, "cache_read_input_tokens": 100}, 100, None),
    ("less", {"input_tokens": 100}, {"input_tokens": 40}, 100, "usage fell: the input"),
]


@pytest.mark.parametrize(("start", "delta", "tokens", "why"), [one[1:] for one in DELTAS], ids=[o[0] for o in DELTAS])
def test_a_delta_does_not_take_input_back(
    start: dict[str, int], delta: dict[str, int], tokens: int, why: str | None
) -> None:
    """A later message that tells less input than the start is not believed: a zero is none, less is a contradiction."""
    said = [
        {"type": "message_start", "message": {"model": "m-1", "usage": {**start, "output_tokens": 1}}},
        {"type": "message_delta", "usage": {**delta, "output_tokens": 9}},
        {"type": "message_stop"},
    ]
    event = settled("anthropic.messages", "anthropic", events(said), stream=True)

    assert (event.quantities["input_tokens"], event.quantities["output_tokens"]) == (tokens, 9)
    assert event.reason == why
    assert event.status is (EventStatus.CONTRADICTORY if why else EventStatus.PRICED)


ALONE: list[tuple[str, dict[str, int]]] = [
    ("openai.chat", {"total_tokens": 100}),
    ("openai.responses", {"total_tokens": 100}),
    ("gemini.generate", {"totalTokenCount": 100}),
]


@pytest.mark.parametrize(("api", "usage"), ALONE)
@pytest.mark.parametrize(("dear", "cheap"), [("output", "input"), ("input", "output")])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_a_total_alone_is_charged_at_the_dearer_side(
    api: str, usage: dict[str, int], dear: str, cheap: str, stream: bool
) -> None:
    """Where usage tells nothing but its total, all of it is charged as the side that costs more, and marked."""
    book = PriceBook([price(f"{dear}_tokens", 20, provider="p"), price(f"{cheap}_tokens", 5, provider="p")])
    event = settled(api, "p", (streamed if stream else whole)(api, usage), stream=stream, book=book)

    assert (event.cost_picos, event.status) == (2_000, EventStatus.CONTRADICTORY)
    assert event.quantities == {f"{dear}_tokens": 100, f"{cheap}_tokens": 0}


PLAIN = {"prompt_tokens": 10, "completion_tokens": 5}
MORE = {"prompt_tokens": 30, "completion_tokens": 5}
TORN = [
    ("usage twice", b'{"usage":%s,"usage":%s}', False),
    ("usage twice, the other order", b'{"usage":%.0s%s,"usage":{"prompt_tokens":10,"completion_tokens":5}}', False),
    ("groq says two things", b'{"usage":%s,"x_groq":{"usage":%s}}', False),
    (
        "usage that falls",
        b'data: {"usage":%.0s%s}\n\ndata: {"usage":{"prompt_tokens":10,"completion_tokens":5}}\n\n',
        True,
    ),
    ("no json", b'{"x":NaN,"usage":%.0s%s}', False),
    ("a key twice", b'{"usage":{"prompt_tokens":30,"completion_tokens":5,"prompt_tokens":10}}%.0s%.0s', False),
]


@pytest.mark.parametrize(("answer", "stream"), [one[1:] for one in TORN], ids=[one[0] for one in TORN])
def test_of_two_usages_the_dearer_is_charged(answer: bytes, stream: bool) -> None:
    """An answer that says two things is charged for the dearer one, marked, and `extract` refuses to guess."""
    told = answer % (json.dumps(PLAIN).encode(), json.dumps(MORE).encode())
    event = settled("openai.chat", "openai", told + (b"data: [DONE]\n\n" if stream else b""), stream=stream)

    assert (event.quantities, event.status) == ({"input_tokens": 30, "output_tokens": 5}, EventStatus.CONTRADICTORY)
    assert event.reason
    assert event.raw
    with pytest.raises(CannotExtract):
        extract_usage("openai.chat", "openai", None if stream else told, told.decode() if stream else None)


def test_where_nothing_can_be_used_it_is_counted() -> None:
    """Usage of which no number can be used is counted, within the bound, as if there were none."""
    usage = {"prompt_tokens": -1, "completion_tokens": [5]}
    event = settled("openai.chat", "openai", whole("openai.chat", usage))

    assert event.completeness is Completeness.ESTIMATED
    assert event.quantities["output_tokens"] >= 1
    assert event.quantities["input_tokens"] >= 1
    assert "is not a count" in str(event.reason)


def test_what_is_told_of_a_side_is_not_less_than_its_parts() -> None:
    """Where only the cached part of the input is told, and less is counted, the input is that part."""
    usage = {"prompt_tokens_details": {"cached_tokens": 5_000}, "completion_tokens": 5}
    event = settled("openai.chat", "openai", whole("openai.chat", usage))

    assert event.quantities["input_tokens"] >= event.quantities["cache_read_tokens"] == 5_000


ITERATIONS = [{"model": "m-1", "input_tokens": 5, "output_tokens": 5}, {"model": "m-2", "input_tokens": 5}]


@pytest.mark.parametrize(("own", "other", "cost"), [(9, 1, 9 * 40), (1, 9, 5 + 5 + 5 * 9)])
def test_iterations_that_are_fewer_than_all(own: int, other: int, cost: int) -> None:
    """Where the whole has more than its iterations, the dearer of both is charged, each part at its model's prices."""
    rows = [
        price(unit, amount, provider="anthropic", model=model, price_id=f"{model}-{unit}")
        for model, amount in (("m-1", own), ("m-2", other))
        for unit in ("input_tokens", "output_tokens")
    ]
    usage = {"input_tokens": 30, "output_tokens": 10, "iterations": ITERATIONS}
    event = settled("anthropic.messages", "anthropic", whole("anthropic.messages", usage), book=PriceBook(rows))

    assert (event.cost_picos, event.status) == (cost, EventStatus.CONTRADICTORY)


def test_tools_that_contradict_leave_the_tokens() -> None:
    """A count of searches that is none is counted from the output items, and the tokens are charged."""
    fields = {"tool_usage": {"web_search": {"num_requests": -1}}, "output": [{"type": "web_search_call"}]}
    usage = {"input_tokens": 10, "output_tokens": 90}
    event = settled("openai.responses", "openai", whole("openai.responses", usage, **fields))

    assert event.quantities == {**OUTPUT, "web_searches": 1}
    assert event.status is EventStatus.CONTRADICTORY


COUNTS = {
    "inputTokens": 100,
    "outputTokens": 50,
    "cacheReadInputTokens": 70,
    "cacheWriteInputTokens": 30,
    "totalTokens": 250,
}


@pytest.mark.parametrize("both", [False, True])
def test_converse_spells_its_counts_in_two_ways(both: bool) -> None:
    """`inputTokenCount` is `inputTokens`, alone and beside it."""
    other = {name.replace("Tokens", "TokenCount"): number for name, number in COUNTS.items()}
    usage = {**COUNTS, **other} if both else other
    found = extract_usage("bedrock.converse", "aws", json.dumps({"usage": usage}).encode(), None)

    assert found["usage"] == {
        "input_tokens": 200,
        "output_tokens": 50,
        "cache_read_tokens": 70,
        "cache_write_tokens": 30,
    }


def test_the_book_of_these_tests_prices_everything() -> None:
    """No test here passes because something was left unpriced."""
    event = settled("openai.chat", "openai", whole("openai.chat", PLAIN), book=all_priced("openai"))

    assert event.status is EventStatus.PRICED
