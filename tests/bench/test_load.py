"""The load generator asks what it says it asks, and counts what came of it."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import load
import pytest
from call import Stream, Target, WrongAnswer, check, message
from load import closed, opened, run
from machine import Machine
from scene import Running, scene
from streaming import Streams


@pytest.fixture(scope="module")
def provider() -> Iterator[Running]:
    """Return the provider of the benchmarks, running."""
    machine = Machine.here()
    with scene([], machine.cores()) as made:
        yield made.direct


@contextlib.contextmanager
def answering(answer: bytes, wait_s: float = 0) -> Iterator[Target]:
    """Yield a server that gives every request of one connection the same bytes, one after the other."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    with listener.accept()[0] as client:
                        while client.recv(65_536):
                            time.sleep(wait_s)
                            for at in range(0, len(answer), 40):
                                client.sendall(answer[at : at + 40])

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield Target(f"http://127.0.0.1:{listener.getsockname()[1]}")


def whole(status: str, body: bytes) -> bytes:
    """Return an answer with a length."""
    return b"HTTP/1.1 %b\r\nContent-Length: %d\r\n\r\n%b" % (status.encode(), len(body), body)


def test_a_closed_loop_counts_every_answer(provider: Running) -> None:
    """Each call has a latency, none has failed, and the provider has used CPU for them."""
    loop = closed(provider.target.address, message(provider.target), 4, 0.2, provider.process.cpu_s)
    answers = run(loop)

    assert answers.calls == len(answers.latencies_s) > 4
    assert answers.failed == 0
    assert answers.cpu_s > 0


def test_an_answer_of_another_status_has_failed() -> None:
    """Nobody is fast by refusing."""
    with answering(whole("503 Busy", b"x" * 100)) as target:
        answers = run(closed(target.address, message(target), 1, 0.1, lambda: 0.0))

    assert answers.failed == answers.calls > 0


def test_an_answer_without_a_length_ends_with_its_last_chunk() -> None:
    """A chunked answer that comes in pieces is one answer."""
    answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"20\r\n" + b"y" * 32 + b"\r\n0\r\n\r\n"
    with answering(answer) as target:
        answers = run(closed(target.address, message(target), 1, 0.1, lambda: 0.0))

    assert answers.failed == 0
    assert answers.calls > 0


def test_an_open_loop_asks_at_its_rate(provider: Running) -> None:
    """As many calls are due as the rate says, and a provider that keeps up has answered them."""
    kept = run(opened(provider.target.address, message(provider.target), 200, 0.5))

    assert kept.due == 100
    assert 0 < len(kept.latencies_s) <= kept.due
    assert kept.failed == 0


def test_who_stops_is_charged_for_all_that_had_to_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Latency counts from when a call was due: with one answer at a time, the last one has waited for all before it."""
    monkeypatch.setattr(load, "LINGER_S", 0.5)  # all connections but one are never answered
    with answering(whole("200 OK", b"x"), wait_s=0.02) as target:
        kept = run(opened(target.address, message(target), 200, 0.3))

    assert kept.in_time < kept.due
    assert max(kept.latencies_s) > 0.02 * 3


def test_streams_are_read_while_all_of_them_run(provider: Running) -> None:
    """Chunks are counted, each with the time it took, and no stream is missing."""
    stream = Stream(chunks=60, gap_ms=20)
    streams = Streams(provider.target.address, message(provider.target, stream), 5)
    flow = run(streams.read(stream.chunks * stream.gap_ms / 1e3, provider.process.cpu_s))

    assert flow.begun == 5
    assert 0 < flow.chunks == len(flow.delays_s) <= 5 * 60
    assert min(flow.delays_s) >= 0


def test_a_wrong_usage_is_no_right_answer() -> None:
    """A gateway that loses what the provider says of usage is not measured."""
    with answering(whole("200 OK", b'{"usage": {"prompt_tokens": 1}}')) as target, pytest.raises(WrongAnswer) as wrong:
        check(target, streams=False)

    assert "prompt_tokens is 1" in str(wrong.value)
