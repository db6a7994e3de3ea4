"""Random answers in random pieces, with random events: no caller gets the answer of another."""

import asyncio
from typing import Any, NamedTuple

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from tests.conftest import deep, examples
from tests.upstream.test_connection import Recorder

from pertoken.upstream import states
from pertoken.upstream.connection import Connection
from pertoken.upstream.errors import ClientClosed, UpstreamError
from pertoken.upstream.limits import ClientLimits
from pertoken.upstream.response import Response

OK = b"HTTP/1.1 200 OK\r\n"
LARGE = b"x" * 3 * 1024 * 1024  # a request body that waits for the socket
TURNS = 8


class Kind(NamedTuple):
    """How an answer is sent, and whether its connection may be used again."""

    raw: bytes  # %b is the body
    kept: bool = True
    is_good: bool = True
    to_eof: bool = False


KINDS = {
    "sized": Kind(OK + b"Content-Length: 4000\r\n\r\n%b"),
    "chunked": Kind(OK + b"Transfer-Encoding: chunked\r\n\r\nfa0\r\n%b\r\n0\r\n\r\n"),
    "interim first": Kind(b"HTTP/1.1 103 Early Hints\r\n\r\n" + OK + b"Content-Length: 4000\r\n\r\n%b"),
    "the last": Kind(OK + b"Connection: close\r\nContent-Length: 4000\r\n\r\n%b", kept=False),
    "with more behind": Kind(OK + b"Content-Length: 4000\r\n\r\n%b" + OK + b"Content-Length: 0\r\n\r\n", kept=False),
    "to its end": Kind(b"HTTP/1.0 200 OK\r\n\r\n%b", kept=False, to_eof=True),
    "nonsense": Kind(b"nonsense %b", kept=False, is_good=False),
    "two lengths": Kind(OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n%b", kept=False, is_good=False),
}


class Call:
    """One call, as its caller sees it."""

    def __init__(self, number: int, kind: Kind) -> None:
        self.kind = kind
        self.expected = (b"%04d" % number) * 1000
        self.got = bytearray()
        self.ended: BaseException | bool = False

    async def run(self, connection: Connection, body: bytes, way: str) -> None:
        """Send a request, and read the answer in one of three ways."""
        try:
            transfer = connection.begin(0.0, bodiless=False)
            if not connection.write(b"head", body):
                await connection.upload(transfer, body)
            while not transfer.status:
                if transfer.error is not None:
                    raise transfer.error
                await transfer.wait()
            response = Response(transfer, 1_000_000)
            if way == "whole":
                self.got += await response.read()
            elif way == "pieces":
                async for piece in response:
                    self.got += piece
            else:
                await response.pour(self._take, self._room)
            self.ended = True
        except (UpstreamError, asyncio.CancelledError) as error:
            self.ended = error

    def _take(self, piece: bytes) -> bool:
        self.got += piece
        return True  # always full

    async def _room(self) -> None:
        await asyncio.sleep(0)


class Connections(RuleBasedStateMachine):
    """One connection to a provider; when it is closed, a new one."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.faults: list[dict[str, Any]] = []
        self.loop.set_exception_handler(lambda _loop, context: self.faults.append(context))
        self.calls: list[Call] = []
        self.tasks: list[asyncio.Task[None]] = []
        self.open()

    def open(self) -> None:
        """Open a connection."""
        self.recorder = Recorder()
        self.connection = Connection(self.recorder, self.loop, ClientLimits(idle_ms=10_000_000, total_ms=10_000_000))
        self.connection.connection_made(self.recorder)
        self.unsent = b""
        self.lost = False

    def teardown(self) -> None:
        """Close everything: every call must have ended."""
        self.lose(None)
        self.check()
        assert all(call.ended for call in self.calls)
        assert self.connection.state == states.CLOSED
        self.loop.close()

    @property
    def busy(self) -> bool:
        """Whether a call has not ended."""
        return bool(self.calls) and not self.calls[-1].ended

    def turns(self) -> None:
        """Run everything that is due."""

        async def wait() -> None:
            for _ in range(TURNS):
                await asyncio.sleep(0)

        self.loop.run_until_complete(wait())
        if self.recorder.closing and not self.lost:
            self.lost = True
            self.connection.connection_lost(None)
            self.loop.run_until_complete(wait())

    @precondition(lambda self: not self.busy)
    @rule(
        kind=st.sampled_from(sorted(KINDS)),
        large=st.booleans(),
        way=st.sampled_from(["whole", "pieces", "poured"]),
    )
    def ask(self, kind: str, large: bool, way: str) -> None:
        """Send a request on the free connection, or else on a new one."""
        if self.connection.state != states.FREE or self.unsent:
            self.lose(None)
            self.open()
        call = Call(len(self.calls), KINDS[kind])
        self.calls.append(call)
        self.recorder.log.clear()
        self.connection.pause_writing() if large else None
        running = call.run(self.connection, LARGE if large else b"{}", way)
        self.tasks.append(self.loop.create_task(running))
        self.turns()
        self.unsent = call.kind.raw.replace(b"%b", call.expected)

    @precondition(lambda self: self.unsent and self.recorder.reading and not self.lost)
    @rule(size=st.one_of(st.integers(1, 100), st.sampled_from([2_000, 10_000])))
    def hear(self, size: int) -> None:
        """Let the provider send the next bytes."""
        data, self.unsent = self.unsent[:size], self.unsent[size:]
        self.connection.data_received(data)
        self.turns()

    @precondition(lambda self: not self.lost)
    @rule()
    def make_room(self) -> None:
        """Let the socket accept the written bytes."""
        self.connection.resume_writing()
        self.turns()

    @precondition(lambda self: not self.lost)
    @rule(error=st.sampled_from([None, ConnectionResetError("reset")]))
    def lose(self, error: Exception | None) -> None:
        """End the connection."""
        if not self.lost:
            self.lost, self.recorder.closing = True, True
            self.connection.connection_lost(error)
        self.turns()

    @precondition(lambda self: self.busy and not self.lost)
    @rule(how=st.sampled_from(["cancel", "fail", "time"]))
    def give_up(self, how: str) -> None:
        """Let the caller, the client or the clock end the call."""
        if how == "cancel":
            self.tasks[-1].cancel()
        elif how == "fail":
            self.connection.fail(ClientClosed("the client was closed", sent=True))
        else:
            self.connection.check(self.loop.time() + 10**6)
        self.turns()

    @invariant()
    def check(self) -> None:
        """A caller gets its own answer, complete or with an error; a connection out of step is never used again."""
        assert self.faults == []
        for call in self.calls:
            assert call.expected.startswith(bytes(call.got)), "another's answer"
            if call.ended is True and not call.kind.to_eof:
                assert bytes(call.got) == call.expected
                assert call.kind.is_good
        state, log = self.connection.state, self.recorder.log
        assert (log[-1:] == ["idle"]) is (state == states.FREE and bool(log))
        assert not log or log[-1] != "idle" or self.calls[-1].kind.kept or self.unsent, "out of step"
        assert self.lost is (state == states.CLOSED)
        assert self.recorder.reading or self.busy, "a pause outlives its transfer"


@deep
def test_whatever_happens() -> None:
    """In any order of events, each caller gets its own answer or an error, and every call ends."""
    run_state_machine_as_test(Connections, settings=settings(examples(60), stateful_step_count=40))
