"""An answer that several models made: its parts are kept from `extract` through `rate`, ingestion and the gateway."""

import json
from typing import Any

import pytest
from tests.services.stand_in import price, settled

from pertoken.core.events import reported_hash
from pertoken.core.money import format_amount
from pertoken.core.price_book import PriceBook
from pertoken.core.prices import Match
from pertoken.services.extract import extract_usage
from pertoken.services.ingest import NotAnEvent, read_event, to_event
from pertoken.services.rate import rate_usage

OWN, OTHER = "claude-opus-5", "claude-haiku-5"
ANSWER = {
    "type": "message",
    "model": OWN,
    "usage": {
        "input_tokens": 100,
        "output_tokens": 30,
        "server_tool_use": {"web_search_requests": 2},
        "cache_creation_input_tokens": 50,
        "cache_creation": {"ephemeral_1h_input_tokens": 45},
        "iterations": [
            {"model": OWN, "input_tokens": 100, "output_tokens": 20, "cache_creation_input_tokens": 40},
            {"model": OTHER, "input_tokens": 1_000, "output_tokens": 10, "cache_creation_input_tokens": 10},
        ],
    },
}
MICRO = 10**6
PRICES = {
    OWN: {"input_tokens": 5, "output_tokens": 25, "cache_write_tokens": 6, "cache_write_1h_tokens": 10},
    OTHER: {"input_tokens": 1, "output_tokens": 5, "cache_write_tokens": 2, "cache_write_1h_tokens": 3},
}
BOOK_ROWS = [
    price(unit, amount * MICRO, provider="anthropic", model=model, match=Match.EQUALS, price_id=f"{model}-{unit}")
    for model, units in PRICES.items()
    for unit, amount in {**units, "web_searches": 10_000}.items()
]
BOOK = PriceBook(BOOK_ROWS)
# own: 100 x 5 + 40 x 10 + 20 x 25 + 2 x 10,000; other: 1,000 x 1 + 5 x 2 + 5 x 3 + 10 x 5
COST = format_amount((500 + 400 + 500 + 20_000 + 1_000 + 10 + 15 + 50) * MICRO)


def _line(**fields: Any) -> dict[str, Any]:
    found = json.loads(json.dumps(extract_usage("anthropic.messages", "anthropic", json.dumps(ANSWER).encode(), None)))
    return {"provider": "anthropic", "id": "a", "at": "2026-11-27T00:00:00Z", **found, **fields}


def test_parts_add_up_to_the_whole() -> None:
    """What only the whole tells, such as searches, is given to the answer's own model, and the rest where it fits."""
    line = _line()

    for unit, quantity in line["usage"].items():
        assert sum(part["usage"].get(unit, 0) for part in line["by_model"]) == quantity
    assert [part["usage"].get("web_searches") for part in line["by_model"]] == [2, None]
    assert [part["usage"]["cache_write_1h_tokens"] for part in line["by_model"]] == [40, 5]


def test_rate_prices_each_part_by_its_own_model() -> None:
    """`extract | rate` costs what the gateway charges, and each line says whose it is."""
    rated = rate_usage(_line(), BOOK, 0, None)

    assert (rated["status"], rated["cost"]) == ("priced", COST)
    assert {line["model"] for line in rated["lines"]} == {OWN, OTHER}
    event = settled("anthropic.messages", "anthropic", json.dumps(ANSWER).encode(), book=_for_calls())
    assert format_amount(event.cost_picos) == COST


def test_one_model_has_no_parts() -> None:
    """A line without `by_model` is rated as it was, and its lines name no model."""
    rated = rate_usage({**_line(by_model=None), "usage": {"input_tokens": 3}}, BOOK, 0, None)

    assert (rated["cost"], [sorted(line)[0:1] for line in rated["lines"]]) == ("0.000015", [["amount"]])
    assert "model" not in rated["lines"][0]


def test_ingestion_keeps_the_parts() -> None:
    """An event that was reported with its parts costs their sum, and keeps them to be rated again."""
    event = to_event(read_event(1, _line(), {}), BOOK, 0)

    assert format_amount(event.cost_picos) == COST
    assert [model for model, _ in event.parts] == [OWN, OTHER]


def test_parts_are_part_of_what_was_reported() -> None:
    """With other parts it is another report; without any its hash is what it was before there were parts."""
    plain = to_event(read_event(1, _line(by_model=None), {}), BOOK, 0)

    assert reported_hash(plain) != reported_hash(to_event(read_event(1, _line(), {}), BOOK, 0))
    old = _line(by_model=None, usage={"input_tokens": 7}, provider="p", model="m", service_tier=None)
    assert reported_hash(to_event(read_event(1, old, {}), BOOK, 0)).hex() == "7c92faf217dd566bf2404c6a21989ab5"


@pytest.mark.parametrize(
    ("by_model", "why"),
    [
        ("both", "must be a list"),
        ([7], "must be a list"),
        ([{"model": OWN, "usage": {"input_tokens": 1}}], "does not add up"),
        ([{"model": 1.5, "usage": {}}], "must be a text"),
    ],
)
def test_parts_that_are_none(by_model: object, why: str) -> None:
    """Parts that are not well formed, or leave something of the whole out, are refused."""
    with pytest.raises(NotAnEvent, match=why):
        rate_usage(_line(by_model=by_model), BOOK, 0, None)


def test_an_unpriced_part_leaves_the_whole_unpriced() -> None:
    """Where one of the models has no price, nothing less than the whole is told as its cost."""
    line = _line()
    line["by_model"][1]["model"] = "claude-99"

    assert rate_usage(line, BOOK, 0, None)["status"] == "unpriced"


def _for_calls() -> PriceBook:
    """Return the book with prices for the model that the stand-in's client asks for."""
    asked = [price(unit, provider="anthropic", model="m-1", price_id=f"m-1-{unit}") for unit in PRICES[OWN]]
    return PriceBook([*BOOK_ROWS, *asked])
