"""What charts and the tables beneath them show is what a report of usage says, to the last pico."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.conftest import STORES, MakeDatabase
from tests.store import history
from tests.store.history import CENTRES_US, SINCE_US, UNTIL_US

from pertoken.core.money import parse_amount
from pertoken.core.periods import Window, bounds
from pertoken.core.refusals import RefusedKind
from pertoken.core.reporting import SUMS
from pertoken.services.explore import METRICS, REFUSED, STEPS, Question, explore
from pertoken.services.reports import Part, usage
from pertoken.services.spending import Spending, spent, spent_by_day, together
from pertoken.store.archive import Archive

ZONES = [
    "UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe", "America/St_Johns",
    "Pacific/Apia", "Africa/Cairo", "Pacific/Chatham",
]  # fmt: skip
DAY_US = history.DAY_US
EVENTS = history.made(7, 700)
READ: dict[tuple[int, str], Spending] = {}  # days, by archive and zone


@pytest.fixture(scope="module", params=STORES)
def archive(
    request: pytest.FixtureRequest, make_database: MakeDatabase, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Archive]:
    """Return what a database of each kind has of the history."""
    with history.kept_in(make_database(request.param, tmp_path_factory.mktemp("explore")), EVENTS) as made:
        yield made


ranges = st.one_of(
    st.just((SINCE_US, UNTIL_US)),
    st.builds(
        lambda centre, before, after: (centre - before, centre + after),
        st.sampled_from(CENTRES_US), st.integers(1, 4 * DAY_US), st.integers(1, 4 * DAY_US),
    ),
)  # fmt: skip
dimensions = st.lists(
    st.sampled_from(["model", "key", "team", "customer", "tag:env", "provider"]), max_size=2, unique=True
)
wheres = st.sampled_from([{}, {}, {"team": "red"}, {"tag:env": "prod"}, {"customer": "acme", "model": "gpt-4o"}])
metrics = st.sampled_from([name for name in METRICS if name != REFUSED])


def said(report: dict, name: str, currency: str | None) -> int:
    """Return a sum as the totals of a report say it: money of one currency, in picos."""
    found = 0
    for total in report["totals"]:
        if not name.endswith("_picos"):
            found += total[name]
        elif total["currency"] == currency:
            found += parse_amount(total[name.removesuffix("_picos")] or "0", total["currency"])
    return found


@given(
    span=ranges, by=dimensions, step=st.sampled_from(STEPS), zone=st.sampled_from(ZONES), where=wheres, name=metrics,
    top=st.integers(0, 5), currency=st.sampled_from([None, "USD", "EUR"]),
)  # fmt: skip
def test_everything_adds_up_to_the_report(
    archive: Archive, span: tuple[int, int], by: list[str], step: str, zone: str, where: dict[str, str], name: str,
    top: int, currency: str | None,
) -> None:  # fmt: skip
    """In every zone and step the points, the tracks, the top with its other, and the total are what usage says."""
    metric = METRICS[name]
    asked = Question(metric, tuple(by), step, *span, zone, span[1] - DAY_US, Part(where), currency)
    found = explore(archive, asked)
    report = usage(archive, *span, by, zone, Part(where))
    column = SUMS[metric.column or 0]
    expected = said(report, column, found.currency)

    assert found.total.total == sum(found.total.points) == expected
    assert sum(track.total for track in found.tracks) == expected
    shown, other = found.top(top)
    assert sum(one.total for one in shown) + (other.total if other else 0) == expected
    points = [sum(at) for at in zip(*(one.points for one in (*shown, *([other] if other else []))), strict=True)]
    assert points == list(found.total.points) or not found.tracks
    if not metric.is_money:
        of_rows: dict[tuple[str, ...], int] = {}
        for row in report["rows"]:
            key = tuple(row[dimension] for dimension in by)
            of_rows[key] = of_rows.get(key, 0) + row[column]
        assert {track.values: track.total for track in found.tracks} == of_rows


@given(span=ranges, step=st.sampled_from(STEPS), zone=st.sampled_from(ZONES))
def test_each_step_is_the_report_of_its_time(archive: Archive, span: tuple[int, int], step: str, zone: str) -> None:
    """What a step shows is what usage says of that step's time alone."""
    found = explore(archive, Question(METRICS["calls"], (), step, *span, zone, span[1]))
    for at in {0, len(found.spans) // 2, len(found.spans) - 1}:
        start_us, end_us = found.spans[at]
        start_us, end_us = max(start_us, span[0]), min(end_us, span[1])

        totals = usage(archive, start_us, end_us, (), zone)["totals"]
        assert found.total.points[at] == sum(total["calls"] for total in totals)


@given(span=ranges, zone=st.sampled_from(ZONES), currency=st.sampled_from(["USD", "EUR"]))
def test_spending_is_what_usage_says(archive: Archive, span: tuple[int, int], zone: str, currency: str) -> None:
    """The sums of a stretch, and those of its days together, are the report's."""
    report = usage(archive, *span, (), zone)
    expected = {name: said(report, name, currency) for name in SUMS}

    assert spent(archive, *span, zone, currency) == expected
    assert together(spent_by_day(archive, *span, zone, currency), 0, UNTIL_US) == expected


@given(
    days=st.tuples(st.integers(0, 380), st.integers(0, 380)), cut=st.integers(0, 95), zone=st.sampled_from(ZONES),
    whole=st.booleans(),
)  # fmt: skip
def test_days_that_are_read_once_say_the_same(
    archive: Archive, days: tuple[int, int], cut: int, zone: str, whole: bool
) -> None:
    """A stretch of days, cut anywhere in the last of them, comes to what usage says of it."""
    since_us, until_us = bounds(Window.DAY, SINCE_US, zone)[0], bounds(Window.DAY, UNTIL_US, zone)[1]
    read = (id(archive), zone)
    spending = READ.get(read) or READ.setdefault(read, Spending(archive, since_us, until_us, zone, "USD"))
    starts = [day.start_us for day in spending.days]
    start_us = starts[min(days[0], len(starts) - 1)]
    end_us = min(max(start_us, starts[min(days[1], len(starts) - 1)]) + (0 if whole else cut * 900_000_000), until_us)
    report = usage(archive, start_us, end_us, (), zone)

    assert spending.of(start_us, end_us) == {name: said(report, name, "USD") for name in SUMS}


def test_steps_that_have_not_begun_are_left_out(archive: Archive) -> None:
    """The days of a month that are still to come are not shown, unless something was counted there."""
    asked = Question(METRICS["calls"], (), "day", UNTIL_US, UNTIL_US + 30 * DAY_US, "UTC", UNTIL_US + 2 * DAY_US)

    assert len(explore(archive, asked).spans) == 3


class Refusing:
    """A store that has counted refusals alone."""

    def __init__(self, counts: dict[RefusedKind, int]) -> None:
        self._counts = counts

    def refused_counts(self, since_us: int, until_us: int) -> dict[RefusedKind, int]:
        """Return how many calls were refused in the hours that begin in [since, until)."""
        return {kind: calls for kind, calls in self._counts.items() if since_us <= kind.hour_us < until_us}


def test_refused_calls_by_reason_budget_and_key() -> None:
    """Refused calls are counted by what they are kept by, in the step of their hour, of one key where that is asked."""
    counts = {
        RefusedKind(0, "budget_exceeded", "all", "k1"): 3,
        RefusedKind(DAY_US, "budget_exceeded", "all", "k2"): 4,
        RefusedKind(DAY_US, "rate_limited", "", "k1"): 5,
        RefusedKind(3 * DAY_US, "rate_limited", "", "k1"): 90,
    }
    asked = Question(METRICS[REFUSED], ("reason", "budget"), "day", 0, 3 * DAY_US, "UTC", 3 * DAY_US)
    found = explore(Refusing(counts), asked)  # type: ignore[arg-type]

    assert {track.values: track.points for track in found.tracks} == {
        ("budget_exceeded", "all"): (3, 4, 0),
        ("rate_limited", ""): (0, 5, 0),
    }
    of_one = explore(Refusing(counts), asked._replace(part=Part({"key": "k2"})))  # type: ignore[arg-type]
    assert of_one.total.points == (0, 4, 0)


def test_the_history_has_several_currencies_and_absent_values() -> None:
    """The history of these tests has what they are about."""
    assert {event.currency for event in EVENTS} == {"USD", "EUR"}
    assert any(event.attribution.team is None for event in EVENTS)
