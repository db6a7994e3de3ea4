from typing import Any
from unittest.mock import create_autospec

import pytest
from tests.factories import hold

from pertoken.core import periods
from pertoken.core.budgets import Axis, Budget, CounterKey
from pertoken.core.periods import Window
from pertoken.ports.archive import Archive
from pertoken.services.shares import BUDGETS_MAX, Fullness, read_fullness

NOW_US = 1_795_806_234_000_000


def budget(name: str, limit: int = 100, **fields: Any) -> Budget:
    """Return a budget."""
    return Budget(f"budget_{name}", name, Axis.MONEY, limit, Window.DAY)._replace(**fields)


def standing(budgets: list[Budget], counters: dict[tuple[str, str], tuple[int, int]], *holds: Any) -> Fullness:
    """Return how budgets stand that have these counters in the windows that are asked for."""
    archive = create_autospec(Archive, instance=True)
    archive.budgets.return_value = budgets
    archive.open_holds.return_value = list(holds)

    def counters_in(windows: list[tuple[str, int]]) -> dict[CounterKey, tuple[int, int]]:
        starts = dict(windows)
        return {CounterKey(one, each, starts[one]): value for (one, each), value in counters.items()}

    archive.counters_in.side_effect = counters_in
    return read_fullness(archive, NOW_US)


def test_a_share_is_what_is_spent_and_held_of_the_limit() -> None:
    """Spent and held together, of the limit, in the window of now; a budget without a counter is empty."""
    found = standing([budget("a"), budget("b")], {("budget_a", ""): (20, 30)})

    assert [(share.name, share.used) for share in found.shares] == [("a", 0.5), ("b", 0.0)]


def test_the_window_is_the_one_of_now() -> None:
    """Counters are asked for in the window that holds this moment, in the budget's own time zone."""
    archive = create_autospec(Archive, instance=True)
    archive.budgets.return_value = [budget("a", zone="Asia/Tokyo")]
    archive.open_holds.return_value = []
    archive.counters_in.return_value = {}
    read_fullness(archive, NOW_US)

    archive.counters_in.assert_called_once_with([("budget_a", periods.bounds(Window.DAY, NOW_US, "Asia/Tokyo")[0])])


def test_of_many_values_the_fullest_is_shown_and_none_is_named() -> None:
    """A budget for each user has one share, that of the user who used most; no user is named."""
    counters = {("budget_a", "ann"): (0, 10), ("budget_a", "bob"): (0, 90), ("budget_a", "eve"): (0, 5)}
    found = standing([budget("a", each="user")], counters)

    [share] = found.shares
    assert share.used == 0.9
    assert "bob" not in map(str, share)


@pytest.mark.parametrize(("spent", "used"), [(0, 1.0), (5, 1.0)])
def test_a_budget_of_nothing_is_full(spent: int, used: float) -> None:
    """Nothing may be spent of a budget with the limit 0, so it is full."""
    assert standing([budget("a", 0)], {("budget_a", ""): (0, spent)}).shares[0].used == used


def test_two_budgets_of_one_name_are_one_share() -> None:
    """Budgets that no label tells apart are shown as one, the fuller: Prometheus takes no sample twice."""
    twins = [budget("a")._replace(budget_id="one"), budget("a")._replace(budget_id="two", limit=200)]
    found = standing(twins, {("one", ""): (0, 10), ("two", ""): (0, 100)})

    assert [share.used for share in found.shares] == [0.5]
    assert found.budgets == 2


def test_shares_are_bounded_and_the_fullest_stay() -> None:
    """Of more budgets than are shown, the fullest are."""
    many = [budget(f"{number:04}") for number in range(BUDGETS_MAX + 50)]
    found = standing(many, {(one.budget_id, ""): (0, place) for place, one in enumerate(many)})

    assert [share.name for share in found.shares] == [one.name for one in many[50:]]


def test_held_is_summed_by_currency() -> None:
    """What open holds hold is added up for each currency."""
    found = standing([], {}, hold("1", 5), hold("2", 7), hold("3", 1, currency="EUR"))

    assert (found.open_holds, found.held) == (3, {"USD": 12, "EUR": 1})
