"""Which coarse sums can say a slice, and what they leave to roll-ups."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.factories import WHO

from pertoken.core.coarse import HOUR, MODEL, divide, name_for, values_of
from pertoken.core.periods import DAY_US
from pertoken.core.reporting import HOUR_US, QUARTER_US, Grain, Slice

ANY = Slice(Grain.DAY, 0, 9 * DAY_US, 0)
NAMES: list[tuple[Slice, tuple[str, ...], str | None]] = [
    (ANY, (), MODEL),
    (ANY, ("team",), MODEL),
    (ANY, ("model", "provider", "team", "model"), MODEL),
    (ANY, ("key",), "key"),
    (ANY, ("team", "tag:env", "team"), "tag:env"),
    (ANY, ("key", "key"), "key"),
    (ANY, ("key", "model"), None),
    (ANY, ("provider", "tag:env"), None),
    (ANY, ("key", "customer"), None),
    (ANY._replace(width_us=DAY_US), ("customer",), "customer"),
    (ANY._replace(grain=Grain.EVENT), (), None),
    (ANY._replace(grain=Grain.QUARTER), ("model",), HOUR),
    (ANY._replace(grain=Grain.QUARTER), ("key",), None),
    (ANY._replace(grain=Grain.QUARTER, width_us=DAY_US, offset_us=-5 * HOUR_US), ("team",), HOUR),
    (ANY._replace(grain=Grain.QUARTER, width_us=HOUR_US, offset_us=HOUR_US), (), HOUR),
    (ANY._replace(grain=Grain.QUARTER, width_us=DAY_US, offset_us=11 * HOUR_US // 2), (), None),
    (ANY._replace(grain=Grain.QUARTER, offset_us=23 * QUARTER_US), (), HOUR),
]


@pytest.mark.parametrize(("piece", "names", "expected"), NAMES)
def test_a_name_says_what_it_is_grouped_by(piece: Slice, names: tuple[str, ...], expected: str | None) -> None:
    """Coarse sums say a slice where they have all its dimensions, and where each hour of theirs is in one span."""
    assert name_for(piece, names) == expected


def test_an_attribution_has_a_place_in_each() -> None:
    """Values are those of the dimensions, with the team; what is absent is empty, but an absent tag is None."""
    who = WHO._replace(key=None, team="red", tags=(("env", ""),))

    assert values_of("key", who) == ("", "red")
    assert values_of("tag:env", who) == ("", "red")
    assert values_of("tag:other", who) == (None, "red")
    assert values_of(MODEL, who) == values_of(HOUR, who) == (who.provider, who.model, "red")


@given(
    grain=st.sampled_from([Grain.DAY, Grain.QUARTER]),
    start=st.integers(0, 400),
    length=st.integers(1, 400),
    days=st.sets(st.integers(-1, 9)),
)
def test_each_instant_is_said_once(grain: Grain, start: int, length: int, days: set[int]) -> None:
    """Every roll-up of a slice is in what is left, or in a coarse sum that begins in the stretch, never in both."""
    unit_us, width_us = (DAY_US, DAY_US) if grain is Grain.DAY else (QUARTER_US, HOUR_US)
    piece = Slice(grain, start * unit_us, (start + length) * unit_us, 0)
    summed = [day * DAY_US for day in sorted(days)]

    (start_us, end_us), rest = divide(piece, summed)

    said = []
    for day_us in summed:
        for at_us in range(day_us, day_us + DAY_US, width_us):
            if start_us <= at_us < end_us:
                said += range(at_us, at_us + width_us, unit_us)
    for one in rest:
        assert one == piece._replace(start_us=one.start_us, end_us=one.end_us)
        said += range(one.start_us, one.end_us, unit_us)
    assert sorted(said) == list(range(piece.start_us, piece.end_us, unit_us))
