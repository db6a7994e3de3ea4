"""What a chart tells the script and the table beneath it."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from pertoken.core.periods import DAY_US, parse_time
from pertoken.services.explore import Span
from pertoken.web.chart import BARS, PRICES, Chart, Drawn, Mark, step_label, step_name
from pertoken.web.shown import HUES, hue, hues

START_US = parse_time("2026-11-26")
SPANS = [Span(START_US + at * DAY_US, START_US + (at + 1) * DAY_US) for at in range(3)]


def made(**fields: object) -> Chart:
    """Return a chart of three days, the last of them not over."""
    drawn = [Drawn("a", (10**12, 1, None), 3), Drawn("then", (5, 5, 5), is_dashed=True)]
    chart = Chart("c", "Spend", BARS, SPANS, drawn, "day", "UTC", START_US + 2 * DAY_US + 1, "USD")
    return chart._replace(**fields)  # type: ignore[arg-type]


def test_amounts_are_exact_texts() -> None:
    """The script gets amounts as exact decimal text, counts as whole numbers, and gaps as none."""
    assert made().data["series"][0]["values"] == ["1", "0.000000000001", None]
    assert made(currency="").data["series"][0]["values"] == [10**12, 1, None]


def test_what_is_compared_with_is_in_no_total() -> None:
    """The total of a step leaves out the line of the time before."""
    assert made().total(0).whole == "1 USD"


def test_the_step_that_is_not_over() -> None:
    """The step that now is in is the unfinished one; of a time that is over there is none."""
    assert made().unfinished == 2
    assert made(now_us=START_US + 9 * DAY_US).unfinished is None


def test_marks_stand_where_they_happened() -> None:
    """A mark stands within its step; those of one step share a line, and those outside are left out."""
    marks = [
        Mark(START_US + DAY_US + DAY_US // 2, "x"), Mark(START_US + DAY_US + DAY_US // 2 + 1, "y"),
        Mark(START_US - 1, "too early"), Mark(START_US + 3 * DAY_US, "too late"),
    ]  # fmt: skip

    assert made(marks=marks).data["marks"] == [{"at": 1.0, "text": "x and 1 more"}]
    assert made(kind=PRICES, marks=marks[:1]).data["marks"] == [{"at": (START_US + 1.5 * DAY_US) / 10**6, "text": "x"}]
    assert made(kind=PRICES).data["times"] == [span.start_us // 10**6 for span in SPANS]


def test_how_steps_are_called() -> None:
    """Each step has a short name for the axis and a whole one for the tip, on the clocks of the zone."""
    at_us = parse_time("2026-11-01T05:30:00Z")
    names = {step: (step_label(at_us, step, "America/New_York"), step_name(at_us, step, "America/New_York"))
             for step in ("hour", "day", "week", "month")}  # fmt: skip

    assert names == {
        "hour": ("01:30", "Sun 1 Nov 2026, 01:30 -0400"),
        "day": ("1 Nov", "Sun 1 Nov 2026"),
        "week": ("1 Nov", "Week 44, from Sun 1 Nov 2026"),
        "month": ("Nov 2026", "November 2026"),
    }


@given(st.lists(st.text(min_size=1), unique=True, max_size=HUES))
def test_names_of_one_chart_differ_in_colour(names: list[str]) -> None:
    """As many names as there are colours have one each, whatever their order; a name alone has its own."""
    found = dict(zip(names, hues(names), strict=True))

    assert len(set(found.values())) == len(names)
    assert dict(zip(reversed(names), hues(reversed(names)), strict=True)) == found
    assert [hues([name]) == [hue(name)] for name in names] == [True] * len(names)


def test_nothing_to_draw() -> None:
    """A chart without anything but zeros is empty."""
    assert made(drawn=[Drawn("a", (0, None, 0))]).is_empty
    assert not made().is_empty
    assert Decimal(made().data["series"][0]["values"][0]) == 1
