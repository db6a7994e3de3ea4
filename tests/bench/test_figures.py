"""The figures that the benchmarks print are what they are said to be."""

import json
from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tables import Column, Table, as_markdown
from turns import added_ms, in_turns, percentile, pool

SAMPLES = st.lists(st.floats(0, 10), min_size=1_000, max_size=1_200)


@given(SAMPLES, st.sampled_from([50.0, 99.0, 99.9]))
def test_so_many_samples_are_not_above_a_percentile(samples: list[float], percent: float) -> None:
    """At least that share of the samples is not above it, and it is one of them."""
    found = percentile(pool([array("d", samples)]), percent)

    assert found in samples
    assert sum(sample <= found for sample in samples) >= len(samples) * percent / 100


@pytest.mark.parametrize(("count", "percent"), [(999, 99.9), (99, 99.0), (1, 50.0)])
def test_a_tail_that_no_sample_is_in_is_not_told(count: int, percent: float) -> None:
    """Too few samples have no such percentile, rather than a made-up one."""
    assert percentile(array("d", range(count)), percent) is None


def test_what_is_added_is_above_the_floor() -> None:
    """A gateway's latency is told less the provider's own, at the same percentile, in milliseconds."""
    floor, latencies = array("d", [0.001] * 100), array("d", [0.003] * 100)

    assert added_ms(latencies, floor, [50]) == [pytest.approx(2.0)]
    assert added_ms(latencies, None, [50]) == [pytest.approx(3.0)]


def test_everybody_has_a_turn_in_every_round() -> None:
    """Rounds go round: nobody is measured twice in a row while others wait."""
    asked: list[str] = []
    rounds = in_turns(["a", "b"], lambda one: asked.append(one) or len(asked), 2)  # type: ignore[func-returns-value]

    assert asked == ["a", "b", "a", "b"]
    assert rounds == [[1, 3], [2, 4]]


def test_a_row_can_end_in_a_reason() -> None:
    """Who cannot be measured has a row that says why; the page and the document both keep it."""
    columns = (Column("who"), Column("CPU", "{:.1f} us"), Column("failed", "{:,}"))
    table = Table("calls", columns, [["us", 1.25, 1_000], ["they", "not to be had here: no go"]], ("a note",))

    lines = as_markdown(table).splitlines()
    assert "| us | 1.2 us | 1,000 |" in lines
    assert "| they | not to be had here: no go |  |" in lines
    document = json.loads(json.dumps(table.as_data()))
    assert document["rows"] == [
        {"who": "us", "CPU": 1.25, "failed": 1_000},
        {"who": "they", "CPU": "not to be had here: no go"},
    ]
    assert document["units"] == {"CPU": "us"}
