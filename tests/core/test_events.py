"""When a call came to each step."""

import pytest

from pertoken.core.events import Timeline, timeline


@pytest.mark.parametrize(
    ("reached", "expected"),
    [
        ((110, 120, 130, 140), Timeline(10, 20, 30, 40)),
        ((110, 120, None, None), Timeline(10, 20)),
        ((100, 100, 100, 100), Timeline(0, 0, 0, 0)),
        ((90, 80, 70, 60), Timeline(0, 0, 0, 0)),  # the clock was set back
    ],
)
def test_steps_are_told_from_the_start(reached: tuple[int, int, int | None, int | None], expected: Timeline) -> None:
    """In microseconds after it, and never before it."""
    assert timeline(100, *reached) == expected
