"""An answer that names several models as the one that served: the dearest of them is charged."""

import json
from typing import Any

import pytest
from tests.factories import price_row
from tests.services.stand_in import events, settled

from pertoken.core.events import Event, EventStatus
from pertoken.core.price_book import PriceBook
from pertoken.wire import formats
from pertoken.wire.format import RequestFacts

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
    assert event.cost_picos == max(7000 * MICRO, event.held_picos)
    assert event.model_served == "totally-other"


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
