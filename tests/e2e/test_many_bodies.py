"""Many large bodies at once: what they may take is bounded, and given back."""

import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from tests.e2e.conftest import Process
from tests.e2e.rig import MB, Rig, report, rig, wait_for

CHAT = b"/v1/chat/completions"


@pytest.fixture
def fresh(tmp_path: Path, simulator: Process) -> Iterator[Rig]:
    """Return a gateway that has had no hostile client yet."""
    with rig(tmp_path, simulator) as made:
        yield made


def test_bodies_without_a_key(fresh: Rig) -> None:
    """Forty clients that send 32 MB without a key are told so; no more than their heads is kept of them."""
    parts = urlsplit(fresh.gateway.url)
    more_mb = fresh.watch_memory()
    head = b"POST %s HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % (CHAT, 32 * MB)
    connections = [socket.create_connection((parts.hostname or "", parts.port or 0), timeout=60) for _ in range(40)]
    for connection in connections:
        connection.sendall(head)
    for connection in connections:
        connection.sendall(b"x" * 20 * MB)  # it is taken, and thrown away
    answers = [connection.recv(65_536) for connection in connections]
    for connection in connections:
        connection.close()

    report("40 bodies of 20 MB without a key", f"{more_mb():.0f} MB more memory")
    assert all(answer.startswith(b"HTTP/1.1 401") for answer in answers)
    assert more_mb() < 40
    fresh.others()


def test_bodies_with_a_key(fresh: Rig) -> None:
    """Half bodies of one key fill its share, more are refused, others are served, and their memory is given back."""
    parts = urlsplit(fresh.gateway.url)
    head = b"POST %s HTTP/1.1\r\nhost: x\r\nauthorization: Bearer %s\r\ncontent-length: %d\r\n\r\n"
    more_mb = fresh.watch_memory()
    connections = [socket.create_connection((parts.hostname or "", parts.port or 0), timeout=60) for _ in range(12)]
    for connection in connections:
        connection.sendall(head % (CHAT, fresh.secret.encode(), 32 * MB))
        connection.sendall(b"x" * 31 * MB)
    wait_for(lambda: any(_said(connection) for connection in connections))
    said = [_said(connection) for connection in connections]
    fresh.others()
    most_mb = more_mb()
    for connection in connections:
        connection.close()

    wait_for(lambda: fresh._status("VmRSS") / 1024 < 350)
    report(
        "12 halves of 32 MB with a key", f"{most_mb:.0f} MB more memory, {fresh._status('VmRSS') / 1024:.0f} MB left"
    )
    assert sum(answer.startswith(b"HTTP/1.1 503") for answer in said) == 4
    assert most_mb < 400


def _said(connection: socket.socket) -> bytes:
    """Return what came so far."""
    connection.setblocking(False)
    try:
        return connection.recv(65_536, socket.MSG_PEEK)
    except BlockingIOError:
        return b""
    finally:
        connection.settimeout(60)
