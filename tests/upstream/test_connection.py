"""Every form of answer, in any pieces, on a transport that only records calls, without sockets."""

import asyncio
import itertools
from collections.abc import Iterable
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pertoken.upstream.connection import Connection
from pertoken.upstream.errors import (
    BodyTooLarge,
    ConnectionCut,
    FirstByteTimeout,
    IdleTimeout,
    ProtocolError,
    TotalTimeout,
    UpstreamError,
)
from pertoken.upstream.limits import ClientLimits
from pertoken.upstream.origin import Origin
from pertoken.upstream.pool import Pool

ASKED = b"POST / HTTP/1.1\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\n"
PLAIN = OK + b"Content-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = (
    OK
    + b"Transfer-Encoding: chunked\r\nX-Empty:\r\n\r\n3;ext=1\r\nhel\r\n2\r\nlo\r\n0\r\nX-Sum: 7\r\nX-More: 1\r\n\r\n"
)
CHUNKED_BODY = CHUNKED[CHUNKED.index(b"\r\n\r\n") + 4 :]
INTERIM = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + PLAIN


Data = bytes | bytearray | memoryview


class Recorder(asyncio.Transport):
    """A transport and a pool in one, which records what the connection does."""

    def __init__(self) -> None:
        super().__init__()
        self.closing = False
        self.reading = True
        self.written: list[bytes] = []
        self.log: list[str] = []

    def is_closing(self) -> bool:
        """Tell whether the transport was closed."""
        return self.closing

    def abort(self) -> None:
        """Close at once."""
        self.closing = True

    def write(self, data: Data) -> None:
        """Record written bytes."""
        self.written.append(bytes(data))

    def writelines(self, list_of_data: Iterable[Data]) -> None:
        """Record written pieces."""
        self.written.extend(map(bytes, list_of_data))

    def pause_reading(self) -> None:
        """Record a pause."""
        self.reading = False

    def resume_reading(self) -> None:
        """Record the end of a pause."""
        self.reading = True

    def idle(self, _connection: Connection, _now: float) -> None:
        """Record an idle connection."""
        self.log.append("idle")

    def spent(self, _connection: Connection) -> None:
        """Record a spent connection."""
        self.log.append("spent")

    def lost(self, _connection: Connection) -> None:
        """Record a lost connection."""
        self.log.append("lost")


class _Clock(asyncio.SelectorEventLoop):
    """An event loop whose clock a test advances; it never runs."""

    now_s = 0.0

    def time(self) -> float:
        return self.now_s


class Seen(NamedTuple):
    """What a caller gets for some bytes, and the state of the connection afterwards."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes
    error: UpstreamError | None
    reused: bool
    closed: bool


def answered(*pieces: bytes, head: bool = False, eof: bool = False, limits: ClientLimits | None = None) -> Seen:
    """Feed one answer in these pieces, then optionally the end of the connection."""
    loop = asyncio.new_event_loop()
    try:
        recorder = Recorder()
        connection = Connection(recorder, loop, limits or ClientLimits())
        connection.connection_made(recorder)
        transfer = connection.begin(loop.time(), bodiless=head)
        connection.write(ASKED, b"")
        for piece in pieces:
            if not recorder.closing:
                connection.data_received(piece)
        if eof or recorder.closing:
            connection.connection_lost(None)
        assert transfer.complete or transfer.error or not eof
        body = b"".join(transfer.pieces)
        reused = recorder.log[-1] == "idle"
        return Seen(transfer.status, transfer.headers, body, transfer.error, reused, recorder.closing)
    finally:
        loop.close()


@pytest.mark.parametrize("raw", [PLAIN, CHUNKED, INTERIM], ids=["plain", "chunked", "interim"])
def test_split_anywhere(raw: bytes) -> None:
    """An answer is read the same wherever it is cut into two pieces."""
    whole = answered(raw)

    assert (whole.status, whole.body, whole.error, whole.reused) == (200, b"hello", None, True)
    for cut in range(1, len(raw)):
        assert answered(raw[:cut], raw[cut:]) == whole, cut
    assert answered(*(raw[at : at + 1] for at in range(len(raw)))) == whole


@given(st.lists(st.integers(0, len(CHUNKED)), max_size=8))
def test_split_many_times(cuts: list[int]) -> None:
    """An answer is read the same in any number of pieces."""
    edges = [0, *sorted(set(cuts) - {0, len(CHUNKED)}), len(CHUNKED)]
    pieces = [CHUNKED[start:end] for start, end in itertools.pairwise(edges)]

    assert answered(*pieces) == answered(CHUNKED)


def test_header_shape() -> None:
    """Header names are in lower case and values have no spaces around them; repeated and empty fields are kept."""
    raw = OK + b"X-A:  1 \t\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nNone:\r\nContent-Length: 0\r\n\r\n"

    assert answered(raw).headers == [
        (b"x-a", b"1"),
        (b"set-cookie", b"a=1"),
        (b"set-cookie", b"b=2"),
        (b"none", b""),
        (b"content-length", b"0"),
    ]


@pytest.mark.parametrize(
    ("raw", "body", "reused"),
    [
        (b"HTTP/1.1 204 No Content\r\n\r\n", b"", True),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n", b"", True),
        (b"HTTP/1.1 307 Temporary Redirect\r\nLocation: /x\r\nContent-Length: 2\r\n\r\nno", b"no", True),
        (OK + b"Connection: close\r\nContent-Length: 2\r\n\r\nok", b"ok", False),
        (OK + b"Connection: Keep-Alive\r\nContent-Length: 2\r\n\r\nok", b"ok", True),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", b"ok", False),
        (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok", b"ok", True),
        (OK + b"Content-Length: 2\r\n\r\nok!", b"ok", False),
        (PLAIN + PLAIN, b"hello", False),
        (CHUNKED + b"x", b"hello", False),
        (OK + b"Connection: close\r\nContent-Length: 2\r\n\r\nok!!", b"ok", False),
        (OK + b"Connection: upgrade\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\nok", b"ok", True),
    ],
)
def test_reuse(raw: bytes, body: bytes, *, reused: bool) -> None:
    """A connection is used again only if the answer allows it and no byte came after the answer."""
    seen = answered(raw)

    assert (seen.body, seen.error, seen.reused, seen.closed) == (body, None, reused, not reused)


def test_head_has_no_body() -> None:
    """The answer to HEAD ends with its head, whatever its content-length, and its connection is not used again."""
    seen = answered(OK + b"Content-Length: 5000\r\n\r\n", head=True)

    assert (seen.status, seen.body, seen.error, seen.reused) == (200, b"", None, False)


def test_until_eof() -> None:
    """A body without a length ends with the connection."""
    seen = answered(b"HTTP/1.0 200 OK\r\n\r\nhel", b"lo", eof=True)

    assert (seen.body, seen.error) == (b"hello", None)


@pytest.mark.parametrize(
    "raw",
    [
        b"<html>",
        b"\x16\x03\x01\x00\x05hello",
        b"GET / HTTP/1.1\r\n\r\n",
        b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 099 Low\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 2000 High\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nxyz",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        OK + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
        OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        OK + b"Content-Length: 5, 5\r\n\r\nhello",
        OK + b"Content-Length: +5\r\n\r\nhello",
        OK + b"Content-Length: \r\n\r\nhello",
        OK + b"Content-Length: -1\r\n\r\n",
        OK + b"Content-Length: 99999999999999999999\r\n\r\n",
        OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: gzip\r\n\r\nabc",
        OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        OK + b"A: b\r\n folded\r\nContent-Length: 0\r\n\r\n",
        OK + b"A : b\r\nContent-Length: 0\r\n\r\n",
        OK + b"A: b\x00\r\nContent-Length: 0\r\n\r\n",
        OK + b"A: b\rX: y\r\nContent-Length: 0\r\n\r\n",
        OK + b"A: b\nContent-Length: 0\r\n\r\n",
        OK + b": b\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 204 No Content\nA: b\n\n",
    ],
)
def test_malformed_head(raw: bytes) -> None:
    """A head that is ambiguous or invalid is an error that closes the connection."""
    seen = answered(raw)

    assert isinstance(seen.error, ProtocolError)
    assert seen.error.sent
    assert (seen.status, seen.reused, seen.closed) == (0, False, True)


@pytest.mark.parametrize(
    "rest", [b"-3\r\nabc\r\n", b"fffffffffffffffff\r\n", b"3\r\nabcd\r\n", b"xyz\r\n", b"0\r\nBad Trailer\r\n\r\n"]
)
def test_malformed_chunk(rest: bytes) -> None:
    """An invalid chunk is an error that comes after the pieces before it."""
    seen = answered(OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n", rest)

    assert isinstance(seen.error, ProtocolError)
    assert seen.body.startswith(b"he")
    assert (seen.reused, seen.closed) == (False, True)


@pytest.mark.parametrize(
    ("raw", "before_head"),
    [
        (b"", True),
        (b"HTTP/1.1 200 OK\r\nContent-", True),
        (b"HTTP/1.1 100 Continue\r\n\r\n", True),
        (PLAIN[:-1], False),
        (CHUNKED[:-1], False),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhel", False),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", False),
    ],
)
def test_cut(raw: bytes, *, before_head: bool) -> None:
    """A connection that ends before its answer is an error that says whether the head was complete."""
    seen = answered(*([raw] if raw else []), eof=True)

    assert isinstance(seen.error, ConnectionCut)
    assert (seen.error.before_head, seen.error.sent) == (before_head, True)


@pytest.mark.parametrize(
    "pieces",
    [
        (OK + b"".join(b"X-%d: y\r\n" % number for number in range(200)) + b"\r\n",),
        (OK + b"X: " + b"y" * 600, b"y" * 600),
        (OK + b"X: " + b"y" * 2000 + b"\r\nContent-Length: 0\r\n\r\n",),
        (b"HTTP/1.1 200 " + b"O" * 1200,),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 50, b"HTTP/1.1 100 Continue\r\n\r\n"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n", b"0\r\nX: " + b"y" * 600, b"y" * 600),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n", b"1;" + b"y" * 600, b"y" * 600),
    ],
    ids=["fields", "drip", "one value", "reason", "interim", "trailer", "extension"],
)
def test_bombs(pieces: tuple[bytes, ...]) -> None:
    """Heads, interim heads, trailers and chunk extensions above the limit are refused before they fill memory."""
    seen = answered(*pieces, limits=ClientLimits(header_bytes=1024))

    assert isinstance(seen.error, ProtocolError)
    assert "larger than 1024 bytes" in str(seen.error)
    assert seen.closed


def test_head_limit_does_not_count_the_body() -> None:
    """The limit on heads does not count a large body in the same packet."""
    body = b"x" * 5000

    assert answered(OK + b"Content-Length: 5000\r\n\r\n" + body, limits=ClientLimits(header_bytes=1024)).body == body


def test_unasked_answer() -> None:
    """Bytes on an idle connection close it, so they never become the next caller's answer."""
    loop = asyncio.new_event_loop()
    recorder = Recorder()
    connection = Connection(recorder, loop, ClientLimits())
    connection.connection_made(recorder)
    connection.data_received(PLAIN)
    loop.close()

    assert recorder.closing
    assert recorder.log == ["spent"]


@pytest.mark.parametrize(
    ("limits", "raw", "expected"),
    [
        (ClientLimits(first_byte_ms=1), b"", FirstByteTimeout),
        (ClientLimits(first_byte_ms=1), b"HTTP/1.1 100 Continue\r\n\r\n", FirstByteTimeout),
        (ClientLimits(first_byte_ms=1), PLAIN[:-1], None),
        (ClientLimits(idle_ms=1), PLAIN[:-1], IdleTimeout),
        (ClientLimits(idle_ms=1), b"", None),
        (ClientLimits(total_ms=1), PLAIN[:-1], TotalTimeout),
        (ClientLimits(total_ms=1), b"", TotalTimeout),
        (ClientLimits(total_ms=1), PLAIN, None),
        (ClientLimits(first_byte_ms=100_000, idle_ms=100_000, total_ms=100_000), PLAIN[:-1], None),
    ],
)
def test_times(limits: ClientLimits, raw: bytes, expected: type[UpstreamError] | None) -> None:
    """Each time limit ends a transfer only in its own phase, and never after a complete answer."""
    loop = asyncio.new_event_loop()
    recorder = Recorder()
    connection = Connection(recorder, loop, limits)
    connection.connection_made(recorder)
    transfer = connection.begin(loop.time(), bodiless=False)
    connection.write(ASKED, b"")
    if raw:
        connection.data_received(raw)
    connection.check(loop.time() + 10)
    loop.close()

    assert type(transfer.error) is (expected or type(None))
    assert recorder.closing == (expected is not None)


def test_slow_reader_is_no_idle_provider() -> None:
    """While our reading is paused, the provider's idle time does not run; it restarts when reading resumes."""
    loop = asyncio.new_event_loop()
    recorder = Recorder()
    connection = Connection(recorder, loop, ClientLimits(idle_ms=5_000))
    connection.connection_made(recorder)
    transfer = connection.begin(loop.time(), bodiless=False)
    connection.write(ASKED, b"")
    connection.data_received(OK + b"Content-Length: 1000000\r\n\r\n" + b"x" * 300_000)
    assert not recorder.reading
    connection.check(loop.time() + 10)
    assert transfer.error is None
    connection._heard_at = loop.time() - 100
    transfer.take()
    assert recorder.reading
    connection.check(loop.time() + 4)
    assert transfer.error is None
    connection.check(loop.time() + 10)
    loop.close()

    assert isinstance(transfer.error, IdleTimeout)


@pytest.mark.parametrize(
    ("total_ms", "body", "expected", "ended_at_s"),
    [
        (900_000, b"hello", None, 4 * len(CHUNKED_BODY)),
        (4_000 * len(CHUNKED_BODY) - 2_000, b"hello", TotalTimeout, 4 * len(CHUNKED_BODY) - 2),
        (10_000, b"", TotalTimeout, 10),
    ],
)
def test_a_byte_at_a_time(total_ms: int, body: bytes, expected: type[UpstreamError] | None, ended_at_s: int) -> None:
    """A provider that keeps sending single bytes is stopped by the total limit, not by the idle limit."""
    clock, recorder = _Clock(), Recorder()
    limits = ClientLimits(idle_ms=5_000, total_ms=total_ms)
    pool = Pool(Origin("http", "provider", 80), None, limits)
    connection = Connection(pool, clock, limits)
    connection.connection_made(recorder)
    pool.check_out(connection)
    transfer = connection.begin(clock.time(), bodiless=False)
    connection.write(ASKED, b"")
    connection.data_received(CHUNKED[: -len(CHUNKED_BODY)])
    left = iter(CHUNKED_BODY)
    while not transfer.complete and transfer.error is None:
        clock.now_s += 1
        pool.check(clock.time())
        if clock.now_s % 4 == 0 and transfer.error is None:
            connection.data_received(bytes([next(left)]))
    clock.close()

    assert type(transfer.error) is (expected or type(None))
    assert (b"".join(transfer.pieces), clock.now_s) == (body, ended_at_s)
    assert recorder.closing == (expected is not None)


def test_a_pause_does_not_outlive_its_transfer() -> None:
    """If an answer ends while reading is paused, its connection returns to the pool with reading resumed."""
    loop = asyncio.new_event_loop()
    recorder = Recorder()
    connection = Connection(recorder, loop, ClientLimits())
    connection.connection_made(recorder)
    connection.begin(loop.time(), bodiless=False)
    connection.write(ASKED, b"")
    connection.data_received(OK + b"Content-Length: 300000\r\n\r\n" + b"x" * 300_000)
    loop.close()

    assert recorder.log == ["idle"]
    assert recorder.reading


def test_pieces_of_a_whole_body_are_bounded() -> None:
    """A body read whole in a million tiny pieces is joined as it arrives, and refused exactly above the limit."""

    async def story(size: int) -> bytes:
        loop = asyncio.get_running_loop()
        recorder = Recorder()
        connection = Connection(recorder, loop, ClientLimits())
        connection.connection_made(recorder)
        transfer = connection.begin(loop.time(), bodiless=False)
        connection.write(ASKED, b"")
        connection.data_received(OK + b"Content-Length: %d\r\n\r\n" % size)
        reading = asyncio.create_task(transfer.read_whole(5_000))
        await asyncio.sleep(0)
        for _ in range(size):
            if not recorder.closing:
                connection.data_received(b"x")
                assert len(transfer.pieces) < 1024
        return await reading

    assert asyncio.run(story(5_000)) == b"x" * 5_000
    with pytest.raises(BodyTooLarge, match="larger than 5000 bytes"):
        asyncio.run(story(5_001))
