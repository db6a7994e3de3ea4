"""The states of a connection to a provider and of a transfer on it, and the events that change them. It does no I/O.

The tables in the code are the rules. `after` looks up the next state; an event that a table does not allow is a bug.
The tables in this text are for readers, and a test checks that they match the code.

States of a connection. NEW: it has no transport yet. FREE: it can carry a transfer. SENDING: a request is partly
written. WAITING: the request is written, and no head has come. BODY: the head has come. LAST: the head came before the
request was complete, so the connection must close after this answer. BODY_TO_EOF and LAST_TO_EOF: like BODY and LAST,
but only the end of the connection ends the body. DONE: the answer is complete; bytes received with it are still to be
parsed. SPENT: the answer is complete, and the connection must close. CLOSED: the connection is closed or closing. An
interim head (1xx) changes no state.

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

DONE and SPENT last only while one piece of received data is parsed, so LOST cannot happen in them. MORE: bytes came for
which there was no request; they must not become the answer of the next caller. An answer without a body (204, 304)
causes HEAD_TO_EOF, and then END.

States of a transfer, as its caller sees it. AWAITED: no head has come. COMING: status and headers have come. COMPLETE:
the last byte has come. FAILED: it ended with an error.

    transfer     | HEAD      FINISH    FAIL
    AWAITED      | COMING    .         FAILED
    COMING       | .         COMPLETE  FAILED
    COMPLETE     | .         .         .
    FAILED       | .         .         .

The state does not include whether the transport is closing or full, which the transport knows, or whether reading is
paused because the reader is behind.
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
END_LAST: Final = "END_LAST"  # the end of an answer after which the connection must close
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
    """Return the state after an event. Raises AssertionError if the event cannot happen in this state."""
    following = table[state].get(event)
    if following is None:
        raise AssertionError(f"{event} cannot happen in state {state}")
    return following
