"""For every pair of state and event, a real connection and a real exchange change as the tables say, or fail."""

import ast
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.gateway.conftest import NEW_SECRET, SECRET
from tests.gateway.stage import BODY_BYTES_MAX, LIMITS, Stage

from pertoken.gateway import states
from pertoken.gateway.bodies import UNCOUNTED_BYTES
from pertoken.gateway.exchange import HotExchange
from pertoken.gateway.heads import Head
from pertoken.gateway.protocol import REQUEST_IDLE_S
from pertoken.settings import LimitSettings
from pertoken.wire import routes

Table = dict[str, dict[str, str]]
TABLES: dict[str, Table] = {"reading": states.READING, "answering": states.ANSWERING, "exchange": states.EXCHANGE}
PATH = "/v1/chat/completions"
CROWDED = LimitSettings(bodies_bytes_max=UNCOUNTED_BYTES, client_idle_ms=LIMITS.client_idle_ms)


def post(body: bytes, *, secret: bytes = SECRET, length: int | None = None, more: bytes = b"") -> bytes:
    """Return a call, or the start of one if `length` is more than the length of the body."""
    announced = len(body) if length is None else length
    key = b"authorization: Bearer %b\r\n" % secret
    return b"POST %b HTTP/1.1\r\n%bcontent-length: %d\r\n%b\r\n%b" % (PATH.encode(), key, announced, more, body)


CALL = post(b"{}")
PART = post(b"{", length=2)
TOO_LARGE = (
    b"POST %b HTTP/1.1\r\nauthorization: Bearer %b\r\ntransfer-encoding: chunked\r\n\r\n" % (PATH.encode(), SECRET)
    + b"%x\r\n" % (BODY_BYTES_MAX + 1)
    + b"x" * (BODY_BYTES_MAX + 1)
)
CHUNKS_END = b"\r\n0\r\n\r\n"


def written(text: str, name: str) -> Table:
    """Return a table of the docstring."""
    lines = iter(text.splitlines())
    events = next(line for line in lines if line.strip().startswith(f"{name} ")).split("|")[1].split()
    table: Table = {}
    for line in lines:
        if not line.strip():
            break
        state, cells = line.split("|")
        following = zip(events, cells.split(), strict=True)
        table[state.strip()] = {event: to for event, to in following if to != "."}
    return table


def events_of(table: Table) -> list[str]:
    """Return every event in a table."""
    return sorted({event for row in table.values() for event in row})


def pairs(table: Table) -> list[tuple[str, str]]:
    """Return every pair of a state and an event."""
    return [(state, event) for state in table for event in events_of(table)]


@pytest.mark.parametrize("name", TABLES)
def test_the_tables_that_are_read_are_those_that_run(name: str) -> None:
    """The docstring has the same states, events and moves as the code."""
    text = ast.get_docstring(
        ast.parse(Path(states.__file__).with_name("states.py").read_text())
    )  # a compiled module has no docstring

    assert written(text or "", name) == TABLES[name]


@pytest.mark.parametrize("name", TABLES)
def test_every_state_is_known_and_can_be_reached(name: str) -> None:
    """Every move leads to a state of the table, and every state can be reached from the first."""
    table = TABLES[name]
    reached = [next(iter(table))]
    for state in reached:
        reached += [to for to in table[state].values() if to not in reached]

    assert set(reached) == set(table)


# -- one exchange ------------------------------------------------------------------------------------------------------

DRIVERS: dict[str, Callable[[HotExchange], object]] = {
    states.WHOLE: HotExchange.be_whole,
    states.TURN: HotExchange.take_turn,
    states.ANSWER: lambda exchange: exchange.answer(200, [], b"whole"),
    states.START: lambda exchange: exchange.start(200, []),
    states.PIECE: lambda exchange: exchange.write(b"piece"),
    states.FINISH: lambda exchange: exchange.finish(b"last"),
    states.ABORT: HotExchange.abort,
    states.HANG_UP: HotExchange.hung_up,
}
WRITES = {states.ANSWER: b"whole", states.START: b"200 OK", states.PIECE: b"piece", states.FINISH: b"last"}


def ways(table: Table) -> dict[str, list[str]]:
    """Return the shortest way to each state."""
    found: dict[str, list[str]] = {next(iter(table)): []}
    left = list(found)
    while left:
        here = left.pop(0)
        for event, to in table[here].items():
            if to not in found:
                found[to] = [*found[here], event]
                left.append(to)
    return found


@pytest.mark.parametrize(("state", "event"), pairs(states.EXCHANGE))
def test_an_exchange(state: str, event: str, stages: Callable[..., Stage]) -> None:
    """Each event changes a real exchange as the table says; an event that is not allowed changes and writes nothing."""
    stage = stages()
    stage.connection._answer(states.TURN)  # the exchange's answer will end this turn
    endpoint = routes.find(PATH)
    assert endpoint is not None
    exchange = HotExchange(stage.connection, Head(endpoint, PATH, b"", (), PATH.encode()), keep_alive=True)
    for before in ways(states.EXCHANGE)[state]:
        DRIVERS[before](exchange)
    assert exchange.state == state
    sent = len(stage.transport.sent)
    following = states.EXCHANGE[state].get(event)

    if following is None:
        with pytest.raises(AssertionError, match=f"{event} cannot happen in state {state}"):
            DRIVERS[event](exchange)
    else:
        DRIVERS[event](exchange)

    new = bytes(stage.transport.sent[sent:])
    assert exchange.state == (following or state)
    if following is None or state == states.GONE or event not in WRITES:
        assert new == b""
    else:
        assert WRITES[event] in new
    assert stage.transport.closing is ((state, event) == (states.STREAMING, states.ABORT))


# -- a connection ------------------------------------------------------------------------------------------------------

Steps = list[Callable[[Stage], object]]


def got(data: bytes) -> Callable[[Stage], object]:
    """Return a step that receives bytes."""
    return lambda stage: stage.receive(data)


def answer(stage: Stage) -> None:
    """Answer the current call."""
    stage.order(lambda: stage.served[-1].answer(200, [], b"x" * 100))


def stop_taking(stage: Stage) -> None:
    """Let the client read nothing from now on."""
    stage.transport.is_taking = False


def time_over(stage: Stage) -> None:
    """Advance the clock until an unfinished request is given up."""
    stage.wait_s(REQUEST_IDLE_S + 1)


def stream(stage: Stage) -> None:
    """Start a streamed answer to the current call, larger than the client reads."""

    def begin() -> None:
        stage.served[-1].start(200, [])
        stage.served[-1].write(b"x" * 100)

    stage.order(begin)


UNKNOWN_HEAD, UNKNOWN_BODY = post(b"{", secret=NEW_SECRET, length=2)[:30], post(b"{", secret=NEW_SECRET, length=2)[30:]
ASKED: Steps = [got(UNKNOWN_HEAD), got(UNKNOWN_BODY)]
OVERLOADED = post(b"x" * (UNCOUNTED_BYTES + 1))
# Steps that lead to a state, and steps that cause the event. After a refusal, BEGIN and WHOLE come in the same piece.
READING_STORIES: dict[tuple[str, str], tuple[Steps, Steps]] = {
    (states.IDLE, states.BEGIN): ([], [got(CALL[:10])]),
    (states.IDLE, states.LOST): ([], [Stage.lose]),
    (states.PARTIAL, states.WHOLE): ([got(PART)], [got(b"}")]),
    (states.PARTIAL, states.ASK): (ASKED[:1], ASKED[1:]),
    (states.PARTIAL, states.REFUSE): ([got(PART)], [time_over]),
    (states.PARTIAL, states.LOST): ([got(PART)], [Stage.lose]),
    (states.ASKING, states.TOLD): (ASKED, [Stage.tell]),
    (states.ASKING, states.LOST): (ASKED, [Stage.lose]),
    (states.LINGERING, states.BEGIN): ([got(PART), time_over], [got(b"}" + CALL)]),
    (states.LINGERING, states.WHOLE): ([], [got(TOO_LARGE + CHUNKS_END + CALL)]),
    (states.LINGERING, states.LOST): ([got(TOO_LARGE)], [Stage.lose]),
    (states.CLOSED, states.TOLD): ([*ASKED, Stage.lose], [Stage.tell]),
}
ANSWERING_STORIES: dict[tuple[str, str], tuple[Steps, Steps]] = {
    (states.FREE, states.TURN): ([], [got(CALL)]),
    (states.FREE, states.TAKEN): ([got(CALL), stop_taking, answer], [Stage.take]),  # full too late for BEHIND
    (states.FREE, states.LOST): ([], [Stage.lose]),
    (states.BUSY, states.DONE): ([got(CALL)], [answer]),
    (states.BUSY, states.DONE_FULL): ([got(CALL), stop_taking], [answer]),
    (states.BUSY, states.TAKEN): ([got(CALL), stop_taking, stream], [Stage.take]),
    (states.BUSY, states.LOST): ([got(CALL)], [Stage.lose]),
    (states.BEHIND, states.TURN): ([stop_taking], [got(OVERLOADED + CALL)]),
    (states.BEHIND, states.TAKEN): ([got(CALL), stop_taking, answer], [Stage.take]),
    (states.BEHIND, states.LOST): ([got(CALL), stop_taking, answer], [Stage.lose]),
}
SAME_PIECE = {(states.LINGERING, states.WHOLE), (states.BEHIND, states.TURN)}


def test_every_move_of_a_connection_is_told() -> None:
    """There is a test case for each move of the two tables, and for no other."""
    assert set(READING_STORIES) == {(state, event) for state, row in states.READING.items() for event in row}
    assert set(ANSWERING_STORIES) == {(state, event) for state, row in states.ANSWERING.items() for event in row}


@pytest.mark.parametrize(("state", "event"), READING_STORIES)
def test_what_a_connection_reads(state: str, event: str, stages: Callable[..., Stage]) -> None:
    """Bytes, time and the transport change the reading state of a real connection as the table says."""
    stage = stages()
    before, then = READING_STORIES[state, event]
    for step in before:
        step(stage)
    assert (state, event) in SAME_PIECE or stage.connection.reading == state
    for step in then:
        step(stage)

    assert stage.connection.reading == states.READING[state][event]
    assert (stage.faults, stage.transport.late) == ([], [])


@pytest.mark.parametrize(("state", "event"), ANSWERING_STORIES)
def test_what_a_connection_answers(state: str, event: str, stages: Callable[..., Stage]) -> None:
    """Requests, answers and the client's pace change the answering state of a real connection as the table says."""
    stage = stages(CROWDED, tells_late=(state, event) == (states.FREE, states.TAKEN))
    before, then = ANSWERING_STORIES[state, event]
    for step in before:
        step(stage)
    assert (state, event) in SAME_PIECE or stage.connection.answering == state
    for step in then:
        step(stage)

    assert stage.connection.answering == states.ANSWERING[state][event]
    assert (stage.faults, stage.transport.late) == ([], [])


@pytest.mark.parametrize("name", ["reading", "answering"])
def test_what_cannot_happen(name: str, stages: Callable[..., Stage]) -> None:
    """An event that a connection's state does not allow raises an error and does not change the state."""
    table = TABLES[name]
    tried = 0
    for state, event in pairs(table):
        if event in table[state]:
            continue
        stage = stages()
        connection = stage.connection
        move = connection._read if name == "reading" else connection._answer
        for before in ways(table)[state]:
            move(before)
        with pytest.raises(AssertionError, match=f"{event} cannot happen in state {state}"):
            move(event)
        assert (connection.reading if name == "reading" else connection.answering) == state
        stage.transport.lost = True  # so that the close does not tell the connection again
        tried += 1

    assert tried == len(pairs(table)) - sum(map(len, table.values()))
