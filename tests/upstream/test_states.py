"""For every pair of state and event, a real connection and a real transfer change as the tables say, or fail."""

import ast
import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.upstream.test_connection import ASKED, OK, PLAIN, Recorder

from pertoken.upstream import states
from pertoken.upstream.connection import Connection
from pertoken.upstream.errors import ClientClosed
from pertoken.upstream.limits import ClientLimits
from pertoken.upstream.transfer import Transfer

Table = dict[str, dict[str, str]]
TABLES: dict[str, Table] = {"connection": states.CONNECTION, "transfer": states.TRANSFER}
LARGE = b"x" * 1024 * 1024 + b"x"
HALF, REST = PLAIN[:-2], PLAIN[-2:]
CLOSING = OK + b"Connection: close\r\nContent-Length: 5\r\n\r\n"
TO_EOF = b"HTTP/1.0 200 OK\r\n\r\nhel"
EMPTY = b"HTTP/1.1 204 No Content\r\n\r\n"
EMPTY_LAST = b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"


class Scene:
    """A connection on a transport that only records; `seen` lists its state at each piece of a body."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.recorder = Recorder()
        self.connection = Connection(self.recorder, loop, ClientLimits())
        self.seen: list[str] = []

    def connect(self) -> None:
        """Give the connection a transport."""
        self.connection.connection_made(self.recorder)

    def ask(self, body: bytes = b"") -> None:
        """Send a request, and pour the answer."""
        transfer = self.connection.begin(0.0, bodiless=False)
        self.connection.write(ASKED, body)
        self.pouring = self.loop.create_task(transfer.pour(self._take, self._room))
        self.loop.run_until_complete(asyncio.sleep(0))

    def ask_large(self) -> None:
        """Send a request with a body that is too large to write at once."""
        self.ask(LARGE)

    def upload(self) -> None:
        """Write the large body."""
        transfer = self.connection._transfer
        assert transfer is not None
        self.loop.run_until_complete(self.connection.upload(transfer, LARGE))

    def close(self) -> None:
        """Close the connection with an error."""
        self.connection.fail(ClientClosed("the test is over", sent=True))

    def lose(self) -> None:
        """End the connection from outside."""
        self.connection.connection_lost(None)

    def _take(self, _piece: bytes) -> bool:
        self.seen.append(self.connection.state)
        return False

    async def _room(self) -> None:
        raise AssertionError("never full")


Step = Callable[[Scene], object]


def got(data: bytes) -> Step:
    """Return a step that receives bytes."""
    return lambda scene: scene.connection.data_received(data)


CONNECTED: list[Step] = [Scene.connect]
WAITING: list[Step] = [Scene.connect, Scene.ask]
SENDING: list[Step] = [Scene.connect, Scene.ask_large]
# Steps that lead to a lasting state, and steps that cause the event. DONE and SPENT do not last: one piece does it all.
BEFORE: dict[str, list[Step]] = {
    states.NEW: [],
    states.FREE: CONNECTED,
    states.SENDING: SENDING,
    states.WAITING: WAITING,
    states.BODY: [*WAITING, got(HALF)],
    states.BODY_TO_EOF: [*WAITING, got(TO_EOF)],
    states.LAST: [*SENDING, got(HALF)],
    states.LAST_TO_EOF: [*SENDING, got(TO_EOF)],
    states.CLOSED: [Scene.connect, Scene.close],
    states.DONE: WAITING,
    states.SPENT: WAITING,
}
FLEETING = (states.DONE, states.SPENT)
# The event, and the state of the connection afterwards. A state that does not last is left at once.
THEN: dict[tuple[str, str], tuple[Step, str]] = {
    (states.NEW, states.CONNECT): (Scene.connect, states.FREE),
    (states.NEW, states.MORE): (got(PLAIN), states.CLOSED),
    (states.FREE, states.ASK): (Scene.ask_large, states.SENDING),
    (states.FREE, states.MORE): (got(PLAIN), states.CLOSED),
    (states.SENDING, states.SENT): (Scene.upload, states.WAITING),
    (states.SENDING, states.HEAD): (got(HALF), states.LAST),
    (states.SENDING, states.HEAD_TO_EOF): (got(TO_EOF), states.LAST_TO_EOF),
    (states.WAITING, states.HEAD): (got(HALF), states.BODY),
    (states.WAITING, states.HEAD_TO_EOF): (got(TO_EOF), states.BODY_TO_EOF),
    (states.BODY, states.END): (got(REST), states.FREE),
    (states.LAST, states.END): (got(REST), states.CLOSED),
    (states.DONE, states.MORE): (got(PLAIN + PLAIN), states.CLOSED),
    (states.DONE, states.RELEASE): (got(PLAIN), states.FREE),
    (states.DONE, states.CLOSE): (got(PLAIN + b"nonsense"), states.CLOSED),
    (states.SPENT, states.MORE): (got(PLAIN + PLAIN + PLAIN), states.CLOSED),
    (states.SPENT, states.CLOSE): (got(CLOSING + b"hello"), states.CLOSED),
    (states.CLOSED, states.CONNECT): (Scene.connect, states.CLOSED),
    (states.CLOSED, states.MORE): (got(PLAIN), states.CLOSED),
}
# Heads that end their answers in the same piece, so that the states before the end do not last either.
WHOLE_AT_ONCE: dict[tuple[str, str], tuple[list[Step], Step, str]] = {
    (states.BODY, states.END_LAST): ([*WAITING, got(CLOSING)], got(b"hello"), states.CLOSED),
    (states.BODY_TO_EOF, states.END): (WAITING, got(EMPTY), states.FREE),
    (states.BODY_TO_EOF, states.END_LAST): (WAITING, got(EMPTY_LAST), states.CLOSED),
    (states.LAST, states.END_LAST): ([*SENDING, got(CLOSING)], got(b"hello"), states.CLOSED),
    (states.LAST_TO_EOF, states.END): (SENDING, got(EMPTY), states.CLOSED),
    (states.LAST_TO_EOF, states.END_LAST): (SENDING, got(EMPTY_LAST), states.CLOSED),
}


def moves(table: Table) -> list[tuple[str, str]]:
    """Return the pairs of state and event that a table allows."""
    return [(state, event) for state, row in table.items() for event in row]


def others(table: Table) -> list[tuple[str, str]]:
    """Return the pairs of state and event that a table does not allow."""
    events = sorted({event for row in table.values() for event in row})
    return [(state, event) for state in table for event in events if event not in table[state]]


def story(state: str, event: str) -> tuple[list[Step], Step, str]:
    """Return the steps to a state, the steps of the event, and the state at the end."""
    if (state, event) in WHOLE_AT_ONCE:
        return WHOLE_AT_ONCE[state, event]
    if (state, event) in THEN:
        return BEFORE[state], *THEN[state, event]
    return BEFORE[state], {states.CLOSE: Scene.close, states.LOST: Scene.lose}[event], states.CLOSED


@pytest.fixture
def scene() -> Iterator[Scene]:
    """Give a connection on a new loop."""
    loop = asyncio.new_event_loop()
    made = Scene(loop)
    yield made
    for task in asyncio.all_tasks(loop):
        task.cancel()
        loop.run_until_complete(asyncio.wait([task]))
    loop.close()


@pytest.mark.parametrize("name", TABLES)
def test_the_tables_that_are_read_are_those_that_run(name: str) -> None:
    """The docstring has the same states, events and moves as the code."""
    text = ast.get_docstring(
        ast.parse(Path(states.__file__).with_name("states.py").read_text())
    )  # a compiled module has no docstring
    lines = iter((text or "").splitlines())
    events = next(line for line in lines if line.strip().startswith(f"{name} ")).split("|")[1].split()
    written: Table = {}
    for line in lines:
        if not line.strip():
            break
        state, cells = line.split("|")
        written[state.strip()] = {event: to for event, to in zip(events, cells.split(), strict=True) if to != "."}

    assert written == TABLES[name]


@pytest.mark.parametrize(("state", "event"), moves(states.CONNECTION))
def test_what_moves_a_connection(state: str, event: str, scene: Scene) -> None:
    """Bytes, requests and the transport change the state of a real connection as the table says."""
    before, then, left_in = story(state, event)
    for step in before:
        step(scene)
    lasts = state not in FLEETING and (state, event) not in WHOLE_AT_ONCE
    assert not lasts or scene.connection.state == state
    then(scene)

    assert scene.connection.state == left_in
    following = states.CONNECTION[state][event]
    if following not in FLEETING:
        assert left_in == following
    elif state not in FLEETING and before[-1] not in (Scene.ask, Scene.ask_large):
        assert scene.seen[-1] == following  # when the last piece was passed to the sink
    assert ("idle" in scene.recorder.log) is (left_in == states.FREE and state != states.NEW)
    was_closed = state == states.CLOSED or (left_in == states.CLOSED and event != states.LOST and state != states.NEW)
    assert scene.recorder.closing is was_closed


@pytest.mark.parametrize(("state", "event"), others(states.CONNECTION))
def test_what_does_not_move_a_connection(state: str, event: str, scene: Scene) -> None:
    """An event that a connection's state does not allow raises an error and does not change the state."""
    ways: dict[str, list[str]] = {states.NEW: []}
    for here in (found := [states.NEW]):
        for by, to in states.CONNECTION[here].items():
            if to not in ways:
                ways[to] = [*ways[here], by]
                found.append(to)
    for before in ways[state]:
        scene.connection._move(before)
    assert scene.connection.state == state

    with pytest.raises(AssertionError, match=f"{event} cannot happen in state {state}"):
        scene.connection._move(event)

    assert (scene.connection.state, scene.recorder.written, scene.recorder.log) == (state, [], [])


DRIVERS: dict[str, Callable[[Transfer], object]] = {
    states.HEAD: lambda transfer: transfer.take_head(200, []),
    states.FINISH: Transfer.finish,
    states.FAIL: lambda transfer: transfer.end(ClientClosed("the test is over", sent=True)),
}
WAYS: dict[str, list[str]] = {
    states.AWAITED: [],
    states.COMING: [states.HEAD],
    states.COMPLETE: [states.HEAD, states.FINISH],
    states.FAILED: [states.FAIL],
}


@pytest.mark.parametrize(("state", "event"), [*moves(states.TRANSFER), *others(states.TRANSFER)])
def test_a_transfer(state: str, event: str, scene: Scene) -> None:
    """Each event changes a real transfer as the table says, or fails and changes nothing."""
    scene.connect()
    transfer = Transfer(scene.connection, scene.loop, 0.0)
    for before in WAYS[state]:
        DRIVERS[before](transfer)
    following = states.TRANSFER[state].get(event)

    if following is None:
        with pytest.raises(AssertionError, match=f"{event} cannot happen in state {state}"):
            DRIVERS[event](transfer)
    else:
        DRIVERS[event](transfer)

    assert transfer.state == (following or state)
    assert transfer.complete is (transfer.state == states.COMPLETE)
    assert (transfer.error is not None) is (transfer.state == states.FAILED)
