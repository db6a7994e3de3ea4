"""The states of a client's connection and of its exchanges, and the events that change them. It does no I/O.

The tables in the code are the rules. `after` looks up the next state; an event that a table does not allow is a bug.
The tables in this text are for readers, and a test checks that they match the code.

States of a connection's reading half. IDLE: between requests. PARTIAL: inside a request. ASKING: the same, but no more
is read until the database has found the caller. LINGERING: a request was refused before it was complete, and further
bytes are dropped until the client has read the answer. CLOSED: the connection is closed.

    reading      | BEGIN      WHOLE      ASK        TOLD       REFUSE     LOST
    IDLE         | PARTIAL    .          .          .          .          CLOSED
    PARTIAL      | .          IDLE       ASKING     .          LINGERING  CLOSED
    ASKING       | .          .          .          PARTIAL    .          CLOSED
    LINGERING    | LINGERING  LINGERING  .          .          .          CLOSED
    CLOSED       | .          .          .          CLOSED     .          .

States of its answering half. FREE: no request waits. BUSY: one request has its turn, and later ones wait. BEHIND: that
request is answered, but later ones still wait, because the client has not read enough of the answer.

    answering    | TURN       DONE       DONE_FULL  TAKEN      LOST
    FREE         | BUSY       .          .          FREE       CLOSED
    BUSY         | .          FREE       BEHIND     BUSY       CLOSED
    BEHIND       | BUSY       .          .          FREE       CLOSED
    CLOSED       | .          .          .          .          .

A request that arrived in the same piece of data as the one before may get its turn while the client is BEHIND.

States of an exchange, which is a request and its answer. QUEUED: earlier requests are answered first. QUEUED_WHOLE: the
same, and the request is complete. COMING: the request has its turn, and its body is incomplete. SERVED: the request is
complete, and no answer has begun. STREAMING: the head of a streamed answer was sent. DONE: the answer is complete, or
we closed the connection. GONE: the client closed the connection before that.

    exchange     | WHOLE         TURN       ANSWER     START      PIECE      FINISH     ABORT      HANG_UP
    QUEUED       | QUEUED_WHOLE  COMING     .          .          .          .          .          GONE
    QUEUED_WHOLE | .             SERVED     .          .          .          .          .          GONE
    COMING       | SERVED        .          DONE       .          .          .          .          GONE
    SERVED       | .             .          DONE       STREAMING  .          .          .          GONE
    STREAMING    | .             .          .          .          STREAMING  DONE       DONE       GONE
    DONE         | .             .          .          .          .          .          .          DONE
    GONE         | .             .          GONE       GONE       GONE       GONE       GONE       GONE

The states do not include whether the transport is closing, which the transport knows, or whether its buffer is full,
which uvicorn's `flow` knows.
"""

from typing import Final

IDLE: Final = "IDLE"
PARTIAL: Final = "PARTIAL"
ASKING: Final = "ASKING"
LINGERING: Final = "LINGERING"
CLOSED: Final = "CLOSED"

FREE: Final = "FREE"
BUSY: Final = "BUSY"
BEHIND: Final = "BEHIND"

QUEUED: Final = "QUEUED"
QUEUED_WHOLE: Final = "QUEUED_WHOLE"
COMING: Final = "COMING"
SERVED: Final = "SERVED"
STREAMING: Final = "STREAMING"
DONE: Final = "DONE"
GONE: Final = "GONE"

BEGIN: Final = "BEGIN"  # the first byte of a request
WHOLE: Final = "WHOLE"  # its last byte
ASK: Final = "ASK"
TOLD: Final = "TOLD"
REFUSE: Final = "REFUSE"
LOST: Final = "LOST"

TURN: Final = "TURN"
DONE_FULL: Final = "DONE_FULL"  # answered, and the write buffer is full
TAKEN: Final = "TAKEN"  # the client has read nearly all of the write buffer

ANSWER: Final = "ANSWER"
START: Final = "START"
PIECE: Final = "PIECE"
FINISH: Final = "FINISH"
ABORT: Final = "ABORT"
HANG_UP: Final = "HANG_UP"

READING: Final[dict[str, dict[str, str]]] = {
    IDLE: {BEGIN: PARTIAL, LOST: CLOSED},
    PARTIAL: {WHOLE: IDLE, ASK: ASKING, REFUSE: LINGERING, LOST: CLOSED},
    ASKING: {TOLD: PARTIAL, LOST: CLOSED},
    LINGERING: {BEGIN: LINGERING, WHOLE: LINGERING, LOST: CLOSED},
    CLOSED: {TOLD: CLOSED},
}
ANSWERING: Final[dict[str, dict[str, str]]] = {
    FREE: {TURN: BUSY, TAKEN: FREE, LOST: CLOSED},
    BUSY: {DONE: FREE, DONE_FULL: BEHIND, TAKEN: BUSY, LOST: CLOSED},
    BEHIND: {TURN: BUSY, TAKEN: FREE, LOST: CLOSED},
    CLOSED: {},
}
EXCHANGE: Final[dict[str, dict[str, str]]] = {
    QUEUED: {WHOLE: QUEUED_WHOLE, TURN: COMING, HANG_UP: GONE},
    QUEUED_WHOLE: {TURN: SERVED, HANG_UP: GONE},
    COMING: {WHOLE: SERVED, ANSWER: DONE, HANG_UP: GONE},
    SERVED: {ANSWER: DONE, START: STREAMING, HANG_UP: GONE},
    STREAMING: {PIECE: STREAMING, FINISH: DONE, ABORT: DONE, HANG_UP: GONE},
    DONE: {HANG_UP: DONE},
    GONE: {ANSWER: GONE, START: GONE, PIECE: GONE, FINISH: GONE, ABORT: GONE, HANG_UP: GONE},
}


def after(table: dict[str, dict[str, str]], state: str, event: str) -> str:
    """Return the state after an event. Raises AssertionError if the event cannot happen in this state."""
    following = table[state].get(event)
    if following is None:
        raise AssertionError(f"{event} cannot happen in state {state}")
    return following
