"""Events that another process reads give the same result as here: bytes, usage, text and end."""

import pickle
from typing import Any

import pytest
from tests.services.stand_in import events, streamed

from pertoken.core.facts import RequestFacts
from pertoken.wire import content, formats, stream
from pertoken.wire.format import StreamReader

USAGE = {
    "openai.chat": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10},
    "openai.responses": {"input_tokens": 7, "output_tokens": 3, "total_tokens": 10},
    "anthropic.messages": {"input_tokens": 7, "output_tokens": 3},
    "gemini.generate": {"promptTokenCount": 7, "candidatesTokenCount": 3, "totalTokenCount": 10},
}


def read(
    reader: StreamReader, data: bytes, step: int, *, fails: bool = False, closes: bool = False
) -> tuple[bytes, int]:
    """Feed a stream in steps; return the bytes that may go on, and how often events were read in another process."""
    passed, apart = b"", 0
    for at in range(0, len(data) + step, step):
        if at < len(data):
            passed += reader.feed(data[at : at + step])
            assert reader.feed(b"") == b""
        elif closes:
            reader.close()
        while (unread := reader.unread) is not None:
            apart += 1
            looked = None if fails else sent(stream.look_at(unread.events, *sent(unread.args)))
            passed += reader.take(looked)
    return passed, apart


def sent(value: Any) -> Any:
    """Return a value as another process receives it."""
    return pickle.loads(pickle.dumps(value))  # noqa: S301 - our own


@pytest.mark.parametrize("api", USAGE)
@pytest.mark.parametrize("wants_usage", [True, False])
@pytest.mark.parametrize("step", [1, 37, 10_000])
def test_the_same(api: str, wants_usage: bool, step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """For any split of a stream, both readers pass on and hold back the same bytes, and read the same."""
    data = streamed(api, USAGE[api])
    facts = RequestFacts("m", stream=True, wants_usage=wants_usage)
    here = formats.SERVED[api].stream_reader(facts, formats.SERVED[api].USAGE)
    expected, none = read(here, data, step)
    monkeypatch.setattr(stream, "APART_BYTES", 10)
    there = formats.SERVED[api].stream_reader(facts, formats.SERVED[api].USAGE)
    passed, apart = read(there, data, step)
    assert (passed, none) == (expected, 0)
    assert apart > 0
    assert (there.reading(), there.text(), there.complete) == (here.reading(), here.text(), here.complete)
    assert there.end() == here.end()


@pytest.mark.parametrize("api", USAGE)
@pytest.mark.parametrize("wants_usage", [True, False])
def test_a_stream_that_ends_within_an_event(api: str, wants_usage: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever a stream ends, a large last event is never parsed here, and the result is the same."""
    data = streamed(api, USAGE[api])
    facts = RequestFacts("m", stream=True, wants_usage=wants_usage)
    parse = content.parse

    def parse_small(event: bytes) -> Any:
        assert len(event) <= 10, "a large event was parsed here"
        return parse(event)

    for end in range(1, len(data)):
        here = formats.SERVED[api].stream_reader(facts, formats.SERVED[api].USAGE)
        expected, _ = read(here, data[:end], end, closes=True)
        told = here.reading(), here.text(), here.complete, here.end()
        with monkeypatch.context() as patch:
            patch.setattr(stream, "APART_BYTES", 10)
            there = formats.SERVED[api].stream_reader(facts, formats.SERVED[api].USAGE)
            passed, _ = read(there, data[:end], end, closes=True)
            for module in (content, stream):
                patch.setattr(module, "parse", parse_small)
            assert passed == expected
            assert (there.reading(), there.text(), there.complete, there.end()) == told


def test_a_last_event_that_nobody_can_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """A large last event that cannot be read is passed on unchanged at the end."""
    monkeypatch.setattr(stream, "APART_BYTES", 10)
    data = streamed("openai.chat", USAGE["openai.chat"]).partition(b"\n\n")[0]
    reader = formats.SERVED["openai.chat"].stream_reader(RequestFacts("m"), formats.SERVED["openai.chat"].USAGE)
    passed, apart = read(reader, data, len(data), fails=True, closes=True)
    assert apart == 1
    assert passed + reader.end() == data


def test_a_model_that_any_event_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every model that a stream names is found, in events read here, in another process, and here again."""
    reader = formats.SERVED["openai.chat"].stream_reader(RequestFacts("m"), formats.SERVED["openai.chat"].USAGE)
    monkeypatch.setattr(stream, "APART_BYTES", 200)
    for model, size in (("m-2", 1), ("m-3", 300), ("m-4", 1), ("m-5", 300)):
        read(reader, events([{"model": model, "choices": [{"delta": {"content": "x" * size}}]}]), 10_000)
    read(reader, streamed("openai.chat", USAGE["openai.chat"]), 50)
    assert set(reader.reading().models) == {"m-1", "m-2", "m-3", "m-4", "m-5"}


def test_what_comes_meanwhile_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes that come while events are read in another process wait for them."""
    monkeypatch.setattr(stream, "APART_BYTES", 10)
    reader = formats.SERVED["openai.chat"].stream_reader(RequestFacts("m"), formats.SERVED["openai.chat"].USAGE)
    first, second = b'data: {"a": "long enough"}\n\n', b"data: {}\n\n"
    assert reader.feed(first) == b""
    assert reader.feed(second) == b""
    unread = reader.unread
    assert unread is not None
    assert unread.events == first
    monkeypatch.setattr(stream, "APART_BYTES", 100)
    assert reader.take(stream.look_at(unread.events, *unread.args)) == first + second
    assert reader.unread is None


def test_what_nobody_can_read_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client gets a stream that could not be read, complete and in order."""
    monkeypatch.setattr(stream, "APART_BYTES", 10)
    data = streamed("openai.chat", USAGE["openai.chat"])
    reader = formats.SERVED["openai.chat"].stream_reader(RequestFacts("m"), formats.SERVED["openai.chat"].USAGE)
    passed, _ = read(reader, data, 50, fails=True)
    assert passed + reader.end() == data


def test_a_large_event_is_not_parsed_before_it_is_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """The text of an unfinished large event is not parsed, however often the text is counted; at the end it counts."""
    reader = formats.SERVED["openai.chat"].stream_reader(RequestFacts("m"), formats.SERVED["openai.chat"].USAGE)
    parsed: list[bytes] = []
    parse = stream.parse
    monkeypatch.setattr(stream, "parse", lambda data: parsed.append(data) or parse(data))
    reader.feed(b'data: {"choices": [{"delta": {"content": "hi"}}]}')
    assert reader.text(at_end=False) == ""
    assert not any(parsed)
    assert reader.text() == "hi"
