"""Random requests in random pieces, with random events: a client still gets its answers in order."""

from collections import Counter
from collections.abc import Callable
from typing import ClassVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from tests.conftest import deep, examples
from tests.gateway.conftest import NEW_SECRET, SECRET
from tests.gateway.stage import BODY_BYTES_MAX, Stage

from pertoken.gateway import protocol, states

HOT = b"POST /v1/chat/completions?%d HTTP/1.1\r\n"
COLD = b"%b /cold?%d HTTP/1.1\r\nhost: x\r\n"
KNOWN, NEW = (b"authorization: Bearer %b\r\n" % secret for secret in (SECRET, NEW_SECRET))
ENDLESS_S = 2_000  # longer than every time limit


def sized(body: bytes) -> bytes:
    """Return the end of a head, and a body of this length."""
    return b"content-length: %d\r\n\r\n%b" % (len(body), body)


def chunked(*pieces: bytes) -> bytes:
    """Return the end of a head, and a body in chunks."""
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    return b"transfer-encoding: chunked\r\n\r\n%b0\r\n\r\n" % chunks


# Each kind of request, and the errors that may answer it if it is not served.
KINDS: dict[str, tuple[Callable[[int], bytes], set[int]]] = {
    "plain": (lambda n: HOT % n + KNOWN + sized(b"{}"), {408}),
    "chunked": (lambda n: HOT % n + KNOWN + chunked(b"{", b"}"), {408}),
    "new": (lambda n: HOT % n + NEW + sized(b"{}"), {408}),
    "nobody's": (lambda n: HOT % n + sized(b"{}"), {401, 408}),
    "expecting": (lambda n: HOT % n + KNOWN + b"expect: 100-continue\r\n" + sized(b"{}"), {408}),
    "last": (lambda n: HOT % n + KNOWN + b"connection: close\r\n" + sized(b"{}"), {408}),
    "offering": (lambda n: HOT % n + KNOWN + b"connection: upgrade\r\nupgrade: h2c\r\n" + sized(b"{}"), {408}),
    "large": (lambda n: HOT % n + KNOWN + sized(b"x" * (BODY_BYTES_MAX + 1)), {408, 413}),
    "large and chunked": (lambda n: HOT % n + KNOWN + chunked(b"x" * 9_000, b"x" * 9_000), {408, 413}),
    "cold": (lambda n: COLD % (b"GET", n) + b"\r\n", set()),
    "cold with a body": (lambda n: COLD % (b"POST", n) + sized(b"body"), set()),
    "long": (lambda n: HOT % n + b"a: " + b"x" * 70_000 + b"\r\n\r\n", {431}),
    "nonsense": (lambda _n: b"nonsense\r\n\r\n", {400}),
}


HARMLESS = {"plain", "chunked", "new", "expecting", "offering", "cold", "cold with a body"}  # and kept open


class Connections(RuleBasedStateMachine):
    """One client, one connection."""

    tells_late: ClassVar[bool] = False
    serve: ClassVar[object] = staticmethod(protocol.serve)

    def __init__(self) -> None:
        super().__init__()
        self.stage = Stage(tells_late=self.tells_late)
        protocol.serve = self.stage.serve  # type: ignore[assignment]
        self.kinds: list[str] = []
        self.unsent = b""
        self.may_end = False  # whether an event has happened that may end the connection

    def teardown(self) -> None:
        """Let all time limits pass: every exchange ends, and no bytes stay counted."""
        stage = self.stage
        stage.take()
        while stage.orders:
            self.finish()
            self.check()
        stage.tell()
        self.may_end = True
        stage.wait_s(ENDLESS_S if not stage.transport.lost else 1)
        while stage.orders:
            self.finish()
        self.check()
        protocol.serve = self.serve  # type: ignore[assignment]
        connection = stage.connection
        stage.turns()
        assert stage.transport.lost, (connection.reading, connection.answering, connection.deadline)
        assert (stage.orders, stage.state.tasks, stage.state.connections) == ({}, set(), set())
        assert all(one.state in (states.DONE, states.GONE) for one in stage.served)
        assert (connection.bodies.bytes, connection.reading) == (0, states.CLOSED)
        stage.close()

    # -- events from the client ----------------------------------------------------------------------------------------

    @rule(kind=st.sampled_from(sorted(KINDS)))
    def ask(self, kind: str) -> None:
        """Add a request to send."""
        if len(self.unsent) < 200_000:
            self.kinds.append(kind)
            self.may_end |= kind not in HARMLESS
            self.unsent += KINDS[kind][0](len(self.kinds))

    @precondition(lambda self: self.unsent and self.stage.transport.is_reading and not self.stage.transport.closing)
    @rule(size=st.one_of(st.integers(1, 400), st.sampled_from([70_000, 300_000])))
    def send(self, size: int) -> None:
        """Send the next bytes."""
        data, self.unsent = self.unsent[:size], self.unsent[size:]
        self.stage.receive(data)

    @precondition(lambda self: self.stage.transport.is_reading and not self.stage.transport.closing)
    @rule(kinds=st.lists(st.sampled_from(sorted(KINDS)), min_size=1, max_size=3))
    def ask_at_once(self, kinds: list[str]) -> None:
        """Send all earlier bytes and several requests in one piece."""
        for kind in kinds:
            self.ask(kind)
        self.send(len(self.unsent))

    @rule()
    def stop_taking(self) -> None:
        """Stop reading."""
        self.stage.transport.is_taking = False

    @rule()
    def take(self) -> None:
        """Read everything."""
        self.stage.take()

    @precondition(lambda self: not self.stage.transport.closing)
    @rule(lost=st.sampled_from([None, ConnectionResetError("reset")]), by_eof=st.booleans(), often=st.integers(0, 5))
    def leave(self, lost: Exception | None, by_eof: bool, often: int) -> None:
        """Close the connection, occasionally."""
        if often:
            return
        self.may_end = True
        if by_eof and self.stage.transport.is_reading:
            self.stage.hear_end()
        else:
            self.stage.lose(lost)

    # -- other events --------------------------------------------------------------------------------------------------

    @rule()
    def tell(self) -> None:
        """Let the database answer the look-ups of keys."""
        self.stage.tell()

    @rule(seconds=st.sampled_from([1, 20, 31, 80]))
    def wait(self, seconds: int) -> None:
        """Advance the clock."""
        self.may_end |= seconds > 1
        self.stage.wait_s(seconds)

    @precondition(lambda self: self.stage.orders)
    @rule()
    def finish(self) -> None:
        """Complete the answer of the current request."""
        if min(self.stage.orders) < 0:
            self.stage.order(bool)  # another path has only one way to answer
            return
        exchange = self.stage.served[-1]
        body = b"%b" % exchange.query
        if exchange.started:
            self.stage.order(lambda: exchange.finish(body))
        else:
            self.stage.order(lambda: exchange.answer(200, [], body))

    @precondition(lambda self: self.stage.orders and min(self.stage.orders) > 0)
    @rule(size=st.integers(1, 200))
    def stream(self, size: int) -> None:
        """Send a piece of the current call's answer."""
        exchange = self.stage.served[-1]

        def write() -> None:
            if not exchange.started:
                exchange.start(200, [])
            exchange.write(b"." * size)

        self.stage.order(write)

    @precondition(lambda self: self.stage.orders and min(self.stage.orders) > 0)
    @rule(often=st.integers(0, 1))
    def break_down(self, often: int) -> None:
        """Sometimes make the current call fail by an exception inside pertoken."""
        if not often:
            self.may_end = True
            self.stage.order(lambda: 1 // 0)

    # -- invariants ----------------------------------------------------------------------------------------------------

    @invariant()
    def check(self) -> None:
        """Each answer belongs to its request and is complete, unless it is the last; no late writes or faults."""
        stage = self.stage
        answers = stage.answers()
        assert self.may_end or not stage.transport.closing, "a connection without a fault is kept"
        assert len(stage.orders) <= 1, "a request waits for the answer to the one before"
        assert len(answers) <= len(self.kinds), "one answer a request"
        for number, one in enumerate(answers, start=1):
            if one.status == 200:
                assert one.body.lstrip(b".") == (b"%d" % number if one.is_whole else b"")
            else:
                assert one.status in KINDS[self.kinds[number - 1]][1] | {500}, self.kinds[number - 1]
            assert number == len(answers) or (one.is_whole and not one.closes), "what follows needs an end before it"
        if answers and answers[-1].is_whole and answers[-1].closes:
            assert stage.transport.closing or stage.transport.has_eof
        if answers and not answers[-1].is_whole:
            assert stage.orders or stage.transport.closing, "an answer is whole, or the connection ends"
        if not stage.transport.closing and not stage.transport.has_eof:
            done = sum(one.is_whole for one in answers)
            assert len(stage.served) - len(stage.orders) <= done, "keep-alive only after both sides are done"
        assert Counter(type(fault.get("exception")) for fault in stage.faults) == Counter()
        assert stage.transport.late == []


class LateConnections(Connections):
    """The same on a transport that reports a full buffer at the end of a turn, like uvloop's."""

    tells_late: ClassVar[bool] = True


@deep
@pytest.mark.parametrize("machine", [Connections, LateConnections])
def test_whatever_happens(machine: type[Connections]) -> None:
    """In any order of events, the client gets complete answers in order, and every exchange ends."""
    run_state_machine_as_test(machine, settings=settings(examples(60), stateful_step_count=40))
