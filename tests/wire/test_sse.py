"""Cutting a stream into whole events, and remembering it."""

import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pertoken.wire import sse

EVENTS = b'data: {"a":1}\n\nevent: x\ndata: {"b":2}\r\n\r\n: ping\n\n\n\ndata: last\n\n'


@given(st.lists(st.integers(0, len(EVENTS)), max_size=8))
def test_cutting_loses_nothing(places: list[int]) -> None:
    """However a stream is split, whole events come out in order, each ends with a blank line, and nothing remains."""
    cutter = sse.Cutter()
    edges = [0, *sorted(places), len(EVENTS)]

    pieces = [cutter.whole(EVENTS[start:end]) for start, end in pairwise(edges)]

    assert b"".join(pieces) == EVENTS
    assert all(not piece or piece.endswith(b"\n") for piece in pieces)
    assert cutter.rest() == b""


def test_unfinished_event_waits() -> None:
    """What is no whole event yet is kept, and can be seen."""
    cutter = sse.Cutter()

    assert cutter.whole(b"data: 1\n\ndata: 2\n") == b"data: 1\n\n"
    assert cutter.rest() == b"data: 2\n"
    assert cutter.whole(b"\nda") == b"data: 2\n\n"
    assert cutter.rest() == b"da"


def test_event_without_end_does_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """An event above the limit is passed on instead of kept."""
    monkeypatch.setattr(sse, "EVENT_BYTES_MAX", 100)
    cutter = sse.Cutter()

    passed = b"".join(cutter.whole(b"x" * 30) for _ in range(5))

    assert passed + cutter.rest() == b"x" * 150
    assert len(passed) == 120


def test_large_event_in_small_chunks_is_fast() -> None:
    """The time to wait for one event grows with its size, not with its square: 2 MiB in chunks of 64 bytes."""
    cutter = sse.Cutter()
    chunk = b"x" * 64
    for _ in range(2 * 1024 * 1024 // 64):
        assert cutter.whole(chunk) == b""

    assert len(cutter.whole(b"\n\n")) == 2 * 1024 * 1024 + 2


def test_crumbs_behind_a_large_chunk_are_as_fast_as_behind_a_small_one() -> None:
    """What waits is not copied for each byte that comes."""

    def time_s(waiting_bytes: int) -> float:
        cutter = sse.Cutter()
        cutter.whole(b"x" * waiting_bytes)
        began = time.perf_counter()
        for _ in range(3_000):
            cutter.whole(b"x")
        took_s = time.perf_counter() - began
        assert cutter.rest() == b"x" * (waiting_bytes + 3_000)
        return took_s

    assert min(time_s(8 * 1024 * 1024) for _ in range(3)) < 50 * max(time_s(1024) for _ in range(3))


@given(st.text("d:a\n\r x").map(str.encode))
def test_splitting_loses_nothing(events: bytes) -> None:
    """The events joined are the stream again, whatever the bytes."""
    assert b"".join(sse.split(events)) == events


@pytest.mark.parametrize(
    ("event", "data"),
    [
        (b"data: {}\n\n", b"{}"),
        (b"data:{}\r\n\r\n", b"{}"),
        (b"data: {}", b"{}"),
        (b'event: x\ndata: {"a": "data: b"}\n\n', b'{"a": "data: b"}'),
        (b"data: {\ndata: }\n\n", b"{\n}"),
        (b"data: {}\nid: 3\n\n", b"{}"),
        (b": ping\n\n", b""),
        (b"\n\n", b""),
        (b"data: [DONE]\n\n", b"[DONE]"),
    ],
)
def test_data_of_an_event(event: bytes, data: bytes) -> None:
    """Data lines are joined; comments and other fields are none."""
    assert sse.data(event) == data


def test_tape_remembers_all_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """Folding on the way changes nothing, and the memory ends at its limit."""
    monkeypatch.setattr(sse, "TAPE_BYTES_MAX", 10)
    tape = sse.Tape(bytes.decode)
    for number in range(100):
        tape.add(b"%d," % number)

    assert tape.text() == "".join(f"{number}," for number in range(100))

    monkeypatch.setattr(sse, "TAPE_LETTERS_MAX", 1000)
    for _ in range(1000):
        tape.add(b"abcdefghijk")
    assert len(tape.text()) == 1000
