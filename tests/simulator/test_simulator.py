"""The provider is deterministic, counts what it would bill, and knows its faults."""

import json

import msgspec
import pytest

from pertoken.simulator import anthropic_messages, gemini_generate, openai_chat, openai_responses
from pertoken.simulator.answers import SimulatedCall
from pertoken.simulator.behaviour import FAULTS, BadBehaviour, Behaviour, read
from pertoken.simulator.ledger import ServedLedger, ServedTokens

PLAIN = Behaviour()
CHAT = {"model": "m", "messages": [{"role": "user", "content": "hi there"}]}


def asked(request: dict[str, object], body: bytes, behaviour: Behaviour = PLAIN, query: bytes = b"") -> SimulatedCall:
    """Return a call as the simulator has it."""
    return SimulatedCall(str(request.get("model")), request, body, behaviour, query)


def test_the_same_request_gets_the_same_answer() -> None:
    """Text and usage come from the request's bytes alone."""
    body = json.dumps(CHAT).encode()

    assert openai_chat.reply(asked(CHAT, body)) == openai_chat.reply(asked(CHAT, body))
    assert openai_chat.reply(asked(CHAT, body + b" ")).body != openai_chat.reply(asked(CHAT, body)).body


@pytest.mark.parametrize("cap", [1, 7, 1_000])
def test_the_cap_is_kept_but_for_the_fault(cap: int) -> None:
    """max_tokens bounds the output; exceed_max_tokens makes twice as much."""
    request = {**CHAT, "max_tokens": cap}
    body = json.dumps(request).encode()

    assert openai_chat.reply(asked(request, body, Behaviour(output_tokens=500))).used.output_tokens == min(cap, 500)
    assert openai_chat.reply(asked(request, body, Behaviour(fault="exceed_max_tokens"))).used.output_tokens == 2 * cap


def test_streamed_pieces_bring_all_output_tokens() -> None:
    """What the pieces of a stream bring sums to what the answer used, in every format."""
    request = {**CHAT, "stream": True, "input": "hi", "max_tokens": 100, "contents": [{"parts": [{"text": "hi"}]}]}
    body = json.dumps(request).encode()
    replies = [
        openai_chat.reply(asked(request, body)),
        openai_responses.reply(asked(request, body)),
        anthropic_messages.reply(asked(request, body)),
        gemini_generate.reply(asked(request, body, query=b"alt=sse")),
    ]

    for reply in replies:
        assert sum(piece.tokens for piece in reply.pieces) == reply.used.output_tokens


def test_a_gemini_stream_without_events_is_one_json_array() -> None:
    """The pieces of the array form join to JSON."""
    request = {"contents": [{"parts": [{"text": "hi"}]}]}
    reply = gemini_generate.reply(asked(request, b"{}"))

    assert len(msgspec.json.decode(b"".join(piece.data for piece in reply.pieces))) == len(reply.pieces)


@pytest.mark.parametrize(
    ("header", "stated"),
    [
        ("0.0160614", {"cost": 0.0160614}),
        ("cost_in_usd_ticks=160614000", {"cost_in_usd_ticks": 160614000}),
        ("cost.total_cost=0.5", {"cost": {"total_cost": 0.5}}),
        ('"0.5"', {"cost": "0.5"}),
    ],
)
def test_a_cost_is_stated_as_asked(header: str, stated: dict[str, object]) -> None:
    """The usage of every format that knows a cost has the field, whole and at the end of its stream."""
    request = {**CHAT, "stream": True, "stream_options": {"include_usage": True}, "input": "hi", "max_tokens": 9}
    behaviour = read({"x-sim-cost": header})
    for api in (openai_chat, openai_responses, anthropic_messages):
        reply = api.reply(asked(request, b"{}", behaviour))
        usage = msgspec.json.decode(reply.body)["usage"]

        assert {name: usage[name] for name in stated} == stated
        assert next(iter(stated)).encode() in b"".join(piece.data for piece in reply.pieces)


@pytest.mark.parametrize("header", ["much", "cost=", "=", "cost={}", "true", "cost=[1]"])
def test_a_cost_that_is_none_is_refused(header: str) -> None:
    """What is no amount is said."""
    with pytest.raises(BadBehaviour, match="x-sim-cost must be an amount"):
        read({"x-sim-cost": header})


def test_behaviour_headers() -> None:
    """Headers choose the behaviour; unknown faults and numbers that are none are refused."""
    asked = read({"x-sim-fault": "http_500*2", "x-sim-output-tokens": "5", "x-sim-latency-ms": "20"})

    assert (asked.fault, asked.fault_times, asked.output_tokens, asked.latency_ms) == ("http_500", 2, 5, 20)
    assert {read({"x-sim-fault": fault}).fault for fault in FAULTS} == set(FAULTS)
    for bad in ({"x-sim-fault": "catches_fire"}, {"x-sim-output-tokens": "many"}, {"x-sim-latency-ms": "-1"}):
        with pytest.raises(BadBehaviour):
            read(bad)


def test_the_invoice_sums_by_key_and_model() -> None:
    """Each key and model has its own row; the calls sum up."""
    ledger = ServedLedger()
    ledger.serve("k1", "m", ServedTokens(10, 0, 0, 5))
    ledger.serve("k1", "m", ServedTokens(1, 0, 0, 1), aborted=True)
    ledger.serve("k2", "m", ServedTokens(2))
    invoice = ledger.invoice()

    assert invoice["calls"] == 3
    assert [(row["api_key"], row["calls"], row["aborted"], row["input_tokens"]) for row in invoice["by"]] == [
        ("k1", 2, 1, 11),
        ("k2", 1, 0, 2),
    ]


@pytest.mark.parametrize(
    ("model", "text", "tokens"),
    [
        ("gpt-4o", "hello world", 2 + 1 + 3 + 3),  # the text, the role, around the message, before the answer
        ("gpt-4o", "=" * 64, 1 + 1 + 3 + 3),
        ("gpt-3.5-turbo", "hello world", 9),
        ("claude-haiku-4-5", "hello world", 2 + 1 + 3 + 3),  # 80 % of the most that is known of its tokenizer
    ],
)
def test_input_is_counted_as_the_tokenizer_does(model: str, text: str, tokens: int) -> None:
    """The input is what the model's tokenizer makes of the texts, and the frame that OpenAI published."""
    request = {"model": model, "messages": [{"role": "user", "content": text}]}

    assert openai_chat.reply(asked(request, json.dumps(request).encode())).used.input_tokens == tokens


def test_the_provider_may_count_more() -> None:
    """It counts so many percent of that, or of the texts' bytes, where the headers ask for it."""
    more = read({"x-sim-count-percent": "250"})
    quarter = read({"x-sim-byte-percent": "25"})
    request = {"model": "gpt-4o", "messages": [{"role": "user", "content": " " * 996}]}
    body = json.dumps(request).encode()
    plain = openai_chat.reply(asked(request, body)).used.input_tokens

    assert openai_chat.reply(asked(request, body, more)).used.input_tokens == -(-plain * 250 // 100)
    assert openai_chat.reply(asked(request, body, quarter)).used.input_tokens == (996 + 4) // 4 + 6
    with pytest.raises(BadBehaviour):
        read({"x-sim-count-percent": "more"})


def test_pictures_are_not_counted_by_their_letters() -> None:
    """A picture is a fixed number of tokens, however long its data is."""
    url = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 50_000}}
    source = {"type": "image", "source": {"type": "base64", "data": "A" * 50_000}}
    for part in (url, source):
        request = {"model": "gpt-4o", "messages": [{"role": "user", "content": [part]}]}
        body = json.dumps(request).encode()

        assert 85 < openai_chat.reply(asked(request, body)).used.input_tokens < 100
