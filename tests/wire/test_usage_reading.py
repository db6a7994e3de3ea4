"""From usage objects to readings: which numbers are believed, how complete they are, and what is kept."""

import pytest

from pertoken.core.usage import Completeness, Reading
from pertoken.wire import usage_reading
from pertoken.wire.usage_reading import Provenance
from pertoken.wire.usage_table import rule, table

TABLE = table(
    rule("input_tokens", "a + b.c", "here"),
    rule("cache_read_tokens", "b.c|old", "here"),
    rule("output_tokens", "out", "here"),
)


@pytest.mark.parametrize(
    ("raw", "why", "quantities"),
    [
        (b'{"a":-1,"out":1}', "a is not a count: -1", {"output_tokens": 1}),
        (b'{"a":1e400,"out":1}', "usage cannot be read", {"output_tokens": 1}),
        (b'{"a":' + b"9" * 5000 + b',"out":1}', "usage cannot be read", {"output_tokens": 1}),
        (b'{"a":' + b"9" * 5000 + b"}", "usage cannot be read", None),
        (b'{"a":123456789012345678901234567890}', "a is not a count", None),
        (b'{"a":"7","out":1.2}', "a is not a count", {"input_tokens": 7, "output_tokens": 2}),
        (b'{"a":1,"old":2,"out":1}', "less than its parts", {"input_tokens": 3, "cache_read_tokens": 2}),
        (b"[]", "usage is no object", None),
        (b'"many"', "usage is no object", None),
        (b"7", "usage is no object", None),
        (b'{"a":2,"out":1,"a":1}', "usage has a key twice", {"input_tokens": 2, "output_tokens": 1}),
        (b'{"a":1,"out":1,"a":2}', "usage has a key twice", {"input_tokens": 2, "output_tokens": 1}),
        (b'{"a":1,"out":1,"x":[{"y":1,"y" : 2}]}', "usage has a key twice", {"input_tokens": 1, "output_tokens": 1}),
    ],
)
def test_contradictions_are_kept(raw: bytes, why: str, quantities: dict[str, int] | None) -> None:
    """Contradictory usage has a reason and its raw object is kept; the first reading is that with the most tokens."""
    reading = usage_reading.read_raw(raw, TABLE, Provenance("m"))

    assert reading.contradiction is not None
    assert why in reading.contradiction
    assert reading.raw == raw
    assert reading.model == "m"
    if quantities is None:
        assert reading.quantities is None
    else:
        assert reading.quantities is not None
        assert reading.quantities.items() >= quantities.items()


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
    """Only usage with all input and all output is final; one of them is never taken for both."""
    reading = usage_reading.read_raw(raw, TABLE, Provenance("m"), partial=partial)

    assert reading.completeness == completeness


def read(raw: bytes) -> Reading:
    """Return the reading of a usage object."""
    return usage_reading.read_raw(raw, TABLE, Provenance("m"))


def test_unreadable_answer() -> None:
    """The usage in a broken answer is read and marked as doubtful; without usage, the reading is missing."""
    broken = usage_reading.unreadable(b'{"x":NaN,"usage":{"a":1,"out":2}}', "usage", read)

    assert broken.contradiction == "the answer is not valid json"
    assert broken.raw == b'{"a":1,"out":2}'
    assert (broken.quantities, broken.completeness) == ({"input_tokens": 1, "output_tokens": 2}, Completeness.FINAL)
    assert usage_reading.unreadable(b'{"x":NaN}', "usage", read).completeness is Completeness.MISSING


def test_raw_is_bounded() -> None:
    """A doubtful usage object is kept only up to a limit."""
    reading = usage_reading.doubt("too odd", b"x" * 10**6)

    assert len(reading.raw) == usage_reading.RAW_BYTES_MAX


def test_repeated_keys_are_not_seen_in_texts() -> None:
    """Colons and braces inside a text are not taken for keys."""
    raw = b'{"a":1,"out":1,"note":"a: {\\"a\\":1, \\"a\\":2}"}'

    assert usage_reading.read_raw(raw, TABLE, Provenance()).quantities == {"input_tokens": 1, "output_tokens": 1}


def test_an_answer_with_two_usages() -> None:
    """Each of two usage objects in an answer is a reading, with a missing side from the other; a text is not a key."""
    reading = read(b'{"a":1,"out":1}')
    twice = usage_reading.doubt_if_twice(reading, b'{"usage":{"a":2},"usage":{"a":1,"out":1}}', "usage", read)

    assert (twice.contradiction, twice.model) == ("the answer has usage twice", "m")
    assert twice.quantities == {"input_tokens": 2, "output_tokens": 1}
    assert [one.quantities for one in twice.alternatives] == [{"input_tokens": 1, "output_tokens": 1}]
    for answer in (b'{"text":"usage","usage":{"a":1}}', b'{"usage":{"a":1},"x":{"usage":{}}}'):
        assert usage_reading.doubt_if_twice(reading, answer, "usage", read) is reading
