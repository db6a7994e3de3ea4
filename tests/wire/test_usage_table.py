"""Reading usage by table: what is known, what is absent, what contradicts itself."""

import pytest

from pertoken.core.usage import Completeness, Contradiction
from pertoken.wire import usage_table
from pertoken.wire.usage_table import Origin

TABLE = usage_table.table(
    {"input_tokens": ["a", "b.c"], "cache_read_tokens": ["b.c|old"], "output_tokens": ["out"]},
)


@pytest.mark.parametrize(
    ("usage", "quantities"),
    [
        ({}, {}),
        ({"a": 0}, {"input_tokens": 0}),
        ({"a": None}, {}),
        ({"a": 1, "b": {"c": 2}}, {"input_tokens": 3, "cache_read_tokens": 2}),
        ({"a": 9, "old": 4}, {"input_tokens": 9, "cache_read_tokens": 4}),
        ({"a": 9, "b": {"c": 3}, "old": 4}, {"input_tokens": 12, "cache_read_tokens": 3}),
        ({"a": 9, "b": {"c": None}, "old": 4}, {"input_tokens": 9, "cache_read_tokens": 4}),
        ({"a": 12.0, "b": None}, {"input_tokens": 12}),
        ({"a": 1, "b": 7}, {"input_tokens": 1}),
    ],
)
def test_reading(usage: dict[str, object], quantities: dict[str, int]) -> None:
    """Terms add up, the first of several names counts, a zero is a zero, and what is absent or null is left out."""
    assert usage_table.read(TABLE, usage) == quantities


@pytest.mark.parametrize("value", [-1, "5", True, False, 1.5, float("nan"), float("inf"), 10**13, [], {}])
def test_no_count(value: object) -> None:
    """What is no count contradicts."""
    with pytest.raises(Contradiction, match="a is no count"):
        usage_table.read(TABLE, {"a": value})


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b'{"a":-1,"out":1}', "a is no count: -1"),
        (b'{"a":1e400,"out":1}', "usage cannot be read"),
        (b'{"a":' + b"9" * 5000 + b"}", "usage cannot be read"),
        (b'{"a":123456789012345678901234567890}', "a is no count"),
        (b'{"a":1,"old":2,"out":1}', "less than its parts"),
        (b"[]", "usage is no object"),
        (b'"many"', "usage is no object"),
        (b"7", "usage is no object"),
    ],
)
def test_contradictions_are_kept(raw: bytes, why: str) -> None:
    """Usage that cannot be true gives no quantities, says why, and is kept as it came."""
    reading = usage_table.read_raw(raw, lambda usage: usage_table.read(TABLE, usage), Origin("m"))

    assert reading.quantities is None
    assert reading.contradiction is not None
    assert why in reading.contradiction
    assert reading.raw == raw
    assert reading.model == "m"


@pytest.mark.parametrize(
    ("raw", "partial", "completeness"),
    [
        (b'{"a":1,"out":0}', False, Completeness.FINAL),
        (b'{"a":1,"out":0}', True, Completeness.PARTIAL),
        (b'{"a":1}', False, Completeness.PARTIAL),
        (b'{"out":1}', False, Completeness.PARTIAL),
        (b"{}", False, Completeness.MISSING),
        (b"null", False, Completeness.MISSING),
        (b"", False, Completeness.MISSING),
    ],
)
def test_completeness(raw: bytes, partial: bool, completeness: Completeness) -> None:
    """Only usage that knows all input and all output is final: half of it is never taken for the whole."""
    reading = usage_table.read_raw(raw, lambda usage: usage_table.read(TABLE, usage), Origin("m"), partial=partial)

    assert reading.completeness == completeness


def test_unreadable_answer() -> None:
    """Of a broken answer the usage is kept but not believed; without any it is missing."""
    broken = usage_table.unreadable(b'{"x":NaN,"usage":{"a":1}}', "usage")

    assert broken.contradiction == "the answer is not valid json"
    assert broken.raw == b'{"a":1}'
    assert usage_table.unreadable(b'{"x":NaN}', "usage").completeness is Completeness.MISSING


def test_raw_is_bounded() -> None:
    """A doubtful usage object is not kept without limit."""
    reading = usage_table.doubt("too odd", raw=b"x" * 10**6)

    assert len(reading.raw) == usage_table.RAW_BYTES_MAX


def test_total() -> None:
    """A total that is not the sum of its parts contradicts; an absent one says nothing."""
    usage_table.check_total({}, "total", 3)
    usage_table.check_total({"total": 3}, "total", 3)
    with pytest.raises(Contradiction, match="total 4 is not the sum of its parts, 3"):
        usage_table.check_total({"total": 4}, "total", 3)
