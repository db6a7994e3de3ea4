"""A seller's fee beside the price, as OpenRouter takes it for a call with one's own key: it is on top of the price."""

import json
from typing import Any

import pytest
from tests.factories import own, price_row
from tests.services.stand_in import events, settled, streamed, whole

from pertoken.core.events import Event, EventStatus
from pertoken.core.money import format_amount
from pertoken.core.periods import FOREVER_US
from pertoken.core.price_book import PriceBook, Sellers
from pertoken.core.rates import FEE
from pertoken.services.extract import extract_usage
from pertoken.services.ingest import NotAnEvent, read_event, to_event
from pertoken.services.rate import rate_usage
from pertoken.services.rerate import Selection, rerate

CHAT = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
TOKENS = {"input_tokens": 10, "output_tokens": 5}
BYOK = {"cost": 0.001, "is_byok": True}
FEE_PICOS = 10**9  # a thousandth of a dollar


def book(micros: int = 1, *, currency: str = "USD") -> PriceBook:
    """Return a book with one model: so many millionths of a unit of a currency a token."""
    rows = [price_row(unit, micros * 10**6, provider="openrouter", model="m-1", currency=currency) for unit in TOKENS]
    return PriceBook(rows, Sellers(charge_as_stated=frozenset({"openrouter"})))


def call(api: str, usage: dict[str, Any], *, stream: bool = False, prices: PriceBook | None = None) -> Event:
    """Return the event of a call."""
    answer = (streamed if stream else whole)(api, usage)
    return settled(api, "openrouter", answer, stream=stream, book=prices or book())


def rerated(event: Event, prices: PriceBook) -> list[int]:
    """Return the costs of the corrections that an event needs."""
    archive: Any = type("_", (), {"corrections": lambda *_: (), "events_by_time": lambda *_: [event]})()
    [outcome] = rerate(archive, prices, Selection(0, FOREVER_US), 1)
    return [one.cost_picos for one in outcome.corrections]


FORMS: list[tuple[str, dict[str, Any]]] = [
    ("openai.chat", {**CHAT, **BYOK}),
    ("openai.chat", {**CHAT, **BYOK, "cost": "0.001"}),
    ("openai.chat", {**CHAT, **BYOK, "cost_details": {"upstream_inference_cost": None}}),
    ("openai.chat", {**CHAT, **BYOK, "cost_details": {}}),
    ("openai.responses", {**TOKENS, **BYOK}),
    ("anthropic.messages", {**TOKENS, **BYOK}),
]


@pytest.mark.parametrize(("api", "usage"), FORMS)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_the_fee_is_on_top_of_the_price(api: str, usage: dict[str, Any], stream: bool) -> None:
    """Where only the fee is told, the call costs the book's price and the fee, each in lines of its own."""
    event = call(api, usage, stream=stream)

    assert (event.status, format_amount(event.cost_picos)) == (EventStatus.PRICED, "0.001015")
    assert event.lines[-1] == (FEE, 1, FEE, FEE_PICOS)
    assert sum(line[3] for line in event.lines) == event.cost_picos
    assert event.book_lines == ()


def test_a_fee_of_nothing_changes_nothing() -> None:
    """Most such calls are free of the fee."""
    event = call("openai.chat", {**CHAT, **BYOK, "cost": 0})

    assert format_amount(event.cost_picos) == "0.000015"
    assert FEE not in {line[0] for line in event.lines}


def test_what_the_provider_was_paid_holds_the_fee_already() -> None:
    """Where the upstream amount is told, it and the fee are what was stated, once."""
    event = call("openai.chat", {**CHAT, **BYOK, "cost_details": {"upstream_inference_cost": 0.02}})

    assert format_amount(event.cost_picos) == "0.021"


def test_no_amount_is_a_contradiction() -> None:
    """A fee that is no amount leaves the price of the book, marked."""
    event = call("openai.chat", {**CHAT, **BYOK, "cost": "much"})

    assert (event.status, format_amount(event.cost_picos)) == (EventStatus.CONTRADICTORY, "0.000015")


def test_the_fee_is_on_top_of_what_was_held() -> None:
    """Without a price, what was held is charged and the fee with it; a price that comes later leaves the fee."""
    unpriced = call("openai.chat", {**CHAT, **BYOK, "service_tier": "scale"})

    assert unpriced.status is EventStatus.UNPRICED
    assert unpriced.cost_picos == own(unpriced).held_picos + FEE_PICOS
    scale = [row._replace(price_id=f"{row.price_id}_s", conditions=(("service_tier", "scale"),)) for row in book().rows]
    with_price = PriceBook([*book().rows, *scale], Sellers(charge_as_stated=frozenset({"openrouter"})))
    assert rerated(unpriced, with_price) == [15 * 10**6 - own(unpriced).held_picos]


def test_another_price_leaves_the_fee() -> None:
    """`rerate` changes what the book says, and never the fee."""
    event = call("openai.chat", {**CHAT, **BYOK})

    assert rerated(event, book()) == []
    assert rerated(event, book(3)) == [30 * 10**6]


def test_a_fee_in_another_currency_is_marked() -> None:
    """A fee in dollars cannot be added to a price in another currency: the event is unpriced, and says why."""
    event = call("openai.chat", {**CHAT, **BYOK}, prices=book(currency="EUR"))

    assert (event.status, event.currency) == (EventStatus.UNPRICED, "EUR")
    assert "fee of 0.001 USD" in str(event.reason)


def test_elsewhere_there_is_no_fee() -> None:
    """Who does not charge as it states takes no fee either."""
    rows = [price_row(unit, 10**6, provider="openai", model="m-1") for unit in TOKENS]
    event = settled("openai.chat", "openai", whole("openai.chat", {**CHAT, **BYOK}), book=PriceBook(rows))

    assert format_amount(event.cost_picos) == "0.000015"


def test_a_stream_does_not_take_a_fee_back() -> None:
    """Of two fees of one stream the larger is charged."""
    said = [
        {"model": "m-1", "choices": [{"delta": {"content": "hi"}}], "usage": {**CHAT, **BYOK}},
        {"model": "m-1", "choices": [], "usage": {**CHAT, **BYOK, "cost": 0}},
    ]
    event = settled("openai.chat", "openrouter", events(said) + b"data: [DONE]\n\n", stream=True, book=book())

    assert format_amount(event.cost_picos) == "0.001015"


def test_extract_ingest_and_rate_carry_it() -> None:
    """What `extract` tells of a fee is charged by `rate` and by `ingest` as by the gateway."""
    found = extract_usage("openai.chat", "openrouter", whole("openai.chat", {**CHAT, **BYOK}), None)
    line = {"id": "a", "at": "2026-11-27T00:00:00Z", "provider": "openrouter", **json.loads(json.dumps(found))}
    reported = to_event(read_event(1, line, {}), book(), 0)
    rated = rate_usage(line, book(), 0, None)

    assert found["usage"]["reported_fee"] == "0.001"
    assert format_amount(reported.cost_picos) == rated["cost"] == "0.001015"
    assert json.loads(reported.raw) == {"reported_fee": "0.001"}
    assert rated["lines"][-1]["price_id"] == reported.lines[-1][2] == FEE


def test_a_reported_fee_that_is_none() -> None:
    """A fee that is no amount is refused."""
    line = {"id": "a", "at": "2026-11-27T00:00:00Z", "provider": "p", "model": "m"}
    with pytest.raises(NotAnEvent, match="reported_fee must be an amount"):
        read_event(1, {**line, "usage": {"input_tokens": 1, "reported_fee": "much"}}, {})
