"""A cost that is not stated as it should be, by who charges as stated: the dearest reading is charged."""

from typing import Any

import pytest
from tests.factories import price_row
from tests.services.stand_in import events, settled, streamed, whole

from pertoken.core.events import Event, EventStatus
from pertoken.core.money import format_amount
from pertoken.core.price_book import PriceBook, Sellers
from pertoken.core.rates import REPORTED

CHAT = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
TOKENS = {"input_tokens": 10, "output_tokens": 5}
PARTS = {"input_tokens_cost": 0.001, "output_tokens_cost": 0.002, "request_cost": 0.006}
SELLERS = Sellers(charge_as_stated=frozenset({"openrouter", "perplexity", "x-ai"}))
UNITS = ("input_tokens", "output_tokens")
BY_BOOK = "0.000015"  # a millionth of a dollar a token


def call(api: str, provider: str, answer: bytes, **fields: Any) -> Event:
    """Return the event of a call."""
    rows = [price_row(unit, 10**6, provider=provider, model="m-1") for unit in UNITS]
    return settled(api, provider, answer, book=PriceBook(rows, SELLERS), **fields)


CASES: list[tuple[str, str, dict[str, Any], str]] = [
    ("openai.chat", "openrouter", {**CHAT, "cost": "0.0123"}, "0.0123"),
    ("openai.chat", "openrouter", {**CHAT, "cost": "1.23e-2"}, "0.0123"),
    ("openai.chat", "openrouter", {**CHAT, "cost": "0.0000001"}, BY_BOOK),
    ("openai.chat", "openrouter", {**CHAT, "cost": "0"}, BY_BOOK),
    ("openai.chat", "openrouter", {**CHAT, "cost": "much"}, BY_BOOK),
    ("openai.chat", "openrouter", {**CHAT, "cost": "-5"}, BY_BOOK),
    ("openai.chat", "openrouter", {**CHAT, "cost": "9" * 40}, BY_BOOK),
    ("openai.chat", "openrouter", {**CHAT, "cost": "٣"}, BY_BOOK),
    ("openai.chat", "openrouter", {**CHAT, "cost": True}, BY_BOOK),
    ("openai.chat", "openrouter", {**CHAT, "cost": [0.5]}, BY_BOOK),
    ("openai.responses", "openrouter", {**TOKENS, "cost": "0.25"}, "0.25"),
    ("anthropic.messages", "openrouter", {**TOKENS, "cost": "0.25"}, "0.25"),
    (
        "openai.chat",
        "openrouter",
        {**CHAT, "cost": "0.001", "is_byok": True, "cost_details": {"upstream_inference_cost": "0.02"}},
        "0.021",
    ),
    ("openai.chat", "x-ai", {**CHAT, "cost_in_usd_ticks": "12345678"}, "0.0012345678"),
    ("openai.chat", "perplexity", {**CHAT, "cost": PARTS}, "0.009"),
    ("openai.chat", "perplexity", {**CHAT, "cost": {**PARTS, "total_cost": None}}, "0.009"),
    ("openai.chat", "perplexity", {**CHAT, "cost": {**PARTS, "total_cost": "0.5"}}, "0.5"),
    ("openai.chat", "perplexity", {**CHAT, "cost": {"request_cost": "0.006"}}, "0.006"),
    ("openai.chat", "perplexity", {**CHAT, "cost": {"request_cost": 0.000001}}, BY_BOOK),
]


@pytest.mark.parametrize(("api", "provider", "usage", "cost"), CASES)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_the_dearest_reading_is_charged(
    api: str, provider: str, usage: dict[str, Any], cost: str, stream: bool
) -> None:
    """What a text or parts may mean is charged where that is more than the price book says, and marked."""
    event = call(api, provider, (streamed if stream else whole)(api, usage), stream=stream)

    assert format_amount(event.cost_picos) == cost
    assert event.status is EventStatus.CONTRADICTORY
    assert "cost" in str(event.reason)
    assert event.quantities == TOKENS
    if cost != BY_BOOK:
        assert event.lines == ((REPORTED, 1, REPORTED, event.cost_picos),)
        assert sum(line[3] for line in event.book_lines) == 15 * 10**6


def test_a_total_needs_no_parts() -> None:
    """Parts beside their total are no doubt."""
    event = call("openai.chat", "perplexity", whole("openai.chat", {**CHAT, "cost": {**PARTS, "total_cost": 0.0091}}))

    assert (event.status, format_amount(event.cost_picos)) == (EventStatus.PRICED, "0.0091")


def test_elsewhere_a_text_is_no_price() -> None:
    """Who does not charge as stated is charged by the price book, whatever a text says."""
    event = call("openai.chat", "openai", whole("openai.chat", {**CHAT, "cost": "9"}))

    assert (event.status, format_amount(event.cost_picos)) == (EventStatus.CONTRADICTORY, BY_BOOK)


@pytest.mark.parametrize("last", [CHAT, {**CHAT, "cost": "0.1"}, {**CHAT, "cost": 0.1}])
def test_a_stream_takes_no_text_back(last: dict[str, Any]) -> None:
    """A cost that was told as a text counts though a later word has none, or less."""
    answer = events([{"model": "m-1", "choices": [], "usage": usage} for usage in ({**CHAT, "cost": "0.5"}, last)])
    event = call("openai.chat", "openrouter", answer + b"data: [DONE]\n\n", stream=True)

    assert (event.status, format_amount(event.cost_picos)) == (EventStatus.CONTRADICTORY, "0.5")


def test_a_cost_alone_in_a_text_is_charged() -> None:
    """Where there are no tokens beside it, they are counted, and the dearest is charged."""
    event = call("openai.chat", "openrouter", whole("openai.chat", {"cost": "0.5"}))

    assert (event.status, format_amount(event.cost_picos)) == (EventStatus.CONTRADICTORY, "0.5")


def test_of_two_usage_objects_the_dearest_counts() -> None:
    """A number and a text in one answer are both readings."""
    body = b'{"model":"m-1","usage":{"prompt_tokens":10,"completion_tokens":5,"cost":0.1},"usage":{"prompt_tokens":10,'
    event = call("openai.chat", "openrouter", body + b'"completion_tokens":5,"cost":"0.5"}}')

    assert (event.status, format_amount(event.cost_picos)) == (EventStatus.CONTRADICTORY, "0.5")
