"""The rule that judges counts before and after a load."""

import pytest
from tests.soak.counts import Counts, grown

BEFORE = Counts(objects=40_000, blocks=2_000_000, heap_bytes=150_000_000, tasks=2, functions=80_000, database=60_000)


def test_what_does_not_grow_with_the_calls_passes() -> None:
    """Counts that stay, fall, or grow by little are no finding."""
    assert grown(BEFORE, BEFORE, 1_000) == []
    assert grown(BEFORE, BEFORE._replace(objects=40_300, blocks=2_004_000, functions=85_000), 1_000) == []
    assert grown(BEFORE, BEFORE._replace(objects=30_000, tasks=1, database=1), 1_000) == []


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("objects", 1_000),
        ("blocks", 20_000),
        ("heap_bytes", 1_000_000),
        ("tasks", 1),
        ("functions", 80_000),
        ("database", 60_000),
    ],
)
def test_what_grows_is_named(name: str, more: int) -> None:
    """One object kept of each call, one task at all, steps that double: each is found and named."""
    [found] = grown(BEFORE, BEFORE._replace(**{name: getattr(BEFORE, name) + more}), 1_000)

    assert found.startswith(name)
