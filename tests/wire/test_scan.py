"""Finding an object in bytes that are no whole JSON text."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pertoken.wire import scan


@pytest.mark.parametrize(
    ("data", "raw"),
    [
        (b'..."u": {"a": 1}, "u": {"a": 2}', b'{"a": 2}'),
        (b'"u": {"a": 1}, "u": {"a": ', b'{"a": 1}'),
        (b'"u":\r\n{"a": "}{\\""}', b'{"a": "}{\\""}'),
        ('é "u": {"a": "é"} é'.encode(), '{"a": "é"}'.encode()),
        (b'"u": {"a": NaN}', b'{"a": NaN}'),
        (b'"u": 3', None),
        (b'{"t": "say \\"u\\": {\\"a\\": 1}"}', None),
        (b'"u": {', None),
        (b"", None),
    ],
)
def test_last_object(data: bytes, raw: bytes | None) -> None:
    """The last object that stands whole behind its key is found, byte by byte; a text that looks like it is not."""
    found = scan.last_object(data, "u")

    assert (found.raw if found else None) == raw


@given(st.binary())
def test_garbage(data: bytes) -> None:
    """No bytes make it raise."""
    scan.last_object(b'"u":{' + data, "u")
    scan.last_text(b'"u":"' + data, "u")
    list(scan.values(data))


def test_hostile_input_is_bounded() -> None:
    """A tail full of keys and open objects takes no time: only the last few are tried."""
    began = time.perf_counter()

    assert scan.last_object(b'"u":{"a":' * 7000, "u") is None
    assert scan.last_object(b'"u":' + b"[" * 60000, "u") is None
    assert scan.last_object(b'"u":' + b'{"a":' * 13000, "u") is None
    assert time.perf_counter() - began < 1


def test_values() -> None:
    """The entries of a cut array are read one by one; the cut one comes as its text."""
    assert list(scan.values(b'[{"a": 1}\n,\r\n{"a": 2},{"a": ')) == [{"a": 1}, {"a": 2}, '{"a": ']
    assert list(scan.values(b"[]")) == []
