"""Errors in pipelined requests never come before earlier answers, and nothing is written after the end."""

from collections.abc import Callable
from typing import Any

import pytest
from tests.gateway.conftest import NEW_SECRET, SECRET
from tests.gateway.stage import BODY_BYTES_MAX, Stage

from pertoken.gateway.protocol import REQUEST_IDLE_S

START = b"POST /v1/chat/completions%b HTTP/1.1\r\nauthorization: Bearer %b\r\n"
HOT = START % (b"?n=1", SECRET) + b"content-length: 2\r\n\r\n{}"
COLD = b"GET /cold?n=1 HTTP/1.1\r\nhost: x\r\n\r\n"
LARGE = b"x" * (BODY_BYTES_MAX + 1)
WRONG = {
    "a body that is too large": START % (b"", SECRET) + b"content-length: %d\r\n\r\n%b" % (len(LARGE), LARGE),
    "no HTTP at all": b"nonsense\r\n\r\n",
    "a target that is too long": b"GET /" + b"x" * 9_000 + b" HTTP/1.1\r\n\r\n",
    "a head that is too long": b"GET / HTTP/1.1\r\na: " + b"x" * 70_000 + b"\r\n\r\n",
    "a tunnel": b"CONNECT x:443 HTTP/1.1\r\nhost: x\r\n\r\n",
}


def answer(stage: Stage) -> None:
    """Answer the current call."""
    stage.order(lambda: stage.served[-1].answer(200, [], b"first"))


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize("first", [HOT, COLD], ids=["a call", "another path"])
def test_an_error_is_no_answer_to_an_earlier_request(first: bytes, name: str, stages: Callable[..., Stage]) -> None:
    """While an earlier request is unanswered, an invalid later one closes the connection without an answer."""
    stage = stages()
    stage.receive(first)
    stage.receive(WRONG[name])

    assert (stage.answers(), stage.transport.closing, stage.faults) == ([], True, [])


@pytest.mark.parametrize("name", WRONG)
def test_an_error_behind_an_answer_is_told(name: str, stages: Callable[..., Stage]) -> None:
    """When all earlier requests are answered, an invalid one gets its own answer."""
    stage = stages()
    stage.receive(HOT)
    answer(stage)
    stage.receive(WRONG[name])

    first, second = stage.answers()
    assert (first.status, first.body, second.status // 100) == (200, b"first", 4)


def test_what_follows_a_refused_body_in_the_same_piece(stages: Callable[..., Stage]) -> None:
    """Invalid bytes after a chunk that made a body too large are dropped: the client gets only one answer."""
    stage = stages()
    head = START % (b"", SECRET) + b"transfer-encoding: chunked\r\n\r\n"
    stage.receive(head + b"%x\r\n%b\r\nnonsense" % (len(LARGE), LARGE))

    [only] = stage.answers()
    assert (only.status, stage.faults, stage.transport.late) == (413, [], [])


def test_a_request_behind_a_refused_one_in_the_same_piece(stages: Callable[..., Stage]) -> None:
    """A request with too long a target after one with too large a body gets no answer: only the first is refused."""
    stage = stages()
    head = START % (b"", SECRET) + b"transfer-encoding: chunked\r\n\r\n"
    stage.receive(head + b"%x\r\n%b\r\n0\r\n\r\n" % (len(LARGE), LARGE) + WRONG["a target that is too long"])

    [only] = stage.answers()
    assert (only.status, stage.faults, stage.transport.late) == (413, [], [])


def test_nothing_is_written_to_a_connection_that_closes(stages: Callable[..., Stage]) -> None:
    """If invalid bytes closed the connection, a call that ends later writes nothing, while the client still reads."""
    stage = stages()
    stage.receive(HOT)
    stage.transport.is_taking = False
    answer(stage)
    stage.receive(HOT + HOT + WRONG["no HTTP at all"])
    answer(stage)

    assert (stage.transport.closing, stage.transport.late) == (True, [])


def test_asking_for_a_key_has_no_time_limit_of_the_client(stages: Callable[..., Stage]) -> None:
    """While the database looks up a key, no deadline of the client runs, so that it gets one answer and not two."""
    stage = stages()
    stage.receive(HOT + START % (b"", NEW_SECRET) + b"content-length: 2\r\n\r\n{")
    answer(stage)
    stage.wait_s(REQUEST_IDLE_S + 1)
    stage.tell()
    stage.receive(b"}")
    answer(stage)

    assert [one.status for one in stage.answers()] == [200, 200]
    assert (stage.faults, stage.transport.late) == ([], [])


@pytest.mark.parametrize("offer", [b"upgrade: h2c\r\nconnection: upgrade\r\n"])
def test_a_body_behind_an_offer_belongs_to_its_own_request(offer: bytes, stages: Callable[..., Stage]) -> None:
    """A request with an upgrade offer does not change the body of the request before it."""
    stage = stages()
    stage.receive(HOT + START % (b"", SECRET) + offer + b"content-length: 6\r\n\r\nsecond")
    assert stage.served[0].body == b"{}"
    answer(stage)

    assert stage.served[1].body == b"second"


def test_another_path_learns_that_its_client_is_gone(stages: Callable[..., Stage]) -> None:
    """An application that waits for the client to disconnect is told, even if a later request was read meanwhile."""
    stage = stages()
    stage.receive(COLD)
    stage.receive(HOT)
    stage.lose()

    assert (stage.orders, stage.state.tasks, stage.faults) == ({}, set(), [])


def test_nothing_is_written_behind_the_end(stages: Callable[..., Stage]) -> None:
    """A client that has not read an answer ends its sending side: later answers are not written."""
    stage = stages()
    stage.receive(HOT + COLD)
    stage.transport.is_taking = False
    answer(stage)
    stage.hear_end()
    while stage.orders:
        stage.order(bool)

    assert (len(stage.answers()), stage.transport.late, stage.faults) == (1, [], [])


@pytest.mark.parametrize("pieces", ["at once", "later"])
def test_trailers_are_no_headers(pieces: str, stages: Callable[..., Stage]) -> None:
    """Fields behind a body are not taken for header fields: a proxy before us checks only those (RFC 9110, 6.5.1)."""
    stage, scopes = stages(), []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scopes.append(scope)
        await stage.app(scope, receive, send)

    stage.connection.app = app
    head = b"POST /api/v1/keys HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
    body, trailers = b"2\r\n{}\r\n", b"0\r\nauthorization: Bearer admin\r\n\r\n"
    for piece in [head + body + trailers] if pieces == "at once" else [head, body, trailers]:
        stage.receive(piece)

    [scope] = scopes
    assert scope["headers"] == [(b"host", b"x"), (b"transfer-encoding", b"chunked")]
