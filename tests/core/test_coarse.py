"""Which coarse sums can say a slice, and what they leave to roll-ups."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.factories import WHO

from pertoken.core.coarse import MODEL, TEAM, between_cuts, name_for, values_of, without_days
from pertoken.core.periods import DAY_US
from pertoken.core.reporting import HOUR_US, QUARTER_US, Grain, Slice

ANY = Slice(Grain.DAY, 0, 9 * DAY_US, 0)
NAMES: list[tuple[Slice, tuple[str, ...], str | None]] = [
    (ANY, (), MODEL),
    (ANY, ("provider",), MODEL),
    (ANY, ("team",), TEAM),
    (ANY, ("model", "provider", "team", "model"), TEAM),
    (ANY, ("key",), "key"),
    (ANY, ("team", "tag:env", "team"), "tag:env"),
    (ANY, ("key", "key"), "key"),
    (ANY, ("key", "model"), None),
    (ANY, ("provider", "tag:env"), None),
    (ANY, ("key", "customer"), None),
    (ANY._replace(width_us=DAY_US), ("customer",), "customer"),
    (ANY._replace(grain=Grain.EVENT), (), None),
    (ANY._replace(grain=Grain.QUARTER), ("model",), MODEL),
    (ANY._replace(grain=Grain.QUARTER), ("key",), "key"),
    (ANY._replace(grain=Grain.QUARTER), ("key", "user"), None),
    (ANY._replace(grain=Grain.QUARTER, width_us=DAY_US, offset_us=-5 * HOUR_US), ("team",), TEAM),
]


@pytest.mark.parametrize(("piece", "names", "expected"), NAMES)
def test_a_name_says_what_it_is_grouped_by(piece: Slice, names: tuple[str, ...], expected: str | None) -> None:
    """Coarse sums say a slice where they have all its dimensions."""
    assert name_for(piece, names) == expected


def test_an_attribution_has_a_place_in_each() -> None:
    """Values are those of the dimensions, with the team; what is absent is empty, but an absent tag is None."""
    who = WHO._replace(key=None, team="red", tags=(("env", ""),))

    assert values_of("key", who) == ("", "red")
    assert values_of("tag:env", who) == ("", "red")
    assert values_of("tag:other", who) == (None, "red")
    assert values_of(MODEL, who) == (who.provider, who.model)
    assert values_of(TEAM, who) == (who.provider, who.model, "red")


@given(start=st.integers(0, 9), length=st.integers(1, 9), days=st.sets(st.integers(0, 20)))
def test_each_day_is_said_once(start: int, length: int, days: set[int]) -> None:
    """Every day of a slice is in what is left, or is summed, never both."""
    piece = Slice(Grain.DAY, start * DAY_US, (start + length) * DAY_US, 0)
    summed = sorted(day * DAY_US for day in days if start <= day < start + length)

    rest = without_days(piece, summed)

    said = list(summed)
    for one in rest:
        assert one == piece._replace(start_us=one.start_us, end_us=one.end_us)
        said += range(one.start_us, one.end_us, DAY_US)
    assert sorted(said) == list(range(piece.start_us, piece.end_us, DAY_US))


@given(
    start=st.integers(0, 300),
    length=st.integers(1, 300),
    offset=st.integers(-48, 56),
    width=st.sampled_from([0, HOUR_US, DAY_US]),
    cuts=st.sets(st.integers(1, 700), max_size=60),
)
def test_each_quarter_is_said_once(start: int, length: int, offset: int, width: int, cuts: set[int]) -> None:
    """In each span, what the sums up to cuts come to, with what is left, has each quarter of the span once."""
    offset_us = offset * QUARTER_US if width else 0
    piece = Slice(Grain.QUARTER, start * QUARTER_US, (start + length) * QUARTER_US, offset_us, width)

    shares, rest = between_cuts(piece, [cut * QUARTER_US for cut in sorted(cuts)])

    said: Counter[tuple[int, int]] = Counter()
    for cut_us, of in shares.items():
        assert cut_us // QUARTER_US in cuts
        day_us = (cut_us - 1) // DAY_US * DAY_US
        for span, sign in of:
            for at_us in range(day_us, cut_us, QUARTER_US):
                said[span, at_us] += sign
    for one in rest:
        assert one == piece._replace(start_us=one.start_us, end_us=one.end_us)
        for at_us in range(one.start_us, one.end_us, QUARTER_US):
            said[(at_us + offset_us) // width if width else 0, at_us] += 1
    every = range(piece.start_us, piece.end_us, QUARTER_US)
    assert {place: times for place, times in said.items() if times} == {
        ((at_us + offset_us) // width if width else 0, at_us): 1 for at_us in every
    }


def test_few_quarters_are_left_where_days_have_cuts() -> None:
    """A day of a zone is said by the sums up to its two ends: whole hours leave nothing, odd quarters little."""
    cuts = [hour * HOUR_US for hour in range(1, 73)]
    day = Slice(Grain.QUARTER, 22 * HOUR_US, 46 * HOUR_US, 2 * HOUR_US, DAY_US)
    odd = day._replace(start_us=day.start_us + QUARTER_US, end_us=day.end_us + QUARTER_US)

    assert between_cuts(day, cuts)[1] == []
    assert between_cuts(odd, cuts)[1] == [
        odd._replace(end_us=23 * HOUR_US),
        odd._replace(start_us=46 * HOUR_US),
    ]
