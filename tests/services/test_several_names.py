"""An answer that names several models as the one that served: the dearest of them is charged."""

import json
from typing import Any

import pytest
from tests.factories import own, price_row
from tests.services.stand_in import events, settled

from pertoken.core.events import Event, EventStatus
from pertoken.core.facts import RequestFacts
from pertoken.core.price_book import PriceBook
from pertoken.services.extract import extract_usage
from pertoken.wire import formats

MICRO = 10**6
PRICES = {"cheap": 1, "cheap-2026-01-01": 1, "middle": 5, "dear": 100}
CHAT = {"prompt_tokens": 20, "completion_tokens": 50, "total_tokens": 70}
TOKENS = {"input_tokens": 20, "output_tokens": 50}
GEMINI = {"promptTokenCount": 20, "candidatesTokenCount": 50, "totalTokenCount": 70}
PROVIDERS = {"openai.chat": "openai", "openai.responses": "openai", "anthropic.messages": "anthropic"}


def call(api: str, answer: bytes, **fields: Any) -> Event:
    """Return the event of a call to the cheap model."""
    provider = PROVIDERS.get(api, "google")
    rows = [
        price_row(unit, micros * MICRO, provider=provider, model=model)
        for model, micros in PRICES.items()
        for unit in TOKENS
    ]
    model = "m-1" if provider == "google" else "cheap"
    rows += [price_row(unit, MICRO, provider=provider, model="m-1") for unit in TOKENS]
    return settled(api, provider, answer, book=PriceBook(rows), model=model, **fields)


def stream(api: str, *models: str) -> bytes:
    """Return a streamed answer that names each of `models` in turn; of chat the last with the usage."""
    *first, last = models
    if api == "openai.chat":
        said: list[Any] = [{"model": one, "choices": [{"delta": {"content": "hi"}}], "usage": CHAT} for one in first]
        return events([*said, {"model": last, "choices": [], "usage": CHAT}]) + b"data: [DONE]\n\n"
    if api == "openai.responses":
        said = [{"type": "response.in_progress", "response": {"model": one}} for one in first]
        return events([*said, {"type": "response.completed", "response": {"model": last, "usage": TOKENS}}])
    if api == "anthropic.messages":
        said = [{"type": "message_start", "message": {"model": one, "usage": TOKENS}} for one in models]
        return events([*said, {"type": "message_delta", "usage": TOKENS}, {"type": "message_stop"}])
    return events(gemini_pieces(*models))


def gemini_pieces(*models: str) -> list[Any]:
    """Return the pieces of a streamed answer of Gemini."""
    said: list[Any] = [{"modelVersion": one, "candidates": [{}], "usageMetadata": GEMINI} for one in models]
    said[-1]["candidates"] = [{"finishReason": "STOP"}]
    return said


APIS = [*PROVIDERS, "gemini.generate"]
NAMED = [("dear", "cheap"), ("cheap", "dear"), ("cheap", "dear", "middle")]


@pytest.mark.parametrize("named", NAMED, ids="-".join)
@pytest.mark.parametrize("api", APIS)
def test_a_stream_that_changes_its_model_costs_the_dearest(api: str, named: tuple[str, ...]) -> None:
    """All usage is charged at the dearest of the models named, first or last, and the event is marked."""
    event = call(api, stream(api, *named), stream=True)

    assert (event.status, event.cost_picos) == (EventStatus.CONTRADICTORY, 7000 * MICRO)
    assert event.model_served == "dear"
    assert all(name in str(event.reason) for name in named)


@pytest.mark.parametrize("named", NAMED, ids="-".join)
def test_an_array_of_pieces_too(named: tuple[str, ...]) -> None:
    """Gemini's stream without events is read the same way."""
    event = call("gemini.generate", json.dumps(gemini_pieces(*named)).encode(), stream=True)

    assert (event.status, event.cost_picos) == (EventStatus.CONTRADICTORY, 7000 * MICRO)


def hidden(api: str, first: str, middle: str, last: str, *, padding: int = 0) -> bytes:
    """Return a stream that names `middle` in an event without usage, between `padding` bytes of others each side."""
    filler = "x" * 1000
    if api == "openai.chat":
        said = [{"model": one, "choices": [{"delta": {"content": filler}}]} for one in (first, middle, last)]
        end: list[Any] = [{"model": last, "choices": [], "usage": CHAT}]
    elif api == "openai.responses":
        said = [
            {"type": "response.created", "response": {"model": first}},
            {"type": "response.queued", "response": {"model": middle}},
            {"type": "response.output_text.delta", "delta": filler},
        ]
        end = [{"type": "response.completed", "response": {"model": last, "usage": TOKENS}}]
    else:
        piece = {"candidates": [{"content": {"parts": [{"text": filler}]}}]}
        said = [
            {**piece, "modelVersion": first, "usageMetadata": GEMINI},
            {**piece, "modelVersion": middle},
            {**piece, "modelVersion": last},
        ]
        end = gemini_pieces(last)
    more = [said[-1]] * (padding // 1000)
    return events([said[0], *more, *said[1:], *more, *end]) + (b"data: [DONE]\n\n" if api == "openai.chat" else b"")


@pytest.mark.parametrize("padding", [0, 300_000], ids=["short", "long"])
@pytest.mark.parametrize("api", ["openai.chat", "openai.responses", "gemini.generate"])
def test_a_model_named_in_the_middle_counts(api: str, padding: int) -> None:
    """A model that only an event in the middle names, without usage, is one of those named, however long the stream."""
    event = call(api, hidden(api, "cheap", "dear", "cheap", padding=padding), stream=True, max_tokens=10**6)

    assert (event.status, event.cost_picos) == (EventStatus.CONTRADICTORY, 7000 * MICRO)
    assert event.model_served == "dear"


@pytest.mark.parametrize("spelling", ["modelVersion", "model_version"])
def test_a_model_named_before_the_tail_of_an_array_counts(spelling: str) -> None:
    """In Gemini's stream without events, a model that is named far from its end is one of those named."""
    piece = {"candidates": [{"content": {"parts": [{"text": "x" * 1000}]}}]}
    said = [{spelling: "dear", **piece}, *[{"modelVersion": "cheap", **piece}] * 200, *gemini_pieces("cheap")]
    event = call("gemini.generate", json.dumps(said).encode(), stream=True)

    assert (event.status, event.cost_picos) == (EventStatus.CONTRADICTORY, 7000 * MICRO)


@pytest.mark.parametrize("api", ["openai.chat", "openai.responses", "gemini.generate"])
def test_a_text_names_no_model(api: str) -> None:
    """What an event in the middle says, or names inside another object, is not the model that served."""
    stream_of = hidden(api, "cheap", "cheap", "cheap")
    other = {"type": "x", "item": {"model": "dear", "modelVersion": "dear"}, "choices": [{"model": "dear"}]}
    other |= {"delta": '{"model":"dear","modelVersion":"dear"}', "candidates": [{"modelVersion": "dear"}]}
    first, rest = stream_of.split(b"\n\n", 1)
    event = call(api, b"%s\n\n%s%s" % (first, events([other]), rest), stream=True)

    assert (event.status, event.cost_picos) == (EventStatus.PRICED, 70 * MICRO)


def test_a_model_that_only_the_middle_names_served() -> None:
    """Where the first event names none, as Azure's filter does, and the end is missing, the middle says who served."""
    filtered = {"model": "", "choices": [], "prompt_filter_results": [{"prompt_index": 0}]}
    said = {"model": "dear", "choices": [{"delta": {"content": "hi"}}]}
    event = call("openai.chat", events([filtered, said, said]), stream=True)

    assert event.model_served == "dear"
    assert event.cost_picos >= 100 * MICRO


WHOLE = [
    ("openai.chat", "model", b'"choices":[{"message":{"content":"hi"}}],"usage":' + json.dumps(CHAT).encode()),
    ("openai.responses", "model", b'"usage":' + json.dumps(TOKENS).encode()),
    ("anthropic.messages", "model", b'"usage":' + json.dumps(TOKENS).encode()),
    ("gemini.generate", "modelVersion", b'"candidates":[{}],"usageMetadata":' + json.dumps(GEMINI).encode()),
]


@pytest.mark.parametrize(("api", "key", "rest"), WHOLE, ids=[api for api, *_ in WHOLE])
@pytest.mark.parametrize("named", [("dear", "cheap"), ("cheap", "dear")], ids="-".join)
def test_an_answer_with_two_names_costs_the_dearest(api: str, key: str, rest: bytes, named: tuple[str, str]) -> None:
    """A whole answer whose object has the key twice is charged at the dearest as well."""
    first, second = (b'"%s":"%s"' % (key.encode(), name.encode()) for name in named)
    event = call(api, b"{%s,%s,%s}" % (first, rest, second))

    assert (event.status, event.cost_picos) == (EventStatus.CONTRADICTORY, 7000 * MICRO)


@pytest.mark.parametrize("api", APIS)
def test_names_that_cost_the_same_are_no_doubt(api: str) -> None:
    """A stream that names a model, and then its snapshot at the same price, is as sure as any."""
    event = call(api, stream(api, "cheap", "cheap-2026-01-01"), stream=True)

    assert (event.status, event.cost_picos) == (EventStatus.PRICED, 70 * MICRO)


def test_models_named_elsewhere_are_others() -> None:
    """What tools and texts of an answer name did not serve it."""
    answer = {
        "model": "cheap",
        "tools": [{"type": "image_generation", "model": "dear"}],
        "output": [{"type": "message", "content": [{"type": "output_text", "text": '{"model":"dear","model":"x"}'}]}],
        "usage": TOKENS,
    }
    event = call("openai.responses", json.dumps(answer).encode())

    assert (event.status, event.cost_picos) == (EventStatus.PRICED, 70 * MICRO)


def test_an_unknown_name_among_them_is_never_cheaper() -> None:
    """Where one of the names has no price, what it may cost counts as well, and the event is unpriced."""
    event = call("openai.chat", stream("openai.chat", "cheap", "totally-other"), stream=True)

    assert event.status is EventStatus.UNPRICED
    assert event.cost_picos == max(7000 * MICRO, own(event).held_picos)
    assert event.model_served == "totally-other"


@pytest.mark.parametrize("api", APIS)
def test_extract_says_which_models_are_named(api: str) -> None:
    """`extract` names them all in a note; an answer with one name has none."""
    found = extract_usage(api, None, None, stream(api, "dear", "cheap").decode())

    assert (found["model"], found["note"]) == ("cheap", "the answer names dear and cheap")
    assert "note" not in extract_usage(api, None, None, stream(api, "cheap", "cheap").decode())


@pytest.mark.parametrize(("api", "key", "rest"), WHOLE, ids=[api for api, *_ in WHOLE])
def test_extract_says_which_models_a_whole_answer_names(api: str, key: str, rest: bytes) -> None:
    """So it is where a whole answer has the key twice."""
    body = b'{"%s":"dear",%s,"%s":"cheap"}' % (key.encode(), rest, key.encode())

    assert extract_usage(api, None, body, None)["note"].startswith("the answer names dear and cheap")


def test_a_cut_stream_keeps_its_names() -> None:
    """What was counted for want of usage is charged at the dearest of the names as well."""
    said = [{"model": one, "choices": [{"delta": {"content": "hi"}}]} for one in ("dear", "cheap")]
    event = call("openai.chat", events(said), stream=True)

    assert event.cost_picos >= 100 * MICRO
    assert event.model_served == "dear"


@pytest.mark.parametrize("api", APIS)
def test_names_are_kept_event_by_event(api: str) -> None:
    """However a stream is cut, the first name and the one beside the usage are both known."""
    served = formats.SERVED[api]
    reader = served.stream_reader(RequestFacts(model="cheap", stream=True), served.USAGE)
    for event in stream(api, "dear", "cheap").split(b"\n\n"):
        reader.feed(event + b"\n\n" if event else b"")

    assert reader.reading().models == ("dear", "cheap")


@pytest.mark.parametrize("padding", [0, 300_000], ids=["short", "long"])
@pytest.mark.parametrize("api", ["openai.chat", "openai.responses", "gemini.generate"])
def test_names_in_the_middle_are_kept_event_by_event(api: str, padding: int) -> None:
    """However a stream is cut, a name in its middle is known, also after its text was asked for."""
    served = formats.SERVED[api]
    reader = served.stream_reader(RequestFacts(model="cheap", stream=True), served.USAGE)
    for event in hidden(api, "cheap", "dear", "cheap", padding=padding).split(b"\n\n"):
        reader.feed(event + b"\n\n" if event else b"")
    reader.text()

    assert set(reader.reading().models) == {"cheap", "dear"}
