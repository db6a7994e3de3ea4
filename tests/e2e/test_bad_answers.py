"""Providers that answer slowly, hugely, in crumbs, without end, or with lies about size.

Memory stays bounded, the call ends and is settled, and others are served while the bad answer is held half way. With -s
each test prints what it measured.
"""

import contextlib
import gzip
import json
import socket
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest
from tests.e2e import counting
from tests.e2e.conftest import Process
from tests.e2e.rig import (
    DONE,
    HEAD,
    MB,
    MODEL,
    PATIENCE_S,
    Call,
    Rig,
    Stop,
    chunk,
    ending,
    event,
    read_all,
    report,
    rig,
    usage,
    wait_for,
    words,
)
from tests.factories import own

from pertoken.core.events import Event

CLOSE = b"connection: close\r\n"
IDLE_MS = 500
TOTAL_MS = 1_500
PLAIN_MB = 10


@pytest.fixture(scope="module")
def _calm(tmp_path_factory: pytest.TempPathFactory, simulator: Process) -> Iterator[Rig]:
    with rig(tmp_path_factory.mktemp("rig"), simulator) as made:
        yield made


@pytest.fixture(scope="module")
def _hasty(tmp_path_factory: pytest.TempPathFactory, simulator: Process) -> Iterator[Rig]:
    with rig(tmp_path_factory.mktemp("hasty"), simulator, idle_ms=str(IDLE_MS), total_ms=str(TOTAL_MS)) as made:
        yield made


@pytest.fixture(scope="module")
def _busy(tmp_path_factory: pytest.TempPathFactory, simulator: Process) -> Iterator[Rig]:
    with rig(tmp_path_factory.mktemp("busy"), simulator, idle_ms="200") as made:
        yield made


@pytest.fixture
def house(_calm: Rig, request: pytest.FixtureRequest) -> Rig:
    """Return a gateway that waits for its providers, with a key for this test."""
    return _calm.anew(request.node.name)


@pytest.fixture
def hasty(_hasty: Rig, request: pytest.FixtureRequest) -> Rig:
    """Return a gateway that does not wait long, with a key for this test."""
    return _hasty.anew(request.node.name)


@pytest.fixture
def busy(_busy: Rig, request: pytest.FixtureRequest) -> Rig:
    """Return a gateway for hundreds of calls, with a key for this test; a silent provider is soon given up."""
    return _busy.anew(request.node.name)


@pytest.fixture
def fresh(tmp_path: Path, simulator: Process) -> Iterator[Rig]:
    """Return a gateway of its own: what it has freed before does not hide what it needs."""
    with rig(tmp_path, simulator) as made:
        yield made


class Told(NamedTuple):
    """What came of one call to the bad provider, and what it did to the gateway."""

    received: bytes
    event: Event
    more_mb: float


def ask(made: Rig, what: str, stop_bytes: int, *, stream: bool = True) -> Told:
    """Make a call to the bad provider, hold its answer after so many bytes, and have the others served meanwhile."""
    stop = made.provider.stop_at = Stop(stop_bytes)

    def go_on() -> None:
        stop.may_go_on.set()

    return beside(made, what, stop.is_reached.is_set, go_on, stream=stream)


def beside(
    made: Rig, what: str, is_held: Callable[[], bool], go_on: Callable[[], None], *, stream: bool = True
) -> Told:
    """Make a call to the bad provider; once it is held in place the others are served, and again when it goes on."""
    more_mb = made.watch_memory()
    received: list[bytes] = []

    def call() -> None:
        with made.client(made.request(stream=stream, more_headers=CLOSE), patience_s=2 * PATIENCE_S) as connection:
            received.append(read_all(connection))

    thread = threading.Thread(target=call)
    thread.start()
    try:
        wait_for(is_held)
        made.others()
        assert thread.is_alive(), "the answer was not held"
        assert len(made.open_holds()) == 1
    finally:
        go_on()
        made.others()  # while the gateway works on the rest
        thread.join()
    [settled] = made.settled(1, within_s=PATIENCE_S)
    report(what, f"{more_mb():.0f} MB more memory")
    assert made.differences() == []
    return Told(received[0], settled, more_mb())


def whole(body: bytes, more: bytes = b"") -> bytes:
    """Return a whole answer."""
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n" % len(body)
    return head + more + b"\r\n" + body


def completion(text: str, *, has_usage: bool = True) -> bytes:
    """Return the body of a whole chat completion."""
    message = {"role": "assistant", "content": text}
    body = {"id": "c", "model": MODEL, "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
    used = {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12}
    return json.dumps(body | ({"usage": used} if has_usage else {})).encode()


def drip(call: Call, data: bytes, pause_s: float = 0) -> None:
    """Send bytes one by one, each in a packet of its own."""
    call.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for byte in data:
        call.push(bytes([byte]))
        time.sleep(pause_s)


def test_a_byte_at_a_time(house: Rig) -> None:
    """What comes byte by byte is passed on as any other answer."""
    data = HEAD + chunk(event("hello")) + ending(1)
    house.provider.story = lambda call: drip(call, data)
    told = ask(house, f"{len(data)} bytes, one by one", len(data) // 2)

    assert told.received.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
    assert told.event.quantities["output_tokens"] == 1
    assert told.more_mb < 4


def test_a_byte_at_a_time_without_end(hasty: Rig) -> None:
    """It is waited for until the longest time of a call is over; what came is charged."""

    def story(call: Call) -> None:
        call.push(HEAD + chunk(event("hello")))
        drip(call, chunk(b": nothing" * 1_000), 0.02)

    hasty.provider.story = story
    with hasty.client(hasty.request(more_headers=CLOSE)) as connection:
        received = read_all(connection)

    assert b"longer than %d ms" % TOTAL_MS in received
    [settled] = hasty.settled(1)
    assert settled.completeness == "estimated"
    assert settled.quantities["output_tokens"] == 1
    assert hasty.differences() == []


def test_one_chunk_of_ten_megabytes(house: Rig) -> None:
    """One event as large as that is passed on, and read."""
    data = HEAD + chunk(event("word " * (PLAIN_MB * MB // 5))) + ending(7)
    house.provider.story = lambda call: call.push(data)
    told = ask(house, "one chunk of 10 MB", len(data) // 2)

    assert len(told.received) > PLAIN_MB * MB
    assert told.received.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
    assert told.event.quantities["output_tokens"] == 7
    assert told.more_mb < 10 * PLAIN_MB


def test_an_event_that_never_ends(fresh: Rig) -> None:
    """A line of 48 MB is not waited for: it is passed on in parts, and so is what follows."""
    data = HEAD + chunk(b"data: " + b"x" * 48 * MB) + chunk(b"\n\n") + ending(7)
    fresh.provider.story = lambda call: call.push(data)
    told = ask(fresh, "an event of 48 MB", len(data) // 2)

    assert len(told.received) > 48 * MB
    assert told.event.quantities["output_tokens"] == 7
    assert told.more_mb < 128


@pytest.mark.parametrize("has_events", [True, False], ids=["events", "no event"])
def test_a_hundred_thousand_chunks_of_a_byte(house: Rig, has_events: bool) -> None:
    """A hundred thousand tiny chunks are one answer."""
    plain = event("hello ") * 800 if has_events else b": " + b"x" * 100_000 + b"\n\n"
    data = b"".join(b"1\r\n%c\r\n" % byte for byte in plain)

    def story(call: Call) -> None:
        call.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        call.push(HEAD)
        for at in range(0, len(data), 6):
            call.push(data[at : at + 6])
        call.push(ending(7))

    house.provider.story = story
    told = ask(house, f"{len(plain)} chunks of a byte", len(data) // 2)

    assert told.received.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
    assert told.received.count(b"hello ") == (800 if has_events else 0)
    assert told.event.quantities["output_tokens"] == 7
    assert told.more_mb < 16


LINE = b"x-filler: " + b"x" * 1_000 + b"\r\n"


@pytest.mark.parametrize(
    ("start", "again", "said"),
    [
        (b"HTTP/1.1 200 OK\r\n", LINE, b"head or trailer is larger than 65536 bytes"),
        (b"", b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n", b"head or trailer is larger than 65536 bytes"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n", b"head or trailer is larger than 65536 bytes"),
        (b"", b"HTTP/1.1 102 Processing\r\n\r\n", b"head or trailer is larger than 65536 bytes"),
        (b"", b"\r\n", b"head or trailer is larger than 65536 bytes"),
        (HEAD + b"5;", b"x" * 1_000, b"head or trailer is larger than 65536 bytes"),
        (HEAD + b"0\r\n", LINE, b"head or trailer is larger than 65536 bytes"),
        (HEAD + b"0" * 1_000, b"0" * 1_000, b"head or trailer is larger than 65536 bytes"),
        (HEAD + b"fffffffffffffffffffff\r\n" + event("hi"), b"", b"not http/1.1: Chunk size overflow"),
        (HEAD + b"3\r\n" + event("hi") + b"\r\n", b"", b"not http/1.1: Expected LF after chunk data"),
        (HEAD + b"-3\r\n" + event("hi") + b"\r\n", b"", b"not http/1.1: Invalid character in chunk size"),
        (HEAD + b"fffffffff\r\n" + event("hi"), b"", b"stalled for longer than %d ms" % IDLE_MS),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999\r\n\r\n", b"", b"not http/1.1"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n" + event("hi"), b"", b"longer than %d ms" % IDLE_MS),
    ],
    ids=["head", "interim heads", "100", "102", "empty lines", "extension", "trailers", "chunk size", "overflow",
         "too short", "negative", "too long", "length overflow", "length too long"],
)  # fmt: skip
def test_sizes_that_lie(hasty: Rig, start: bytes, again: bytes, said: bytes) -> None:
    """An answer whose frame has no end, or is none, ends the call with an error that says so, and costs no memory."""
    is_cut = threading.Event()

    def story(call: Call) -> None:
        try:
            call.push(start)
            while again:
                call.push(again)
            while call.connection.recv(1):
                pass
        finally:
            is_cut.set()

    hasty.provider.story = story
    more_mb = hasty.watch_memory()
    with hasty.client(hasty.request(more_headers=CLOSE)) as connection:
        received = read_all(connection)
    assert is_cut.wait(10)

    assert said in received
    assert hasty.provider.pushed_bytes < 8 * MB
    assert more_mb() < 4
    [event] = hasty.settled(1)  # where not even the head can be read, too: the provider had the request
    assert event.completeness == "estimated"
    assert event.cost_picos > 0
    assert hasty.differences() == []


ONE_BODY = completion("hi")
LENGTH = b"content-length: %d\r\n" % len(ONE_BODY)
IN_A_CHUNK = chunk(ONE_BODY) + b"0\r\n\r\n"


@pytest.mark.parametrize(
    ("head", "body"),
    [
        (b"200 OK\r\n" + LENGTH + LENGTH, ONE_BODY),
        (b"200 OK\r\n" + LENGTH + b"content-length: 5\r\n", ONE_BODY),
        (b"200 OK\r\ncontent-length: %d, %d\r\n" % (len(ONE_BODY), len(ONE_BODY)), ONE_BODY),
        (b"200 OK\r\ncontent-length: +%d\r\n" % len(ONE_BODY), ONE_BODY),
        (b"200 OK\r\ncontent-length: -1\r\n", ONE_BODY),
        (b"200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n", IN_A_CHUNK),
        (b"200 OK\r\ntransfer-encoding: gzip, chunked\r\n", IN_A_CHUNK),
        (b"200 OK\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n", IN_A_CHUNK),
        (b"200 OK\r\ntransfer-encoding: identity\r\n", ONE_BODY),
        (b"200 OK\r\ntransfer-encoding: xchunked\r\n", IN_A_CHUNK),
        (b"200 OK\r\ntransfer-encoding : chunked\r\n", IN_A_CHUNK),
        (b"200 OK\r\ntransfer-encoding:\r\n chunked\r\n", IN_A_CHUNK),
        (b"200 OK\r\nx: a\0b\r\n" + LENGTH, ONE_BODY),
        (b"200 OK\r\nx: a\rb: c\r\n" + LENGTH, ONE_BODY),
        (b"200 OK\n" + LENGTH, ONE_BODY),
        (b"101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n", b""),
        (b"2000 OK\r\n" + LENGTH, ONE_BODY),
    ],
)
@pytest.mark.parametrize("is_stream", [True, False], ids=["streamed", "whole"])
def test_a_frame_that_could_be_read_in_two_ways(house: Rig, head: bytes, body: bytes, is_stream: bool) -> None:
    """Nothing of such an answer reaches the client; its input is charged, and the next call served elsewhere."""
    house.provider.story = lambda call: call.push(b"HTTP/1.1 " + head + b"\r\n" + body)
    with house.client(house.request(stream=is_stream, more_headers=CLOSE)) as connection:
        received = read_all(connection)
    assert received.startswith(b"HTTP/1.1 502")
    assert b'"hi"' not in received

    house.provider.story = lambda call: call.push(whole(ONE_BODY))
    with house.client(house.request(stream=False, more_headers=CLOSE)) as connection:
        assert b'"hi"' in read_all(connection)
    assert sorted(event.completeness for event in house.settled(2)) == ["estimated", "final"]
    assert house.differences() == []


@pytest.mark.parametrize("piece", [b": ping\n\n", b"\n\n", b"data:\n\n", b"data: null\n\n", b": " + b"x" * 60_000])
def test_a_stream_of_nothing(hasty: Rig, piece: bytes) -> None:
    """Comments and empty events without end keep a call no longer than any call may take, and no memory."""

    def story(call: Call) -> None:
        call.push(HEAD)
        while True:
            call.push(chunk(piece))
            time.sleep(0.001)

    hasty.provider.story = story
    more_mb = hasty.watch_memory()
    with hasty.client(hasty.request(more_headers=CLOSE)) as connection:
        received = read_all(connection)

    assert b"longer than %d ms" % TOTAL_MS in received[-500:]
    assert more_mb() < 64
    [settled] = hasty.settled(1)
    assert settled.completeness == "estimated"
    assert settled.cost_picos > 0
    assert hasty.differences() == []


@pytest.mark.parametrize("status", [204, 205, 304])
@pytest.mark.parametrize("is_stream", [True, False], ids=["streamed", "whole"])
def test_an_answer_without_a_body(house: Rig, status: int, is_stream: bool) -> None:
    """A client that asked for a stream is never told that there is none, and sent one: it would be the next answer."""
    house.provider.story = lambda call: call.push(b"HTTP/1.1 %d x\r\ncontent-length: 0\r\n\r\n" % status)
    with house.client(house.request(stream=is_stream, more_headers=CLOSE)) as connection:
        received = read_all(connection)

    head, _, body = received.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 502") if is_stream else body == b""
    assert house.settled(1)[0].cost_picos > 0
    assert house.differences() == []


def test_a_whole_answer_of_fifty_megabytes(fresh: Rig) -> None:
    """It is held whole, a few times over for a moment, since its head says what it cost."""
    data = whole(completion("word " * (50 * MB // 5)))
    fresh.provider.story = lambda call: call.push(data)
    told = ask(fresh, "a whole answer of 50 MB", len(data) // 2, stream=False)

    assert len(told.received) > 50 * MB
    assert told.event.quantities["output_tokens"] == 7
    assert told.more_mb < 4 * 50


def test_a_whole_answer_above_the_limit(fresh: Rig) -> None:
    """It is refused as soon as the limit is passed; what was held is charged."""
    data = whole(b"x" * 100 * MB)
    fresh.provider.story = lambda call: call.push(data)
    told = ask(fresh, "a whole answer of 100 MB", 32 * MB, stream=False)

    assert b"larger than 67108864 bytes" in told.received
    assert told.event.completeness == "estimated"
    assert told.event.cost_picos == own(told.event).held_picos > 0
    assert told.more_mb < 3 * 64


def test_fifty_megabytes_that_must_be_counted(
    tmp_path: Path, simulator: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer without usage is counted, as far as its cap goes, and others are served before that is done."""
    order = tmp_path / "order"
    order.touch()
    monkeypatch.setenv(counting.VARIABLE, str(order))
    data = whole(completion("word " * (50 * MB // 5), has_usage=False))
    with rig(tmp_path, simulator, counting.__file__) as made:
        made.provider.story = lambda call: call.push(data)
        told = beside(
            made,
            "a whole answer of 50 MB without usage",
            order.with_suffix(".begun").exists,
            order.unlink,
            stream=False,
        )

    assert told.event.completeness == "estimated"
    assert told.event.quantities["output_tokens"] == 16_384
    assert told.more_mb < 6 * 50


@pytest.mark.parametrize("is_stream", [True, False], ids=["streamed", "whole"])
def test_a_text_that_no_tokenizer_takes_at_once(house: Rig, is_stream: bool) -> None:
    """Millions of spaces, which overflow a regular expression, are counted all the same."""
    spaces = " " * 4 * MB
    body = HEAD + chunk(event(spaces)) + chunk(DONE) + b"0\r\n\r\n"
    data = body if is_stream else whole(completion(spaces, has_usage=False))
    house.provider.story = lambda call: call.push(data)
    told = ask(house, "4 MB of spaces", len(data) // 2, stream=is_stream)

    assert len(told.received) > 4 * MB
    assert told.event.completeness == "estimated"
    assert told.event.quantities["output_tokens"] > 1_000
    assert told.more_mb < 64


@cache
def packed_spaces(size: int) -> bytes:
    """Return so many spaces as one gzip member, packed to a thousandth."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    piece = packer.compress(b" " * MB) + packer.flush(zlib.Z_FULL_FLUSH)  # nothing before it matters to it
    end = packer.flush()
    sum_ = 0
    for _ in range(size // MB):
        sum_ = zlib.crc32(b" " * MB, sum_)
    trailer = sum_.to_bytes(4, "little") + (size % 2**32).to_bytes(4, "little")
    return b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + piece * (size // MB) + end + trailer


@pytest.mark.parametrize("is_stream", [True, False], ids=["streamed", "whole"])
def test_a_packed_answer(house: Rig, is_stream: bool) -> None:
    """We ask for plain answers; one that comes packed all the same is unpacked, read and charged as any other."""
    events = event("hello ") * 100 + usage(100)
    packed = gzip.compress(events if is_stream else completion("hello"))
    head = HEAD.replace(b"\r\n\r\n", b"\r\ncontent-encoding: gzip\r\n\r\n")
    pieces = b"".join(chunk(packed[at : at + 50]) for at in range(0, len(packed), 50))
    data = head + pieces + b"0\r\n\r\n" if is_stream else whole(packed, b"content-encoding: gzip\r\n")
    house.provider.story = lambda call: call.push(data)
    told = ask(house, "a packed answer", len(data) - 50, stream=is_stream)

    assert b"hello" in told.received
    assert b"content-encoding" not in told.received
    assert told.event.completeness == "final"
    assert told.event.quantities["output_tokens"] == (100 if is_stream else 7)


def test_an_answer_packed_in_an_unknown_way(house: Rig) -> None:
    """It is refused, not passed on unread: the input is charged, since the provider has done its work."""
    house.provider.story = lambda call: call.push(whole(b"?" * 1_000, b"content-encoding: br\r\n"))
    with house.client(house.request(stream=False, more_headers=CLOSE)) as connection:
        received = read_all(connection)

    assert received.startswith(b"HTTP/1.1 502")
    assert b"the answer has a content-encoding that was not asked for" in received
    [event] = house.settled(1)
    assert event.completeness == "estimated"
    assert event.cost_picos > 0


@pytest.mark.parametrize("is_stream", [True, False], ids=["streamed", "whole"])
def test_a_bomb(house: Rig, is_stream: bool) -> None:
    """A megabyte that unpacks to a gigabyte is refused on the way."""
    bomb = packed_spaces(1024 * MB)
    head = HEAD.replace(b"\r\n\r\n", b"\r\ncontent-encoding: gzip\r\n\r\n")
    data = head + chunk(bomb) + b"0\r\n\r\n" if is_stream else whole(bomb, b"content-encoding: gzip\r\n")
    house.provider.story = lambda call: call.push(data)
    told = ask(house, "a gigabyte packed into one megabyte", 700 if is_stream else len(data) - 1_000, stream=is_stream)

    assert b"grows by more than the limit when decoded" in told.received
    assert told.event.completeness == "estimated"
    assert told.more_mb < 32


@pytest.mark.parametrize("ending_as", ["whole", "cut", "closed", "silent"])
def test_nothing_is_left_of_a_call(busy: Rig, ending_as: str) -> None:
    """However a call ends, its request and its answer are let go at once, not when the collector comes by."""
    calls = 200 if ending_as == "whole" else 100

    def story(call: Call) -> None:
        if ending_as == "closed":
            call.connection.shutdown(socket.SHUT_RDWR)
            return
        call.push(HEAD + words(100))
        if ending_as == "whole":
            call.push(ending(100))
        elif ending_as == "cut":
            call.connection.shutdown(socket.SHUT_RDWR)
        else:
            call.connection.recv(1)

    busy.provider.story = story
    more_mb = busy.watch_memory()
    with contextlib.ExitStack() as stack:
        request = busy.request(more_headers=CLOSE, user="x" * MB)
        for _ in range(calls // 10):
            clients = [stack.enter_context(busy.client(request)) for _ in range(10)]
            for client in clients:
                assert read_all(client)
    busy.settled(0 if ending_as == "closed" else calls, within_s=PATIENCE_S)

    report(f"{calls} calls of 1 MB, {ending_as}", f"{more_mb():.0f} MB more memory")
    assert more_mb() < 50  # ten at a time take about half of that; what a story before has freed hides no more
