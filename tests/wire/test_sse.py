"""Splitting a stream into whole events, and keeping its text."""

import itertools
import tracemalloc
from collections.abc import Callable, Iterable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pertoken.wire import sse

EVENTS = b'data: {"a":1}\n\nevent: x\ndata: {"b":2}\r\n\r\n: ping\n\n\n\ndata: last\n\n'


@given(st.lists(st.integers(0, len(EVENTS)), max_size=8))
def test_cutting_loses_nothing(places: list[int]) -> None:
    """For any split of a stream, whole events come out in order, each ends with a blank line, and nothing remains."""
    cutter = sse.Cutter()
    edges = [0, *sorted(places), len(EVENTS)]

    pieces = [cutter.whole(EVENTS[start:end]) for start, end in pairwise(edges)]

    assert b"".join(pieces) == EVENTS
    assert all(not piece or piece.endswith(b"\n") for piece in pieces)
    assert cutter.rest() == b""


def test_unfinished_event_waits() -> None:
    """An unfinished event is kept and can be read."""
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


def needed_bytes(step: Callable[[bytes], object], chunks: Iterable[bytes]) -> int:
    """Return the sum of the peak memory of these steps, in bytes.

    A copy needs memory, so a step that copies all earlier bytes shows here, on any machine.
    """
    needed = 0
    tracemalloc.start()
    try:
        for chunk in chunks:
            before, _ = tracemalloc.get_traced_memory()
            tracemalloc.reset_peak()
            step(chunk)
            needed += tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    return needed


@pytest.mark.parametrize("waiting_bytes", [0, 1024 * 1024], ids=["from the beginning", "behind a large chunk"])
def test_what_waits_is_not_copied_for_each_piece_that_comes(waiting_bytes: int) -> None:
    """An event in small chunks is joined once for many chunks, not with each chunk."""
    cutter = sse.Cutter()
    cutter.whole(b"x" * waiting_bytes)
    chunks = 4 * sse.PIECES_MAX
    size = waiting_bytes + chunks * 64
    needed = needed_bytes(cutter.whole, itertools.repeat(b"x" * 64, chunks))

    assert needed < (chunks // sse.PIECES_MAX + 1) * size + chunks * 1024
    assert cutter.rest() == b"x" * size
    assert len(cutter.whole(b"\n\n")) == size + 2


def test_a_tape_does_not_copy_what_it_has_for_each_event() -> None:
    """Adding an event to the tape needs memory only for that event, however much the tape has."""
    tape = sse.Tape(bytes.decode, lambda _: None)
    event = b"data: x\n\n" * 40
    events = 4 * sse.TAPE_BYTES_MAX // len(event)
    needed = needed_bytes(tape.add, itertools.repeat(event, events))

    assert needed < 4 * events * len(event) + events * 1024
    assert tape.text() == (event * events).decode()


@given(st.text("d:a\n\r x").map(str.encode))
def test_splitting_loses_nothing(events: bytes) -> None:
    """For any bytes, the joined events are the stream again."""
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
    """Data lines are joined; comments and other fields are ignored."""
    assert sse.data(event) == data


def test_tape_remembers_all_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parsing early does not change the text, the text has a limit, and `skim` gets all bytes before they go."""
    monkeypatch.setattr(sse, "TAPE_BYTES_MAX", 10)
    seen: list[bytes] = []
    tape = sse.Tape(bytes.decode, seen.append)
    for number in range(100):
        tape.add(b"%d," % number)

    assert tape.text() == "".join(f"{number}," for number in range(100))

    monkeypatch.setattr(sse, "TAPE_LETTERS_MAX", 1000)
    for _ in range(1000):
        tape.add(b"abcdefghijk")
    assert len(tape.text()) == 1000
    assert b"".join(seen).endswith(b"99," + b"abcdefghijk" * 1000)
