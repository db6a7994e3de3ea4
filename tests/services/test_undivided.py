"""Sound and pictures that usage counts as plain tokens are charged at the dearest reading that the call allows."""

from typing import Any

import pytest
from tests.services.stand_in import events, price, settled, streamed, whole

from pertoken.core.events import Event, EventStatus
from pertoken.core.price_book import PriceBook
from pertoken.core.untold import UNDIVIDED
from pertoken.core.usage import Completeness

PRICES = {
    "input_tokens": 1, "input_audio_tokens": 10, "input_image_tokens": 1, "output_tokens": 2, "reasoning_tokens": 2,
    "output_audio_tokens": 40, "output_image_tokens": 30,
}  # fmt: skip
BOOK = PriceBook([price(unit, amount, provider="p") for unit, amount in PRICES.items()])
CHAT = {"prompt_tokens": 10, "completion_tokens": 50, "total_tokens": 60}
GEMINI = {"promptTokenCount": 10, "candidatesTokenCount": 50, "totalTokenCount": 60}
SPEAKS = {"modalities": ["text", "audio"]}
DRAWS = {"generationConfig": {"responseModalities": ["IMAGE"]}}
THOUGHT = {**CHAT, "completion_tokens_details": {"reasoning_tokens": 20}}
SILENT = {**CHAT, "completion_tokens_details": {"audio_tokens": 0}}
WRITTEN = {**GEMINI, "candidatesTokensDetails": [{"modality": "TEXT", "tokenCount": 45}]}
DRAWN = {**GEMINI, "candidatesTokensDetails": [{"modality": "IMAGE", "tokenCount": 20}]}
UNDIVIDED_CALLS: list[tuple[str, str, dict[str, Any], dict[str, Any], dict[str, int], int]] = [
    ("sound was asked for", "openai.chat", CHAT, SPEAKS, {"output_audio_tokens": 50}, 10 + 2_000),
    ("thoughts are no sound", "openai.chat", THOUGHT, SPEAKS, {"output_audio_tokens": 30}, 10 + 40 + 1_200),
    ("sound is said to be nothing", "openai.chat", SILENT, SPEAKS, {"output_audio_tokens": 0}, 10 + 100),
    ("pictures were asked for", "gemini.generate", GEMINI, DRAWS, {"output_image_tokens": 50}, 10 + 1_500),
    ("part is told to be text", "gemini.generate", WRITTEN, DRAWS, {"output_image_tokens": 5}, 10 + 90 + 150),
    ("pictures are told", "gemini.generate", DRAWN, DRAWS, {"output_image_tokens": 20}, 10 + 60 + 600),
    ("nothing but text was asked for", "openai.chat", CHAT, {"modalities": ["text"]}, {}, 10 + 100),
]


@pytest.mark.parametrize(
    ("api", "usage", "asked", "found", "cost"),
    [one[1:] for one in UNDIVIDED_CALLS],
    ids=[o[0] for o in UNDIVIDED_CALLS],
)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_output_that_is_not_divided_is_the_dearest_that_was_asked_for(
    api: str, usage: dict[str, Any], asked: dict[str, Any], found: dict[str, int], cost: int, stream: bool
) -> None:
    """Where usage leaves open what the output is, it is charged as the dearest kind of the request, and marked."""
    event = settled(api, "p", (streamed if stream else whole)(api, usage), stream=stream, book=BOOK, **asked)
    kinds = {unit: many for unit, many in event.quantities.items() if unit.startswith(("output_audio", "output_image"))}

    assert (kinds, event.cost_picos, event.status) == (found, cost, EventStatus.PRICED)
    is_guess = kinds not in ({}, {"output_audio_tokens": 0}, {"output_image_tokens": 20})
    assert event.completeness is (Completeness.ESTIMATED if is_guess else Completeness.FINAL)
    assert event.reason == (UNDIVIDED if is_guess else None)


SOUND = {"choices": [{"message": {"audio": {"id": "a", "data": "aGk="}}, "finish_reason": "stop"}]}
PICTURE = {
    "candidates": [
        {"finishReason": "STOP", "content": {"parts": [{"inlineData": {"mimeType": "image/png", "data": "a"}}]}}
    ]
}


def _shown(api: str, usage: dict[str, Any] | None, *, stream: bool) -> bytes:
    if not stream:
        return whole(api, usage, **(SOUND if api == "openai.chat" else PICTURE))
    if api != "openai.chat":
        return events([{**PICTURE, **({"usageMetadata": usage} if usage else {})}])
    said: list[dict[str, Any]] = [{"choices": [{"delta": {"audio": {"data": "aGk="}}}]}]
    return events([*said, {"choices": [], "usage": usage}]) + b"data: [DONE]\n\n"


@pytest.mark.parametrize(
    ("api", "usage", "unit", "cost"),
    [
        ("openai.chat", CHAT, "output_audio_tokens", 10 + 2_000),
        ("openai.chat", SILENT, "output_audio_tokens", 10 + 2_000),
        ("gemini.generate", GEMINI, "output_image_tokens", 10 + 1_500),
    ],
)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_output_that_the_answer_shows_needs_no_request(
    api: str, usage: dict[str, Any], unit: str, cost: int, stream: bool
) -> None:
    """A model that speaks or draws unasked is charged for that; a zero beside what the answer shows is not believed."""
    event = settled(api, "p", _shown(api, usage, stream=stream), stream=stream, book=BOOK)

    assert (event.quantities[unit], event.cost_picos, event.reason) == (50, cost, UNDIVIDED)


@pytest.mark.parametrize(("api", "amount"), [("openai.chat", 40), ("gemini.generate", 30)])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_sound_and_pictures_without_usage_are_charged_as_held(api: str, amount: int, stream: bool) -> None:
    """Nobody can count a picture by its bytes: without usage the whole of what was held for is charged as that."""
    event = settled(api, "p", _shown(api, None, stream=stream), stream=stream, book=BOOK, **_capped(api))

    assert event.completeness is Completeness.ESTIMATED
    assert event.cost_picos >= 100 * amount


def _capped(api: str) -> dict[str, Any]:
    return {"generationConfig": {"maxOutputTokens": 100}} if api == "gemini.generate" else {"max_tokens": 100}


def _heard(**usage: Any) -> Event:
    content = [{"type": "input_audio", "input_audio": {"data": "aGk=" * 4_000, "format": "mp3"}}]
    answer = whole("openai.chat", {**CHAT, **usage})
    return settled("openai.chat", "p", answer, book=BOOK, messages=[{"role": "user", "content": content}])


def test_sound_that_was_sent_is_charged_as_sound() -> None:
    """Input that usage does not divide is sound, as far as sound was sent and held for."""
    event = _heard()

    assert event.quantities["input_audio_tokens"] == 10
    assert (event.cost_picos, event.completeness, event.reason) == (100 + 100, Completeness.ESTIMATED, UNDIVIDED)
    assert _heard(prompt_tokens_details={"audio_tokens": 4}).cost_picos == 6 + 40 + 100
    assert _heard(prompt_tokens_details={"text_tokens": 8}).cost_picos == 8 + 20 + 100


def test_pictures_at_the_price_of_text_leave_no_doubt() -> None:
    """A picture that costs what text costs may be either: the call is priced like any other."""
    url = "data:image/png;base64,aGk="
    content = [{"type": "image_url", "image_url": {"url": url}}]
    answer = whole("openai.chat", CHAT)
    event = settled("openai.chat", "p", answer, book=BOOK, messages=[{"role": "user", "content": content}])

    assert (event.cost_picos, event.completeness, event.reason) == (10 + 100, Completeness.FINAL, None)


ZEROS = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
NONE_WRITTEN = {"prompt_tokens": 700, "completion_tokens": 0, "total_tokens": 700}


@pytest.mark.parametrize(("usage", "read"), [(ZEROS, None), (NONE_WRITTEN, 700)])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_zeros_beside_text_are_not_believed(usage: dict[str, int], read: int | None, stream: bool) -> None:
    """Where usage says that nothing was written beside text, the text is counted, and the event says so."""
    event = settled("openai.chat", "p", (streamed if stream else whole)("openai.chat", usage), stream=stream, book=BOOK)

    assert event.completeness is Completeness.ESTIMATED
    assert event.quantities["output_tokens"] >= 1
    assert event.quantities["input_tokens"] == read if read else event.quantities["input_tokens"] >= 1
    assert event.reason == "usage says that no token was written, beside text"


def test_zeros_without_text_are_believed() -> None:
    """An answer that says nothing may have cost nothing: somebody said so."""
    event = settled("openai.chat", "p", whole("openai.chat", ZEROS, choices=[]), book=BOOK)

    assert (event.cost_picos, event.completeness) == (0, Completeness.FINAL)
