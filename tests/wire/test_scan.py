"""Finding an object in bytes that are not valid JSON."""

import json
from typing import Any

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
    """The last complete object after its key is found, with its exact bytes; a text that looks like one is not."""
    found = scan.last_object(data, "u")

    assert (found.raw if found else None) == raw


@given(st.binary())
def test_garbage(data: bytes) -> None:
    """No bytes raise an error."""
    scan.last_object(b'"u":{' + data, "u")
    scan.last_text(b'"u":"' + data, "u")
    list(scan.values(data))


@pytest.mark.parametrize(
    "opening",
    [b'"u":{"a":' * 7_000, b'"u":{' * 9_000, b'"u":' + b'{"a":' * 13_000, b'"u":' + b"[" * 60_000],
    ids=["objects in each other", "broken objects", "deeper than can be read", "no object"],
)
def test_hostile_input_is_bounded(opening: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """In data full of keys and open objects, only the last few keys are tried."""
    tries: list[int] = []

    class Counted(json.JSONDecoder):
        def raw_decode(self, s: str, idx: int = 0) -> Any:
            tries.append(idx)
            return super().raw_decode(s, idx)

    monkeypatch.setattr(scan, "_decoder", Counted())

    assert scan.last_object(opening, "u") is None
    assert len(tries) <= scan.TRIES_MAX


def test_values() -> None:
    """The entries of a cut array are read one by one; the cut entry is returned as text."""
    assert list(scan.values(b'[{"a": 1}\n,\r\n{"a": 2},{"a": ')) == [{"a": 1}, {"a": 2}, '{"a": ']
    assert list(scan.values(b"[]")) == []
