"""Runs the pages in a separate process behind a Unix socket, so that no page delays a call.

The first request for a page starts the process. If it dies, the next request starts another. It ends with the gateway.
Requests that come while it starts wait in the socket's queue.
"""

import asyncio
import html
import logging
import pickle
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httptools
from starlette.types import Receive, Scope, Send

from pertoken.settings import Settings
from pertoken.wire import formats

PROGRAM = ("-m", "pertoken.gateway.pages_server")
ANSWER_S = 60  # one page; an export of a year may take seconds
BODY_BYTES_MAX = 1024 * 1024
ANSWER_BYTES_MAX = 256 * 1024 * 1024
READ_AT_ONCE = 256 * 1024
BACKLOG = 128
RESTART_S = 1.0  # the least time between two starts, so that a process that cannot start does not spin
FORM = b"application/x-www-form-urlencoded"
# Headers that we set for the pages, dropped from clients; and hop-by-hop headers (RFC 9110, 7.6.1).
_OURS = (b"x-pertoken-peer", b"x-pertoken-scheme")
_OF_ONE_HOP = frozenset(
    (b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade", b"expect",
     b"content-length")
)  # fmt: skip
_NOT_PAGES = (*formats.ROOTS, "/api/", "/health/", "/metrics")


log = logging.getLogger("pertoken.pages")


def asks_for_page(scope: Scope) -> bool:
    """Tell whether a browser requests a page or a static file, or sends a form."""
    path, method = scope["path"], scope["method"]
    if path.startswith(_NOT_PAGES):
        return False
    headers = dict(scope["headers"])
    if method in ("GET", "HEAD"):
        accepts: bytes = headers.get(b"accept", b"")
        return path == "/" or path.startswith("/static/") or b"text/html" in accepts
    sent: bytes = headers.get(b"content-type", b"")
    return method == "POST" and sent.startswith(FORM)


class PagesProcess:
    """The pages' process of one gateway process, as an ASGI application."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._listener: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._started_at = 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Forward one request to the process, and its answer to the client."""
        body = await _read(receive)
        if body is None:
            await _say(send, 413, "The form is too large.")
            return
        try:
            async with asyncio.timeout(ANSWER_S):
                answer = await self._ask(_request(scope, body), is_look=scope["method"] == "HEAD")
        except (OSError, EOFError, TimeoutError, httptools.HttpParserError) as error:
            log.error("the pages do not answer: %r", error)  # noqa: TRY400 - the reason is enough
            await _say(send, 503, "The pages do not answer now; calls are served. Try again in a moment.")
            return
        headers = [field for field in answer.headers if field[0] not in _OF_ONE_HOP]
        announced = [field for field in answer.headers if field[0] == b"content-length"]
        headers += announced if scope["method"] == "HEAD" else [(b"content-length", b"%d" % len(answer.body))]
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": bytes(answer.body)})

    @property
    def pid(self) -> int | None:
        """The id of the process, or None if none was started."""
        return None if self._process is None else self._process.pid

    def close(self) -> None:
        """Kill the process and remove its socket."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        if self._listener is not None:
            self._listener.close()
        if self._folder is not None:
            self._folder.cleanup()

    async def _ask(self, request: bytes, *, is_look: bool) -> "_Answer":
        """Send a request and return its answer. Of the answer to HEAD nothing follows the head, whatever that says."""
        reader, writer = await asyncio.open_unix_connection(self._place())
        try:
            writer.write(request)
            await writer.drain()
            answer = _Answer()
            parser = httptools.HttpResponseParser(answer)
            while not answer.is_whole:
                piece = await reader.read(READ_AT_ONCE)
                if not piece:
                    raise EOFError("the process ended in the middle of an answer")
                parser.feed_data(piece)
                if answer.is_head:
                    answer.status = parser.get_status_code()
                    answer.is_whole = answer.is_whole or is_look
                if len(answer.body) > ANSWER_BYTES_MAX:
                    raise EOFError("the answer is too large")
            return answer
        finally:
            writer.close()

    def _place(self) -> str:
        """Return the path of the socket. Start the process if it does not run. Raises EOFError if it died just now."""
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="pertoken-pages-")  # only this user can read it
        path = str(Path(self._folder.name) / "socket")
        if self._listener is None:
            self._listener = socket.socket(socket.AF_UNIX)
            self._listener.bind(path)
            self._listener.listen(BACKLOG)
        if self._process is None or self._process.poll() is not None:
            if time.monotonic() < self._started_at + RESTART_S:
                raise EOFError("the process could not start")
            self._start(self._listener)
        return path

    def _start(self, listener: socket.socket) -> None:
        self._started_at = time.monotonic()
        command = [sys.executable, *PROGRAM, str(listener.fileno())]
        self._process = subprocess.Popen(command, pass_fds=(listener.fileno(),), stdin=subprocess.PIPE)  # noqa: S603
        assert self._process.stdin is not None
        self._process.stdin.write(pickle.dumps(self._settings))
        self._process.stdin.flush()  # stdin stays open; when it closes, the process knows that we are gone


class _Answer:
    """One answer of the process, filled by the parser."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.body = bytearray()
        self.is_head = False
        self.is_whole = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Add a header field."""
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Note that the head is complete."""
        self.is_head = True

    def on_body(self, piece: bytes) -> None:
        """Add a piece of the body."""
        self.body += piece

    def on_message_complete(self) -> None:
        """Note that the answer is complete."""
        self.is_whole = True


def _request(scope: Scope, body: bytes) -> bytes:
    """Return a request as sent to the process, with our own headers for the client's address and scheme."""
    target = scope["raw_path"] + (b"?" + scope["query_string"] if scope["query_string"] else b"")
    dropped = (*_OF_ONE_HOP, *_OURS)
    fields = [field for field in scope["headers"] if field[0].lower() not in dropped]
    peer = scope["client"][0] if scope.get("client") else ""
    fields += [(_OURS[0], peer.encode()), (_OURS[1], scope["scheme"].encode()), (b"connection", b"close")]
    method = scope["method"].encode()
    lines = b"".join(b"%b: %b\r\n" % field for field in fields)
    return b"%b %b HTTP/1.1\r\n%bcontent-length: %d\r\n\r\n%b" % (method, target, lines, len(body), body)


async def _read(receive: Receive) -> bytes | None:
    """Return the body of a request, or None if it is too large."""
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > BODY_BYTES_MAX:
            return None
        if not message.get("more_body"):
            return bytes(body)


async def _say(send: Send, status: int, text: str) -> None:
    body = f"<!doctype html><title>pertoken</title><p>{html.escape(text)}</p>".encode()
    headers = [(b"content-type", b"text/html; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
