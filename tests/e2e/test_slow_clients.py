"""Clients that do not take what they asked for, or ask for too much at once, or for nothing.

Memory stays bounded, the provider is made to wait, the client is cut in the end, its calls are settled, and others are
served while it is held in place. With -s each test prints what it measured.
"""

import contextlib
import json
import re
import resource
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.conftest import Process
from tests.e2e.rig import (
    HEAD,
    MB,
    MODEL,
    PATIENCE_S,
    Call,
    Rig,
    ending,
    read_all,
    report,
    rig,
    wait_for,
    wait_until_stuck,
    words,
)

CLIENT_IDLE_MS = 400
PUSHED_MB_MAX = 16  # what all socket buffers between two peers hold, and a little
STREAMS = 60
TAKEN_BYTES = 128 * 1024  # at a time, above what a client has to take to be let be
CONNECTIONS = 5_000
KEPT = 16  # connections to providers, which come and go meanwhile
FILES = CONNECTIONS + 500  # that a process needs open for them
WORDS = words(30)  # 60 KB


@pytest.fixture(scope="module")
def _impatient(tmp_path_factory: pytest.TempPathFactory, simulator: Process) -> Iterator[Rig]:
    with rig(tmp_path_factory.mktemp("rig"), simulator, client_idle_ms=str(CLIENT_IDLE_MS)) as made:
        yield made


@pytest.fixture(scope="module")
def _patient(tmp_path_factory: pytest.TempPathFactory, simulator: Process) -> Iterator[Rig]:
    with rig(tmp_path_factory.mktemp("rig"), simulator) as made:
        yield made


@pytest.fixture
def impatient(_impatient: Rig, request: pytest.FixtureRequest) -> Rig:
    """Return a gateway that does not wait long for clients, with a key for this test."""
    return _impatient.anew(request.node.name)


@pytest.fixture
def patient(_patient: Rig, request: pytest.FixtureRequest) -> Rig:
    """Return a gateway that waits for clients longer than any test takes, with a key for this test."""
    return _patient.anew(request.node.name)


@pytest.fixture
def fresh(tmp_path: Path, simulator: Process) -> Iterator[Rig]:
    """Return one of its own: what it has freed before does not hide what it needs."""
    with rig(tmp_path, simulator) as made:
        yield made


def stream(enough_bytes: int, call: Call) -> None:
    """Answer with a stream of at least so many bytes, in words, with honest usage at the end."""
    call.push(HEAD)
    sent = 0
    while call.pushed_bytes < enough_bytes:
        call.push(WORDS)
        sent += 30
    call.push(ending(sent))


def whole(content_bytes: int, answer_id: str = "c") -> bytes:
    """Return a whole answer with so much text."""
    message = {"role": "assistant", "content": "word " * (content_bytes // 5)}
    used = {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    body = json.dumps({"id": answer_id, "model": MODEL, "choices": [choice], "usage": used}).encode()
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)


def test_a_client_that_takes_nothing(impatient: Rig) -> None:
    """After the limit the client is cut, its answer is read to the end, and the call is settled on what it used."""
    enough_bytes = 2 * PUSHED_MB_MAX * MB
    impatient.provider.story = lambda call: stream(enough_bytes, call)
    more_mb = impatient.watch_memory()
    with impatient.client(impatient.request()) as connection:
        [event] = impatient.settled(1, within_s=PATIENCE_S)
        received = read_all(connection)

    report("a client that takes nothing", f"{more_mb():.0f} MB more memory")
    assert more_mb() < 64
    assert not received.endswith(b"0\r\n\r\n"), "an answer that was cut must not look whole"
    assert event.completeness == "final"
    assert event.quantities["output_tokens"] * len(WORDS) >= 30 * enough_bytes
    assert "read nothing of its answer" in impatient.log()
    assert impatient.differences() == []


def test_a_provider_waits_for_a_client_that_takes_nothing(patient: Rig) -> None:
    """Until the client is cut, the provider is made to wait, the hold stays, and others are served."""
    enough_bytes = 2 * PUSHED_MB_MAX * MB
    patient.provider.story = lambda call: stream(enough_bytes, call)
    with patient.client(patient.request()):
        wait_until_stuck(patient)
        patient.others()
        held, pushed_mb = patient.open_holds(), patient.provider.pushed_bytes / MB

    report("a client that takes nothing", f"{pushed_mb:.1f} MB taken of the provider")
    assert held
    assert pushed_mb < PUSHED_MB_MAX
    [event] = patient.settled(1, within_s=PATIENCE_S)
    assert event.completeness == "final"
    assert "read nothing of its answer" not in patient.log()


@pytest.mark.parametrize("is_stream", [True, False], ids=["streamed", "whole"])
def test_a_client_that_takes_its_time(patient: Rig, is_stream: bool) -> None:
    """Who takes in small pieces, the provider made to wait for each, gets all of it."""
    size = 9 * MB
    answer = whole(size)
    patient.provider.story = lambda call: stream(size, call) if is_stream else call.push(answer)
    with patient.client(patient.request(stream=is_stream, more_headers=b"connection: close\r\n")) as connection:
        wait_until_stuck(patient) if is_stream else wait_for(lambda: patient.provider.pushed_bytes == len(answer))
        received = 0
        end = b""
        while piece := connection.recv(TAKEN_BYTES):
            received += len(piece)
            end = (end + piece)[-100:]

    assert received > size
    assert end.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n" if is_stream else b'"total_tokens": 12}}')
    patient.settled(1)


def test_answers_that_nobody_takes(fresh: Rig) -> None:
    """Whole answers to a client that reads none do not pile up: the next request waits, and others are served."""
    asked = 40
    answer = whole(2 * MB)
    fresh.provider.story = lambda call: call.push(answer)
    more_mb = fresh.watch_memory()
    with fresh.client() as connection:
        for _ in range(asked):
            connection.sendall(fresh.request(stream=False))
        wait_until_stuck(fresh)
        fresh.others()
        served = len(fresh.provider.calls)

    report(f"{asked} answers of 2 MB that nobody takes", f"{served} served, {more_mb():.0f} MB more memory")
    assert 0 < served < PUSHED_MB_MAX / 2
    assert more_mb() < 32
    fresh.settled(served)
    assert len(fresh.provider.calls) == served
    assert fresh.differences() == []


def test_a_client_that_takes_no_answer_is_cut(impatient: Rig) -> None:
    """One that goes on asking and takes no answer is cut in the end, and what was served is settled."""
    answer = whole(2 * MB)
    impatient.provider.story = lambda call: call.push(answer)
    with impatient.client() as connection:
        for _ in range(40):
            connection.sendall(impatient.request(stream=False))
        wait_for(lambda: "read nothing of its answer" in impatient.log())
        served = len(impatient.provider.calls)

    assert 0 < served < PUSHED_MB_MAX / 2
    impatient.settled(served)
    assert impatient.differences() == []


def test_a_last_answer_that_nobody_takes(impatient: Rig) -> None:
    """A connection that closes when its answer is taken does not wait for that for ever."""
    answer = whole(8 * MB)
    impatient.provider.story = lambda call: call.push(answer)
    files = impatient.fds_at_rest()
    with impatient.client(impatient.request(stream=False, more_headers=b"connection: close\r\n")) as connection:
        wait_for(lambda: "read nothing of its answer" in impatient.log())
        wait_for(lambda: impatient.fds() <= files + 1)  # the one to the provider is kept
        received = read_all(connection)

    assert 0 < len(received) < len(answer)
    impatient.settled(1)


def test_many_clients_that_take_nothing(fresh: Rig) -> None:
    """Sixty large streams stand still at once: a bounded buffer for each, and others are served meanwhile."""
    enough = threading.Event()

    def story(call: Call) -> None:
        call.push(HEAD)
        sent = 0
        while not enough.is_set():
            call.push(WORDS)
            sent += 30
        call.push(ending(sent))

    fresh.provider.story = story
    more_mb = fresh.watch_memory()
    with contextlib.ExitStack() as stack:
        for _ in range(STREAMS):
            stack.enter_context(fresh.client(fresh.request()))
        wait_for(lambda: len(fresh.provider.calls) == STREAMS)
        wait_until_stuck(fresh)
        fresh.others()
        assert len(fresh.open_holds()) == STREAMS, "not all are held"
        pushed_mb = fresh.provider.pushed_bytes / MB
        stuck_mb = more_mb()
        enough.set()
    events = fresh.settled(STREAMS, within_s=PATIENCE_S)

    report(f"{STREAMS} clients that take nothing", f"{pushed_mb:.0f} MB taken, {stuck_mb:.0f} MB more memory")
    report("when all have hung up and are settled", f"{more_mb():.0f} MB more memory at most")
    assert pushed_mb < PUSHED_MB_MAX * STREAMS
    assert stuck_mb < STREAMS
    assert {event.completeness for event in events} == {"final"}
    assert fresh.differences() == []


def test_hundreds_of_requests_at_once_on_one_connection(fresh: Rig) -> None:
    """Pipelined requests are answered one by one, in their order, and settled."""
    asked = 300
    fresh.provider.story = lambda call: call.push(whole(100, re.findall(rb"caller \d+", call.request)[0].decode()))
    requests = [fresh.request(stream=False, user=f"caller {number}") for number in range(asked)]
    requests[-1] = requests[-1].replace(b"host: x", b"host: x\r\nconnection: close")
    more_mb = fresh.watch_memory()
    with fresh.client(b"".join(requests)) as connection:
        received = read_all(connection)

    report(f"{asked} requests at once", f"{more_mb():.0f} MB more memory")
    assert re.findall(rb"caller \d+", received) == [b"caller %d" % number for number in range(asked)]
    assert more_mb() < 16
    fresh.settled(asked)


def test_more_requests_at_once_than_anybody_needs(fresh: Rig) -> None:
    """A client that goes on asking without waiting has its next request read, not all of them."""
    ended, may_answer = threading.Event(), threading.Event()

    def story(call: Call) -> None:
        if len(fresh.provider.calls) == 100:
            may_answer.wait(2 * PATIENCE_S)  # and the client asks on
        call.push(whole(100))

    def ask(connection: socket.socket, request: bytes) -> None:
        with contextlib.suppress(OSError):
            while not ended.is_set():
                connection.sendall(request)

    fresh.provider.story = story
    more_mb = fresh.watch_memory()
    files = fresh.fds_at_rest()
    with fresh.client() as connection:
        request = fresh.request(stream=False, user="x" * 32 * 1024)
        threading.Thread(target=ask, args=(connection, request), daemon=True).start()
        received = b""
        while received.count(b"HTTP/1.1 200 OK") < 99:
            received += connection.recv(MB)
        wait_until_stuck(fresh)
        fresh.others()
        assert len(fresh.provider.calls) == 100, "one at a time"
        may_answer.set()
        while received.count(b"HTTP/1.1 200 OK") < 200:
            received += connection.recv(MB)
        ended.set()
        connection.shutdown(socket.SHUT_RDWR)  # closing alone would wait for the thread that sends
    wait_for(lambda: fresh.fds() <= files + 1)  # the connection to the provider is kept

    report("a client that never stops asking", f"{more_mb():.0f} MB more memory")
    assert more_mb() < 16
    # what the gateway had read of the client when it left is still asked for
    wait_for(lambda: not fresh.open_holds() and len(fresh.events()) == len(fresh.provider.calls))
    assert fresh.differences() == []


def test_a_hang_up_with_a_request_behind(patient: Rig) -> None:
    """A client that pipelines and leaves is noticed: the call that runs is settled, the others are not made."""
    gone = threading.Event()

    def story(call: Call) -> None:
        call.push(HEAD + WORDS)
        gone.wait(2 * PATIENCE_S)
        for _ in range(20):
            call.push(WORDS)
        call.push(ending(21 * 30))

    patient.provider.story = story
    with patient.client(patient.request() + patient.request() + patient.request()) as connection:
        assert connection.recv(100)
    gone.set()
    [event] = patient.settled(1)

    assert event.completeness == "final"
    assert event.quantities["output_tokens"] == 21 * 30
    assert len(patient.provider.calls) == 1
    assert "mistake" not in patient.log()


@pytest.mark.parametrize("stays", [True, False], ids=["open", "closed"])
def test_large_requests_on_a_connection_each(fresh: Rig, stays: bool) -> None:
    """What a client sent is let go with its answer, whether its connection stays open or not."""
    asked = 100
    fresh.provider.story = lambda call: call.push(whole(100))
    request = fresh.request(stream=False, user="x" * MB)
    more_mb = fresh.watch_memory()
    with contextlib.ExitStack() as stack:
        for _ in range(asked):
            connection = stack.enter_context(fresh.client(request))
            received = b""
            while not received.endswith(b'"total_tokens": 12}}'):
                received += connection.recv(MB)
            if not stays:
                connection.close()

    report(f"{asked} requests of 1 MB on a connection each", f"{more_mb():.0f} MB more memory")
    assert more_mb() < asked / 2
    fresh.settled(asked)


@pytest.mark.parametrize("known", [True, False], ids=["by a key", "by nobody"])
def test_thousands_of_different_heads(fresh: Rig, known: bool) -> None:
    """What is remembered of heads, so that the usual ones are read once, stays small, whoever sends whatever."""
    asked = 1_500 if known else 4_000
    fresh.provider.story = lambda call: call.push(whole(100))
    if not known:
        fresh.secret = "sk-pt-nobody"
    filler = b"x" * 55_000
    more_mb = fresh.watch_memory()
    with fresh.client() as connection:
        for number in range(asked):
            connection.sendall(fresh.request(stream=False, more_headers=b"x-%d: %b\r\n" % (number, filler)))
            received = b""
            while not received.endswith(b"}}"):
                received += connection.recv(MB)

    report(f"{asked} different heads of 55 KB", f"{more_mb():.0f} MB more memory")
    assert (b" 200 OK" in received) == known
    assert more_mb() < 100


def test_five_thousand_idle_connections(fresh: Rig) -> None:
    """Connections that say nothing, or half a request, cost a few KB each, once, and nobody else anything."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < FILES:
        pytest.skip(f"needs {FILES} open files, this system allows {soft} of at most {hard}")
    files = fresh.fds_at_rest()
    half = fresh.request()[:-10]
    waves = []
    for _ in range(2):
        more_mb = fresh.watch_memory()
        with contextlib.ExitStack() as stack:
            for number in range(CONNECTIONS):
                connection = stack.enter_context(socket.create_connection(fresh.address))
                if number % 2:
                    connection.sendall(half)
            wait_for(lambda: fresh.fds() >= files + CONNECTIONS - KEPT)
            fresh.others()
            wait_for(fresh.is_asleep)
        waves.append(more_mb())
        wait_for(lambda: fresh.fds() <= files + KEPT)

    report(f"{CONNECTIONS} idle connections", f"{waves[0]:.0f} MB more memory, {waves[1]:.0f} the second time")
    assert waves[0] < CONNECTIONS * 16 / 1024
    assert waves[1] < waves[0] / 2 + 4
    assert fresh.settled(0) == []
