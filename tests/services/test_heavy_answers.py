"""A heavy answer, and what must be counted, are read apart; where nobody can, the most that was held for is charged."""

import asyncio
import json
from typing import Any

import pytest
from tests.factories import own
from tests.services import stand_in
from tests.services.stand_in import Elsewhere, price, settled, streamed, whole

from pertoken.core.events import Event
from pertoken.core.price_book import PriceBook
from pertoken.core.usage import Completeness
from pertoken.services.call.answered import is_heavy_answer
from pertoken.services.call.heavy import BYTES_MAX, VALUES_MAX
from pertoken.wire import content, formats
from pertoken.wire.stream import APART_BYTES

MANY: dict[str, Any] = {"x": [{"a": 1}] * (VALUES_MAX + 1)}
USAGE = {
    "openai.chat": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10},
    "openai.responses": {"input_tokens": 7, "output_tokens": 3, "total_tokens": 10},
    "openai.embeddings": {"prompt_tokens": 7, "total_tokens": 7},
    "anthropic.messages": {"input_tokens": 7, "output_tokens": 3},
    "gemini.generate": {"promptTokenCount": 7, "candidatesTokenCount": 3, "totalTokenCount": 10},
}


def event_of(api: str, answer: bytes, monkeypatch: pytest.MonkeyPatch, elsewhere: Elsewhere, **more: Any) -> Event:
    """Return the event of a call whose answer is read by `elsewhere`."""
    monkeypatch.setattr(stand_in, "READERS", elsewhere)
    return settled(api, stand_in.PATHS[api][0].replace("gemini", "google"), answer, **more)


def only_elsewhere(api: str, elsewhere: Elsewhere, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail where an answer is read in any other place."""
    wire = formats.SERVED[api]
    of_answer = wire.read_answer

    def read_answer(*args: Any) -> Any:
        assert elsewhere.reads, "a heavy answer was read on the event loop"
        return of_answer(*args)

    monkeypatch.setattr(wire, "read_answer", read_answer)


@pytest.mark.parametrize("api", USAGE)
@pytest.mark.parametrize("tells", [True, False], ids=["usage", "no usage"])
def test_a_heavy_answer(api: str, tells: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is charged as a light one that says the same, and never read in this process."""
    usage = USAGE[api] if tells else None
    light = event_of(api, whole(api, usage), monkeypatch, Elsewhere())
    elsewhere = Elsewhere()
    only_elsewhere(api, elsewhere, monkeypatch)
    heavy = event_of(api, whole(api, usage, **MANY), monkeypatch, elsewhere)
    assert heavy.quantities == light.quantities
    assert (heavy.cost_picos, heavy.completeness) == (light.cost_picos, light.completeness)
    assert elsewhere.works[0] == "answer_of"


def test_a_stream_that_is_one_heavy_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A whole answer that comes where a stream was asked for is read apart as well."""
    elsewhere = Elsewhere()
    only_elsewhere("openai.chat", elsewhere, monkeypatch)
    answer = whole("openai.chat", USAGE["openai.chat"], **MANY)
    event = event_of("openai.chat", answer, monkeypatch, elsewhere, stream=True)
    assert dict(event.quantities)["output_tokens"] == 3
    assert elsewhere.works == ["answer_of"]


@pytest.mark.parametrize(
    ("body", "heavy"),
    [
        (b"x" * BYTES_MAX, False),
        (b"x" * (BYTES_MAX + 1), True),
        (b'"a":1,' * VALUES_MAX, False),
        (b'"a":1,' * (VALUES_MAX + 1), True),
        (b"0.25," * 10 * VALUES_MAX, False),
    ],
    ids=["bytes", "too many bytes", "fields", "too many fields", "the numbers of vectors"],
)
def test_which_answers_are_heavy(body: bytes, heavy: bool) -> None:
    """Those of many bytes or many fields are; numbers alone are skipped quickly."""
    assert is_heavy_answer(body) is heavy


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_an_answer_that_nobody_can_read(stream: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is charged as all the output that was allowed, marked as estimated, with the reason, whatever it told."""
    api = "openai.chat"
    told = USAGE[api]
    answer = streamed(api, told, **MANY) if stream else whole(api, told, **MANY)
    if stream:
        assert len(answer) < APART_BYTES
        answer = answer.replace(b'"x": [', b'"y": "%b", "x": [' % (b"z" * APART_BYTES))
    book = PriceBook([price(unit, provider="openai") for unit in ("input_tokens", "output_tokens")])
    elsewhere = Elsewhere(fails_at="look_at" if stream else "answer_of")
    event = event_of(api, answer, monkeypatch, elsewhere, stream=stream, book=book)
    assert dict(event.quantities)["output_tokens"] == 100
    assert event.completeness is Completeness.ESTIMATED
    assert "could not be read" in (event.reason or "")


def test_pictures_that_nobody_can_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where pictures were asked for, all the output is charged as the dearer of text and pictures."""
    asked = {"generationConfig": {"responseModalities": ["TEXT", "IMAGE"], "maxOutputTokens": 100}}
    answer = whole("gemini.generate", USAGE["gemini.generate"], **MANY)
    prices = {"input_tokens": 1, "output_tokens": 10, "output_image_tokens": 100}
    book = PriceBook([price(unit, amount, provider="google") for unit, amount in prices.items()])
    elsewhere = Elsewhere(fails_at="answer_of")
    event = event_of("gemini.generate", answer, monkeypatch, elsewhere, book=book, **asked)
    assert dict(event.quantities)["output_image_tokens"] == dict(event.quantities)["output_tokens"] > 3


EACH = {
    "input_tokens": 3, "cache_read_tokens": 1, "cache_write_tokens": 4, "cache_write_1h_tokens": 6,
    "output_tokens": 15, "reasoning_tokens": 20,
}  # fmt: skip
TEXT_ALONE = {unit: EACH[unit] for unit in ("input_tokens", "output_tokens")}
AN_HOUR = [{"type": "text", "text": "x" * 4_000, "cache_control": {"type": "ephemeral", "ttl": "1h"}}]
SEARCH = {"type": "web_search_20250305", "name": "web_search", "max_uses": 5}
PICTURE = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(
    ("api", "asked"),
    [
        ("openai.chat", {}),
        ("openai.chat", {"n": 3}),
        ("openai.chat", {"messages": [{"role": "user", "content": [PICTURE]}]}),
        ("openai.responses", {"tools": [{"type": "web_search"}], "max_tool_calls": 3}),
        ("anthropic.messages", {}),
        ("anthropic.messages", {"system": AN_HOUR}),
        ("anthropic.messages", {"tools": [SEARCH]}),
        ("gemini.generate", {}),
    ],
)
@pytest.mark.parametrize("prices", [EACH, TEXT_ALONE], ids=["each unit priced", "text alone"])
def test_it_costs_what_was_held(
    api: str, asked: dict[str, Any], prices: dict[str, int], stream: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer that nobody can read costs exactly what was held for it: what it can cost at most."""
    answer = whole(api, USAGE[api], **MANY)
    if stream:
        answer = streamed(api, USAGE[api]).replace(b"m-1", b"m-1%b" % (b" " * APART_BYTES), 1)
    prices = {"web_searches": 10_000, "input_image_tokens": 7, **prices}
    provider = stand_in.PATHS[api][0].replace("gemini", "google")
    book = PriceBook([price(unit, amount, provider=provider) for unit, amount in prices.items()])
    elsewhere = Elsewhere(fails_at="look_at" if stream else "answer_of")
    event = event_of(api, answer, monkeypatch, elsewhere, stream=stream, book=book, **asked)
    assert event.cost_picos == own(event).held_picos > 0
    assert event.completeness is Completeness.ESTIMATED
    assert own(event).overrun_picos == 0


def test_large_events_of_a_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    """Events of many bytes are read apart, and what is charged is what small ones with the same usage come to."""
    api = "openai.responses"
    large = streamed(api, USAGE[api], tools=["a" * 1000] * 100)
    elsewhere = Elsewhere()
    parse = content.parse

    def parse_elsewhere(data: bytes) -> Any:
        assert elsewhere.reads or len(data) < APART_BYTES, "a large event was parsed on the event loop"
        return parse(data)

    small = event_of(api, streamed(api, USAGE[api]), monkeypatch, Elsewhere(), stream=True)
    monkeypatch.setattr(content, "parse", parse_elsewhere)
    event = event_of(api, large, monkeypatch, elsewhere, stream=True)
    assert (event.quantities, event.cost_picos) == (small.quantities, small.cost_picos)
    assert elsewhere.works == ["look_at"]


def test_counts_are_numbers() -> None:
    """What comes back from counting a request has none of its texts."""
    body = json.dumps({"model": "m", "input": ["a text"] * 10}).encode()
    args = ("openai.embeddings", stand_in.FAMILY)
    counts = asyncio.run(Elsewhere().read("", "counts_of", body, args))
    assert counts.text_bytes == 60
    assert all(isinstance(one, int) for one in counts)
