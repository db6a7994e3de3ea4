"""What a budget would have refused, from the roll-ups of a store, is what its events say."""

from collections import Counter
from collections.abc import Iterator

import pytest
from tests.conftest import STORES, MakeDatabase
from tests.store import history

from pertoken.core import periods
from pertoken.core.axes import AXES
from pertoken.core.budgets import Axis, Budget
from pertoken.core.events import Event, is_correction
from pertoken.core.periods import Window
from pertoken.core.preview import UsedThen, replay
from pertoken.services.preview import preview
from pertoken.store.archive import Archive

EVENTS = history.made(3, 1_500)
NOW_US = history.CENTRES_US[0] + 2 * history.DAY_US  # clocks were moved in Europe two days before
ZONES = ("UTC", "Europe/Berlin", "Asia/Kolkata")
MONEY = Budget("b", "b", Axis.MONEY, 4 * 10**12, Window.DAY)
BUDGETS = [
    MONEY,
    MONEY._replace(window=Window.HOUR, limit=2 * 10**11),
    MONEY._replace(window=Window.MONTH, limit=20 * 10**12, scope=(("team", "red"),)),
    MONEY._replace(window=Window.WEEK, axis=Axis.TOKENS, limit=9_000, each="customer"),
    MONEY._replace(axis=Axis.REQUESTS, limit=5, each="tag:env"),
    MONEY._replace(window=Window.TOTAL, axis=Axis.REQUESTS, limit=150),
]


@pytest.fixture(scope="module", params=STORES)
def archive(
    request: pytest.FixtureRequest, make_database: MakeDatabase, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Archive]:
    """Return what a database of each kind has of the history."""
    with history.kept_in(make_database(request.param, tmp_path_factory.mktemp("preview")), EVENTS) as made:
        yield made


def used(budget: Budget, events: list[Event], until_us: int) -> list[UsedThen]:
    """Return what the calls of a budget used, hour by hour or day by day, from the events themselves."""
    span = Window.HOUR if budget.window in (Window.HOUR, Window.DAY) else Window.DAY
    calls: Counter[tuple[int, str, str]] = Counter()
    amounts: Counter[tuple[int, str, str]] = Counter()
    for one in events:
        of, each = one.attribution, one.attribution.value(budget.each) if budget.each else ""
        if one.occurred_at_us < until_us and each and all(of.value(name) == value for name, value in budget.scope):
            at = (periods.bounds(span, one.occurred_at_us, budget.zone)[0], each, of.key or "")
        elif one.occurred_at_us < until_us and not budget.each and _is_in(one, budget):
            at = (periods.bounds(span, one.occurred_at_us, budget.zone)[0], "", of.key or "")
        else:
            continue
        calls[at] += not is_correction(one)
        amounts[at] += AXES[budget.axis].spent(one, budget)
    return [UsedThen(*at, number, amounts[at]) for at, number in sorted(calls.items())]


def _is_in(one: Event, budget: Budget) -> bool:
    return all(one.attribution.value(name) == value for name, value in budget.scope)


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("budget", BUDGETS, ids=lambda one: f"{one.axis} a {one.window} each {one.each}")
def test_it_is_what_the_events_say(archive: Archive, budget: Budget, zone: str) -> None:
    """The refusals of the last thirty days are those that the events themselves lead to, in every zone."""
    budget = budget._replace(zone=zone)
    since_us, until_us = periods.bounds(Window.DAY, NOW_US, zone)
    for _ in range(29):
        since_us, _ = periods.bounds(Window.DAY, since_us - 1, zone)
    start_us, _ = periods.bounds(budget.window, since_us, zone)
    events = [one for one in EVENTS if one.occurred_at_us >= start_us]

    found = preview(archive, budget, NOW_US)

    expected = replay(budget, used(budget, events, until_us), since_us)
    assert found.unknown is None
    assert found.refusals == expected
    assert 0 < expected.refused < expected.calls


def test_it_says_why_it_does_not_know(archive: Archive) -> None:
    """A limit on calls at once has no preview, and the answer says why."""
    found = preview(archive, MONEY._replace(axis=Axis.CONCURRENT), NOW_US)

    assert found.refusals is None
    assert "at once" in (found.unknown or "")
