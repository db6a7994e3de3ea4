"""The states of a client's connection and of its exchanges, and what leads from one to the next; no I/O, no bytes.

The tables are the rules: `after` looks up the next state, and what a table does not have is our own mistake. The tables
in this text say the same for readers, and a test holds them to the code.

What a connection reads. IDLE: between requests. PARTIAL: within a request. ASKING: within a request whose rest is not
read until the database has said who sends it. LINGERING: a request was refused before it was whole; what follows is
thrown away until the client has read why.

    reading      | BEGIN      WHOLE      ASK        TOLD       REFUSE     LOST
    IDLE         | PARTIAL    .          .          .          .          CLOSED
    PARTIAL      | .          IDLE       ASKING     .          LINGERING  CLOSED
    ASKING       | .          .          .          PARTIAL    .          CLOSED
    LINGERING    | LINGERING  LINGERING  .          .          .          CLOSED
    CLOSED       | .          .          .          CLOSED     .          .

What a connection answers. FREE: no request waits. BUSY: one request has its turn, later ones wait. BEHIND: it is
answered, but the client has not taken enough of that, so that later ones still wait.

    answering    | TURN       DONE       DONE_FULL  TAKEN      LOST
    FREE         | BUSY       .          .          FREE       CLOSED
    BUSY         | .          FREE       BEHIND     BUSY       CLOSED
    BEHIND       | BUSY       .          .          FREE       CLOSED
    CLOSED       | .          .          .          .          .

A request that was read in one piece with the one before may have its turn while the client is BEHIND.

One exchange: a request and its answer. QUEUED and QUEUED_WHOLE: answers to earlier requests come first. COMING: it has
its turn, and its body is not whole. SERVED: it is whole, and nothing is answered. STREAMING: the head of a streamed
answer was sent. DONE: its answer is whole, or was cut off by us with the connection. GONE: the client hung up before.

    exchange     | WHOLE         TURN       ANSWER     START      PIECE      FINISH     ABORT      HANG_UP
    QUEUED       | QUEUED_WHOLE  COMING     .          .          .          .          .          GONE
    QUEUED_WHOLE | .             SERVED     .          .          .          .          .          GONE
    COMING       | SERVED        .          DONE       .          .          .          .          GONE
    SERVED       | .             .          DONE       STREAMING  .          .          .          GONE
    STREAMING    | .             .          .          .          STREAMING  DONE       DONE       GONE
    DONE         | .             .          .          .          .          .          .          DONE
    GONE         | .             .          GONE       GONE       GONE       GONE       GONE       GONE

Not a state: whether the transport is closing, which it knows itself, and whether its buffer is full, which uvicorn's
`flow` knows.
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
DONE_FULL: Final = "DONE_FULL"  # answered, and the buffer to the client is full
TAKEN: Final = "TAKEN"  # the client took nearly all of the buffer

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
    """Return the state after an event. Raises AssertionError for an event that cannot happen in this state."""
    following = table[state].get(event)
    if following is None:
        raise AssertionError(f"{event} cannot happen in state {state}")
    return following
