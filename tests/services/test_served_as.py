"""What is charged when an answer names another model than was asked for."""

from typing import Any

import pytest
from tests.factories import own, price_row
from tests.services.stand_in import settled, whole

from pertoken.core.charging import Served, charge
from pertoken.core.conditions import STANDARD
from pertoken.core.events import Event, EventStatus
from pertoken.core.periods import FOREVER_US
from pertoken.core.price_book import PriceBook
from pertoken.core.provisional import HeldFor, charge_surely
from pertoken.core.usage import Used
from pertoken.services.explain import _lines
from pertoken.services.offers import ModelRoute
from pertoken.services.rerate import Selection, rerate

MICRO = 10**6
USAGE = {"prompt_tokens": 20, "completion_tokens": 50, "total_tokens": 70}


def prices(provider: str, model: str, micros: int) -> list[Any]:
    """Return a model's prices of input and output: so many millionths of a dollar a token."""
    units = ("input_tokens", "output_tokens")
    return [price_row(unit, micros * MICRO, per=1, provider=provider, model=model) for unit in units]


BOOK = PriceBook([*prices("openai", "gpt-4o-mini", 1), *prices("openai", "o1-pro", 100)])


def call(served: str, book: PriceBook = BOOK, **fields: Any) -> Event:
    """Return the event of a call to gpt-4o-mini that an answer by this name came to."""
    answer = whole("openai.chat", USAGE, model=served)
    return settled("openai.chat", "openai", answer, book=book, model="gpt-4o-mini", **fields)


@pytest.mark.parametrize(
    "served", ["gpt-4o-mini", "openai/gpt-4o-mini", "models/GPT-4o-mini-2024-07-18", "gpt-4o-mini@001"]
)
def test_another_spelling_is_rated_as_asked(served: str) -> None:
    """A name that means the same model costs what was asked for."""
    event = call(served)

    assert (event.status, event.cost_picos) == (EventStatus.PRICED, 70 * MICRO)


def test_a_served_name_with_a_price_has_that() -> None:
    """Another model that has a price costs its own."""
    event = call("o1-pro")

    assert (event.status, event.cost_picos) == (EventStatus.PRICED, 7000 * MICRO)


@pytest.mark.parametrize("served", ["openai/o1-pro", "totally-other", "gpt-4o"])
def test_another_model_without_a_price_is_never_cheaper_than_it_may_be(served: str) -> None:
    """It costs the dearest rates of its provider, or what was held where that is more, unpriced, and says why."""
    event = call(served)

    assert event.status is EventStatus.UNPRICED
    assert event.cost_picos == max(7000 * MICRO, own(event).held_picos)
    assert event.lines == (("provisional", 1, "another", event.cost_picos),)
    assert served in str(event.reason)
    assert event.model_served == served
    [line] = _lines(event, event.lines, {})
    assert "another model" in line["price_source"]


def test_it_costs_no_less_than_was_held_or_asked() -> None:
    """What was held, and the price of what was asked for, are the least."""
    served = Served("openai", "gpt-4o-mini", "totally-other", 1, STANDARD)
    used = Used({"input_tokens": 20, "output_tokens": 50})
    held = charge_surely(BOOK, served, used, HeldFor(10**12, "USD", {"input_tokens": 100, "output_tokens": 100}))
    alone = PriceBook(prices("openai", "gpt-4o-mini", 3))
    asked = charge_surely(alone, served, used, HeldFor(1, "USD", {"input_tokens": 100, "output_tokens": 100}))

    assert held.cost_picos == 10**12
    assert asked.cost_picos == 210 * MICRO


def test_a_price_for_the_name_makes_it_exact() -> None:
    """Once the served name has a price, the call costs that, whatever it cost until then."""
    book = PriceBook([*BOOK.rows, *prices("openai", "totally-other", 7)])
    served = Served("openai", "gpt-4o-mini", "totally-other", 1, STANDARD)
    charged = charge(book, served, {"input_tokens": 20, "output_tokens": 50})

    assert (charged.status, charged.cost_picos) == (EventStatus.PRICED, 490 * MICRO)


class _Events:
    """An archive of a few events."""

    def __init__(self, *events: Event) -> None:
        self._events = events

    def corrections(self, *_: int) -> list[Event]:
        return []

    def events_by_time(self, *_: int) -> list[Event]:
        return list(self._events)


def rerated(event: Event, book: PriceBook) -> list[int]:
    """Return what the corrections of an event add to its cost when it is rated again."""
    archive: Any = _Events(event)
    [outcome] = rerate(archive, book, Selection(0, FOREVER_US), 1)
    return [one.cost_picos for one in outcome.corrections]


def test_rerate_corrects_it_once_its_name_has_a_price() -> None:
    """Without a price for the served name nothing changes; with one the difference is posted."""
    event = call("totally-other")
    with_price = PriceBook([*BOOK.rows, *prices("openai", "totally-other", 7)])

    assert rerated(event, BOOK) == []
    assert rerated(event, with_price) == [490 * MICRO - event.cost_picos]


def test_rerate_takes_a_deployments_own_name_for_what_was_asked() -> None:
    """A deployment that answered in a tier without a price is corrected by the price of that tier."""
    answer = whole("openai.chat", USAGE, model="team-a", service_tier="scale")
    route = {"gpt-4o-mini": ModelRoute("openai", "team-a", "gpt-4o-mini")}
    event = settled("openai.chat", "openai", answer, book=BOOK, model="gpt-4o-mini", routed=route)
    scale = [row._replace(conditions=(("service_tier", "scale"),)) for row in prices("openai", "gpt-4o-mini", 2)]

    assert event.status is EventStatus.UNPRICED
    assert rerated(event, PriceBook([*BOOK.rows, *scale])) == [140 * MICRO - event.cost_picos]


def test_rerate_leaves_what_was_rated_as_asked() -> None:
    """A correction of the asked model's price reaches what was rated at it, also where a setting said so."""
    event = call("whatever", routed={"gpt-4o-mini": ModelRoute("openai", "gpt-4o-mini", "gpt-4o-mini")})

    assert rerated(event, PriceBook(prices("openai", "gpt-4o-mini", 3))) == [140 * MICRO]


@pytest.mark.parametrize(
    ("route", "served", "status"),
    [
        (ModelRoute("openai", "team-a", "gpt-4o-mini"), "team-a", EventStatus.PRICED),
        (ModelRoute("openai", "team-a", "gpt-4o-mini"), "whatever-it-is", EventStatus.PRICED),
        (ModelRoute("openai", "gpt-4o-mini"), "whatever-it-is", EventStatus.UNPRICED),
    ],
)
def test_the_operator_says_what_a_deployment_is(route: ModelRoute, served: str, status: EventStatus) -> None:
    """A deployment with `priced_as` costs that whatever its answers call it; a route alone says nothing of names."""
    event = call(served, routed={"gpt-4o-mini": route})

    assert event.status is status
    assert (event.cost_picos == 70 * MICRO) is (status is EventStatus.PRICED)
