"""A gateway of its own between a peer that behaves badly and others that do not.

Nothing here is judged by a clock. The bad peer is held in place, and others are served meanwhile; bytes, files and
memory are counted; a gateway that waits must be asleep.
"""

import asyncio
import contextlib
import json
import re
import resource
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.crash.client import Connection
from tests.e2e.conftest import Process, Stack, gateway_environ, start

from pertoken.store.database import Database

MB = 1024 * 1024
SMALL_BUFFER = 64 * 1024  # of sockets, so that what a peer can push is what the gateway takes
OTHERS = 4  # well-behaved callers at a time
OTHERS_CALLS = 20  # that each of them makes
PATIENCE_S = 60  # for what must come true
STUCK_S = 0.3  # between two looks at whoever may be stuck
ASLEEP_LOOKS = 20  # in a row that find it asleep: a gateway that spins is never found so
MODEL = "gpt-4o-mini"
PATIENT = {"first_byte_ms": "120000", "idle_ms": "120000", "client_idle_ms": "120000"}  # unless a test is about them
CHAT = "/v1/chat/completions"
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
DONE = b"data: [DONE]\n\n"
LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)


def event(text: str, padding: int = 0) -> bytes:
    """Return one piece of a streamed chat completion; OpenAI does pad them, under this name."""
    choices = [{"index": 0, "delta": {"content": text}}]
    said = {"id": "c", "model": MODEL, "choices": choices, "obfuscation": "x" * padding}
    return b"data: %b\n\n" % json.dumps(said).encode()


def usage(tokens: int) -> bytes:
    """Return the piece that says what was used, and the end behind it."""
    used = {"prompt_tokens": 5, "completion_tokens": tokens, "total_tokens": 5 + tokens}
    said = {"id": "c", "model": MODEL, "choices": [], "usage": used}
    return b"data: %b\n\n" % json.dumps(said).encode() + DONE


def chunk(data: bytes) -> bytes:
    """Return one chunk of a chunked body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def words(count: int) -> bytes:
    """Return a chunk of so many events of 2 KB with a word each."""
    return chunk(event("word ", 1_900) * count)


def ending(tokens: int) -> bytes:
    """Return the end of a streamed answer of so many tokens."""
    return chunk(usage(tokens)) + b"0\r\n\r\n"


Story = Callable[["Call"], None]


class Stop:
    """Holds an answer in place once so many bytes of it are sent, until it may go on."""

    def __init__(self, after_bytes: int) -> None:
        self.after_bytes = after_bytes
        self.is_reached = threading.Event()
        self.may_go_on = threading.Event()

    def room(self, pushed_bytes: int) -> int:
        """Wait where the stop is; return how many bytes may be sent before the next look."""
        if pushed_bytes < self.after_bytes:
            return self.after_bytes - pushed_bytes
        self.is_reached.set()
        self.may_go_on.wait(2 * PATIENCE_S)
        return MB


class Call:
    """One request that reached the bad provider, and the socket it is answered on."""

    def __init__(self, connection: socket.socket, request: bytes, stop: Stop | None) -> None:
        self.connection = connection
        self.request = request
        self.pushed_bytes = 0
        self._stop = stop

    def push(self, data: bytes) -> None:
        """Send, counting what the other side took; wait where the answer is to stop. Raises OSError."""
        view = memoryview(data)
        while view:
            room = len(view) if self._stop is None else self._stop.room(self.pushed_bytes)
            sent = self.connection.send(view[:room])
            self.pushed_bytes += sent
            view = view[sent:]


class BadProvider:
    """A provider on a socket. Each request is answered by `story`, on a thread of its own."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1_024)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SMALL_BUFFER)
        self._connections: set[socket.socket] = set()
        self.story: Story = lambda call: call.push(HEAD + ending(1))
        self.stop_at: Stop | None = None  # of the answers to come
        self.calls: list[Call] = []
        host, port = self._listener.getsockname()
        self.url = f"http://{host}:{port}"
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def pushed_bytes(self) -> int:
        """What the gateway took of all answers."""
        return sum(call.pushed_bytes for call in self.calls)

    def stop(self) -> None:
        """Close everything, so that every thread ends."""
        for one in (self._listener, *self._connections):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self._connections.add(connection)
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while request := _read_request(connection):
                call = Call(connection, request, self.stop_at)
                self.calls.append(call)
                self.story(call)
        connection.close()
        self._connections.discard(connection)


def _read_request(connection: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(65_536)
        if not piece:
            return b""
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    found = LENGTH.search(head)
    missing = int(found[1]) - len(body) if found else 0
    while missing > 0 and (piece := connection.recv(65_536)):
        data += piece
        missing -= len(piece)
    return data


@dataclass
class Rig(Stack):
    """The gateway, a bad provider under the name of OpenAI, and the simulator, for the others, under Anthropic's."""

    provider: BadProvider = field(default_factory=BadProvider)
    other_secret: str = ""
    log_start: int = 0

    def anew(self, name: str) -> "Rig":
        """Return it with a key for a test of this name, as it is before anything has happened to it."""
        self.key_id, self.secret = self.new_key(f"{name}-{time.time_ns()}")
        self.provider.calls.clear()
        self.provider.stop_at = None
        self.log_start = len(super().log())
        self.others(1)  # all keys are read anew
        return self

    def log(self) -> str:
        """Return what the gateway has logged since the test began."""
        return super().log()[self.log_start :]

    @property
    def address(self) -> tuple[str, int]:
        """Where the gateway listens."""
        parts = urlsplit(self.gateway.url)
        return str(parts.hostname), int(parts.port or 0)

    def rss_mb(self) -> float:
        """Return the memory that the gateway has now."""
        return self._status("VmRSS") / 1024

    def watch_memory(self) -> Callable[[], float]:
        """Return a function that tells how many MB more than now the gateway had at most since."""
        with contextlib.suppress(OSError):  # where the system does not forget the old peak, only a higher one is seen
            Path(f"/proc/{self.gateway.popen.pid}/clear_refs").write_text("5")
        before = max(self.rss_mb(), self._status("VmHWM") / 1024)
        return lambda: self._status("VmHWM") / 1024 - before

    def fds(self) -> int:
        """Return how many files and sockets the gateway has open."""
        return len(list(Path(f"/proc/{self.gateway.popen.pid}/fd").iterdir()))

    def fds_at_rest(self) -> int:
        """Return the same once the connections of before are closed."""
        wait_for(self.is_asleep)
        return self.fds()

    def request(self, *, stream: bool = True, more_headers: bytes = b"", **more: Any) -> bytes:
        """Return the bytes of a call to the bad provider."""
        body = json.dumps(
            {"model": MODEL, "stream": stream, "messages": [{"role": "user", "content": "go on"}], **more}
        )
        head = f"POST {CHAT} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {self.secret}\r\n".encode() + more_headers
        return head + b"content-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body) + body.encode()

    @contextmanager
    def client(self, data: bytes = b"", *, patience_s: float = PATIENCE_S) -> Iterator[socket.socket]:
        """Connect with a small receive buffer, and send `data`."""
        with socket.socket() as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
            connection.settimeout(patience_s)
            connection.connect(self.address)
            connection.sendall(data)
            yield connection

    def others(self, calls: int = OTHERS_CALLS) -> None:
        """Have each of the others make so many calls; assert that all of them are served."""
        unserved = asyncio.run(self._others(calls))
        assert unserved == []

    async def _others(self, calls: int) -> list[object]:
        headers = {"x-api-key": self.other_secret, "anthropic-version": "2023-06-01"}
        messages = [{"role": "user", "content": "hello"}]
        body = {"model": "claude-haiku-4-5", "max_tokens": 20, "messages": messages}
        unserved: list[object] = []

        async def one() -> None:
            connection = Connection(self.gateway.url)
            for _ in range(calls):
                answer = await connection.post("/v1/messages", headers, body)
                if answer is None or answer.status != 200:
                    unserved.append(answer)
                    break  # one that waits in vain is enough
            connection.close()

        async with asyncio.TaskGroup() as group:
            for _ in range(OTHERS):
                group.create_task(one())
        return unserved

    def is_asleep(self) -> bool:
        """Tell whether the gateway's event loop waits, at one look after the other."""
        stat = Path(f"/proc/{self.gateway.popen.pid}/stat")
        for _ in range(ASLEEP_LOOKS):
            if stat.read_text().rpartition(")")[2].split()[0] != "S":
                return False
            time.sleep(0.005)
        return True

    def _status(self, name: str) -> int:
        text = Path(f"/proc/{self.gateway.popen.pid}/status").read_text()
        found = re.search(rf"{name}:\s+(\d+) kB", text)
        assert found is not None
        return int(found[1])


def wait_until_stuck(made: Rig) -> None:
    """Wait until the bad provider has sent something and cannot send more, and the gateway has nothing to do."""
    before = -1

    def is_stuck() -> bool:
        nonlocal before
        if not made.is_asleep():
            return False
        last, before = before, made.provider.pushed_bytes
        if last == before and before:
            return True
        time.sleep(STUCK_S)
        return False

    wait_for(is_stuck)


def read_all(connection: socket.socket) -> bytes:
    """Return all that comes until the connection ends, however it ends."""
    pieces = []
    with contextlib.suppress(ConnectionError):
        while piece := connection.recv(MB):
            pieces.append(piece)
    return b"".join(pieces)


def report(what: str, said: object) -> None:
    """Print a figure, for a person who runs this with -s."""
    print(f"\n{what}: {said}", end="")  # noqa: T201 - see above


def wait_for(holds: Callable[[], object], within_s: float = PATIENCE_S) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline, "did not come true in time"
        time.sleep(0.02)


@contextmanager
def rig(folder: Path, simulator: Process, *words: str, **limits: str) -> Iterator[Rig]:
    """Yield a warm gateway of its own: the tokenizer is loaded, connections are open, and nothing is on its way.

    This process and the gateway may open as many files as the system lets them. `words` start another command line.
    """
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    provider = BadProvider()
    environ = gateway_environ(
        simulator.url,
        folder,
        PERTOKEN_PROVIDERS__OPENAI__BASE_URL=f"{provider.url}/v1",
        **{f"PERTOKEN_LIMITS__{limit.upper()}": value for limit, value in {**PATIENT, **limits}.items()},
    )
    gateway = start([*(words or ("-m", "pertoken")), "serve", "--port", "0"], environ, folder / "gateway.log")
    database = Database(environ["PERTOKEN_DATABASE_URL"])
    made = Rig(gateway, simulator, database, provider=provider)
    try:
        _, made.other_secret = made.new_key("others")
        measured = made.new_key("measured")
        made.key_id, made.secret = made.new_key("warming up")
        _warm_up(made)
        made.key_id, made.secret = measured
        yield made
    finally:
        gateway.stop()
        provider.stop()
        database.close()


def _warm_up(made: Rig) -> None:
    made.provider.story = lambda call: call.push(HEAD + chunk(event("words to count") + DONE) + b"0\r\n\r\n")
    with made.client(made.request(more_headers=b"connection: close\r\n")) as connection:
        read_all(connection)
    made.settled(1)
    made.others()
    made.provider.calls.clear()
