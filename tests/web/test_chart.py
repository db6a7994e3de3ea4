"""What a chart tells the script and the table beneath it."""

import re
from decimal import Decimal
from importlib.resources import files
from itertools import combinations
from math import dist

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pertoken.core.periods import DAY_US, parse_time
from pertoken.services.explore import Span
from pertoken.web.chart import BARS, PRICES, Chart, Drawn, Mark, step_label, step_name
from pertoken.web.shown import HUES, hue, hues

START_US = parse_time("2026-11-26")
APART = 0.11  # in OKLab: below it, two colours of a stack look alike
TO_CONES = (
    (0.4122214708, 0.5363325363, 0.0514459929),
    (0.2119034982, 0.6806995451, 0.1073969566),
    (0.0883024619, 0.2817188376, 0.6299787005),
)
TO_LAB = (
    (0.2104542553, 0.7936177850, -0.0040720468),
    (1.9779984951, -2.4285922050, 0.4505937099),
    (0.0259040371, 0.7827717662, -0.8086757660),
)
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


@given(st.lists(st.text(min_size=1), unique=True, max_size=HUES))
def test_a_name_keeps_its_colour(names: list[str]) -> None:
    """A name has the colour that it has alone, unless another name of the chart has that one alone, too."""
    found = dict(zip(names, hues(names), strict=True))
    own = {name: hue(name) for name in names}

    for name, colour in found.items():
        assert colour == own[name] or list(own.values()).count(own[name]) > 1


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_the_colours_of_a_chart_are_told_apart(theme: int) -> None:
    """Any two colours of the stylesheet are as far from each other as eyes need (in OKLab), in light and in dark."""
    sheet = (files("pertoken.web") / "static" / "pertoken.css").read_text()
    found = [pair[theme] for pair in re.findall(r"--hue-\d: light-dark\((#\w{6}), (#\w{6})\)", sheet)]

    assert len(found) == HUES
    assert [pair for pair in combinations(found, 2) if dist(*map(oklab, pair)) < APART] == []


def oklab(colour: str) -> tuple[float, ...]:
    """Return a colour in OKLab, where distances are as eyes see them."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    cones = [sum(by * part for by, part in zip(row, linear, strict=True)) ** (1 / 3) for row in TO_CONES]
    return tuple(sum(by * cone for by, cone in zip(row, cones, strict=True)) for row in TO_LAB)


def test_nothing_to_draw() -> None:
    """A chart without anything but zeros is empty."""
    assert made(drawn=[Drawn("a", (0, None, 0))]).is_empty
    assert not made().is_empty
    assert Decimal(made().data["series"][0]["values"][0]) == 1


def test_hours_of_one_day_need_no_day() -> None:
    """Midnight is 00:00 where all hours are of one day, and the day's name where there are more days."""
    hours = [Span(START_US + at * DAY_US // 24, START_US + (at + 1) * DAY_US // 24) for at in range(25)]

    assert made(spans=hours[:24], step="hour").labels[:2] == ["00:00", "01:00"]
    assert made(spans=hours, step="hour").labels[:2] == ["26 Nov", "01:00"]
