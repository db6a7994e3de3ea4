"""From usage objects to readings: what is believed, how complete it is, and what is kept of the rest."""

import pytest

from pertoken.core.usage import Completeness
from pertoken.wire import usage_reading
from pertoken.wire.usage_reading import Origin
from pertoken.wire.usage_table import rule, table

TABLE = table(
    rule("input_tokens", "a + b.c", "here"),
    rule("cache_read_tokens", "b.c|old", "here"),
    rule("output_tokens", "out", "here"),
)


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
        (b'{"a":1,"out":1,"a":1}', "usage has a key twice"),
        (b'{"a":1,"out":1,"x":[{"y":1,"y" : 2}]}', "usage has a key twice"),
    ],
)
def test_contradictions_are_kept(raw: bytes, why: str) -> None:
    """Usage that cannot be true gives no quantities, says why, and is kept as it came."""
    reading = usage_reading.read_raw(raw, TABLE, Origin("m"))

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
    reading = usage_reading.read_raw(raw, TABLE, Origin("m"), partial=partial)

    assert reading.completeness == completeness


def test_unreadable_answer() -> None:
    """Of a broken answer the usage is kept but not believed; without any it is missing."""
    broken = usage_reading.unreadable(b'{"x":NaN,"usage":{"a":1}}', "usage")

    assert broken.contradiction == "the answer is not valid json"
    assert broken.raw == b'{"a":1}'
    assert usage_reading.unreadable(b'{"x":NaN}', "usage").completeness is Completeness.MISSING


def test_raw_is_bounded() -> None:
    """A doubtful usage object is not kept without limit."""
    reading = usage_reading.doubt("too odd", b"x" * 10**6)

    assert len(reading.raw) == usage_reading.RAW_BYTES_MAX


def test_repeated_keys_are_not_seen_in_texts() -> None:
    """Colons and braces inside a text are no keys."""
    raw = b'{"a":1,"out":1,"note":"a: {\\"a\\":1, \\"a\\":2}"}'

    assert usage_reading.read_raw(raw, TABLE, Origin()).quantities == {"input_tokens": 1, "output_tokens": 1}


def test_an_answer_with_two_usages() -> None:
    """Which of two usage objects counts is unknown, so neither is believed; a word in a text is no key."""
    reading = usage_reading.read_raw(b'{"a":1,"out":1}', TABLE, Origin("m"))
    twice = usage_reading.doubt_if_twice(reading, b'{"usage":{"a":2},"usage":{"a":1}}', "usage")

    assert (twice.contradiction, twice.model) == ("the answer has usage twice", "m")
    assert usage_reading.doubt_if_twice(reading, b'{"text":"usage","usage":{"a":1}}', "usage") is reading
    assert usage_reading.doubt_if_twice(reading, b'{"usage":{"a":1},"x":{"usage":{}}}', "usage") is reading
