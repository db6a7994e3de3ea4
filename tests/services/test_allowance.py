"""What is taken out of a team's allowance, and what is put back."""

from typing import Any

from tests.factories import event, hold

from pertoken.core.access import NOTHING, Allowance, Reported
from pertoken.core.budgets import Attribution
from pertoken.core.commands import Conflict, Duplicate, Recorded
from pertoken.core.events import Event
from pertoken.core.periods import DAY_US
from pertoken.services import allowance
from pertoken.services.allowance import Taken

NOW_US = 20_000 * DAY_US + 5


class Books:
    """One team's allowance, and what it reported by day."""

    def __init__(self, given: Allowance | None) -> None:
        self.given = given
        self.days: dict[int, Reported] = {}
        self.known: set[tuple[str, str]] = set()

    def allowance(self, _team: str) -> Allowance | None:
        """Return the allowance."""
        return self.given

    def reported(self, _team: str, day_us: int) -> Reported:
        """Return what was reported on a day."""
        return self.days.get(day_us, NOTHING)

    def set_reported(self, _team: str, day_us: int, sums: Reported) -> None:
        """Write what was reported on a day."""
        self.days[day_us] = sums

    def known_events(self, named: set[tuple[str, str]]) -> set[tuple[str, str]]:
        """Return what is in the books."""
        return self.known & named

    def owners(self, customer: str) -> frozenset[str]:
        """Return whose a customer is."""
        return frozenset({customer.partition("-")[0]})


def reported(name: str, picos: int = 10, customer: str | None = None) -> Event:
    """Return an event of so many picos and 15 tokens."""
    return event(hold(name, attribution=Attribution(team="red", customer=customer)), picos, source="team:red")


def take(books: Any, *events: Event) -> Taken:
    """Take events out of the allowance, numbered from 1."""
    return allowance.take(books, "red", list(enumerate(events, 1)), NOW_US)


def test_what_another_request_recorded_first_is_put_back() -> None:
    """Of what was taken, all that turned out to be in the books is put back, and nothing else."""
    books: Any = Books(Allowance(Reported(100, 10, 1_000)))
    books.known = {("team:red", "known")}
    taken = take(books, reported("known"), reported("a"), reported("b"), reported("c"), reported("a"))
    assert (taken.counted, books.days) == (frozenset({2, 3, 4}), {20_000 * DAY_US: Reported(30, 3, 45)})
    back = allowance.to_put_back(taken, [Duplicate(), Duplicate(), Recorded(), Conflict(), Duplicate()])
    allowance.put_back(books, "red", back, NOW_US)

    assert books.days == {20_000 * DAY_US: Reported(10, 1, 15)}


def test_what_does_not_fit_leaves_room_for_what_does() -> None:
    """Each event that fits what is left is taken, also behind one that does not; the messages have the figures."""
    books: Any = Books(Allowance(Reported(25, 10, 1_000)))
    taken = take(books, reported("a"), reported("b", 20), reported("c"), reported("d"))

    assert [line for line, _ in taken.events] == [1, 3]
    assert [(one.line, one.code) for one in taken.rejected] == [(2, "above_allowance"), (4, "above_allowance")]
    assert "0.00000000002 USD of 0.000000000025 USD" in taken.rejected[1].message


def test_customers_of_others_cost_nothing() -> None:
    """An event that is refused for its customer, or because the team has no allowance, takes nothing."""
    books: Any = Books(Allowance(Reported(25, 10, 1_000)))
    taken = take(books, reported("a", customer="blue-1"), reported("b", customer="red-1"))
    assert ([line for line, _ in taken.events], books.days[20_000 * DAY_US].events) == ([2], 1)
    books.given = None

    assert take(books, reported("c")).rejected[0].code == "forbidden"
    assert books.days[20_000 * DAY_US].events == 1
