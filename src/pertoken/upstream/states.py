"""The states of a connection to a provider and of a transfer on it, and what leads from one to the next; no I/O.

The tables are the rules: `after` looks up the next state, and what a table does not have is our own mistake. The tables
in this text say the same for readers, and a test holds them to the code.

One connection. NEW: it has no transport. FREE: it can carry a transfer. SENDING: a request is not yet written whole.
WAITING: it is, and no head has come. BODY: the head has come. LAST: the same, but the head came before the request was
whole, so that the connection must close behind this answer. BODY_TO_EOF and LAST_TO_EOF: the same two where nothing but
the end of the connection can end the body. DONE: the answer is whole; what was received with it is still to be read.
SPENT: the answer is whole, and the connection must close. An interim head (1xx) changes nothing.

    connection   | CONNECT  ASK      SENT     HEAD     HEAD_TO_EOF  END    END_LAST  MORE    RELEASE  CLOSE   LOST
    NEW          | FREE     .        .        .        .            .      .         CLOSED  .        CLOSED  CLOSED
    FREE         | .        SENDING  .        .        .            .      .         CLOSED  .        CLOSED  CLOSED
    SENDING      | .        .        WAITING  LAST     LAST_TO_EOF  .      .         .       .        CLOSED  CLOSED
    WAITING      | .        .        .        BODY     BODY_TO_EOF  .      .         .       .        CLOSED  CLOSED
    BODY         | .        .        .        .        .            DONE   SPENT     .       .        CLOSED  CLOSED
    BODY_TO_EOF  | .        .        .        .        .            DONE   SPENT     .       .        CLOSED  CLOSED
    LAST         | .        .        .        .        .            SPENT  SPENT     .       .        CLOSED  CLOSED
    LAST_TO_EOF  | .        .        .        .        .            SPENT  SPENT     .       .        CLOSED  CLOSED
    DONE         | .        .        .        .        .            .      .         SPENT   FREE     CLOSED  .
    SPENT        | .        .        .        .        .            .      .         SPENT   .        CLOSED  .
    CLOSED       | CLOSED   .        .        .        .            .      .         CLOSED  .        CLOSED  CLOSED

DONE and SPENT last for one piece of what is received, so that the connection cannot be lost in them. MORE are bytes
that no request asked for: they must not become the next caller's answer. An answer without a body (204, 304) has the
head of one that goes to the end, and then its END.

One transfer, as who asked sees it. AWAITED: no head has come. COMING: status and headers are there. COMPLETE: the last
byte is there. FAILED: it ended with an error.

    transfer     | HEAD      FINISH    FAIL
    AWAITED      | COMING    .         FAILED
    COMING       | .         COMPLETE  FAILED
    COMPLETE     | .         .         .
    FAILED       | .         .         .

Not a state: whether the transport is closing or full, which it knows itself, and whether reading is paused for a reader
that is behind.
"""

from typing import Final

NEW: Final = "NEW"
FREE: Final = "FREE"
SENDING: Final = "SENDING"
WAITING: Final = "WAITING"
BODY: Final = "BODY"
BODY_TO_EOF: Final = "BODY_TO_EOF"
LAST: Final = "LAST"
LAST_TO_EOF: Final = "LAST_TO_EOF"
DONE: Final = "DONE"
SPENT: Final = "SPENT"
CLOSED: Final = "CLOSED"

AWAITED: Final = "AWAITED"
COMING: Final = "COMING"
COMPLETE: Final = "COMPLETE"
FAILED: Final = "FAILED"

CONNECT: Final = "CONNECT"
ASK: Final = "ASK"
SENT: Final = "SENT"
HEAD: Final = "HEAD"
HEAD_TO_EOF: Final = "HEAD_TO_EOF"
END: Final = "END"
END_LAST: Final = "END_LAST"  # the end of an answer that says, or whose kind demands, that the connection closes
MORE: Final = "MORE"
RELEASE: Final = "RELEASE"
CLOSE: Final = "CLOSE"
LOST: Final = "LOST"

FINISH: Final = "FINISH"
FAIL: Final = "FAIL"

CONNECTION: Final[dict[str, dict[str, str]]] = {
    NEW: {CONNECT: FREE, MORE: CLOSED, CLOSE: CLOSED, LOST: CLOSED},
    FREE: {ASK: SENDING, MORE: CLOSED, CLOSE: CLOSED, LOST: CLOSED},
    SENDING: {SENT: WAITING, HEAD: LAST, HEAD_TO_EOF: LAST_TO_EOF, CLOSE: CLOSED, LOST: CLOSED},
    WAITING: {HEAD: BODY, HEAD_TO_EOF: BODY_TO_EOF, CLOSE: CLOSED, LOST: CLOSED},
    BODY: {END: DONE, END_LAST: SPENT, CLOSE: CLOSED, LOST: CLOSED},
    BODY_TO_EOF: {END: DONE, END_LAST: SPENT, CLOSE: CLOSED, LOST: CLOSED},
    LAST: {END: SPENT, END_LAST: SPENT, CLOSE: CLOSED, LOST: CLOSED},
    LAST_TO_EOF: {END: SPENT, END_LAST: SPENT, CLOSE: CLOSED, LOST: CLOSED},
    DONE: {MORE: SPENT, RELEASE: FREE, CLOSE: CLOSED},
    SPENT: {MORE: SPENT, CLOSE: CLOSED},
    CLOSED: {CONNECT: CLOSED, MORE: CLOSED, CLOSE: CLOSED, LOST: CLOSED},
}
TRANSFER: Final[dict[str, dict[str, str]]] = {
    AWAITED: {HEAD: COMING, FAIL: FAILED},
    COMING: {FINISH: COMPLETE, FAIL: FAILED},
    COMPLETE: {},
    FAILED: {},
}


def after(table: dict[str, dict[str, str]], state: str, event: str) -> str:
    """Return the state after an event. Raises AssertionError for an event that cannot happen in this state."""
    following = table[state].get(event)
    if following is None:
        raise AssertionError(f"{event} cannot happen in state {state}")
    return following
