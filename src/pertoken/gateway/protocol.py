"""The hot path: uvicorn's HTTP protocol, with the data plane's POSTs taken straight to `services.serve`.

uvicorn keeps sockets, TLS, keep-alive, pipelining and shutdown; every path that is not the data plane's stays plain
ASGI. Skipping the ASGI layer for the hot paths saves about 30 us of CPU a call.
"""

import asyncio
import logging
from collections.abc import Iterable
from typing import Any, ClassVar, cast
from urllib.parse import unquote

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from pertoken.core.errors import Code, Refusal
from pertoken.gateway.deadlines import NEVER, Bound, Deadlines
from pertoken.gateway.exchange import HotExchange
from pertoken.gateway.heads import Head, Heads, Message, cut
from pertoken.services.call.refuse import refuse
from pertoken.services.serve import serve
from pertoken.services.world import World
from pertoken.wire import routes

HEADER_BYTES_MAX = 64 * 1024
HEADERS_MAX = 200
REQUEST_IDLE_S = 30  # a request whose bytes stop coming for this long is given up; so is a connection without any
REQUEST_S = 300  # a request whose bytes trickle in for this long is given up as well

log = logging.getLogger("pertoken.gateway")


class CallProtocol(HttpToolsProtocol):
    """One client connection. `world` is set on a subclass by `bind`."""

    world: ClassVar[World]
    body_bytes_max: ClassVar[int]
    heads: ClassVar[Heads]
    deadlines: ClassVar[Deadlines]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._hot: HotExchange | None = None  # the request being read, when it is the data plane's
        self._header_bytes = 0
        self._mid_request = False
        self._began_at = 0.0  # the request being read, in loop time
        self._message: Message | None = None  # what is being read, if it came whole and alone
        self.deadline = NEVER  # in loop time: when this connection is given up

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection; one that asks for nothing is not kept for ever."""
        super().connection_made(transport)
        self.deadline = self.loop.time() + REQUEST_IDLE_S
        self.deadlines.watch(self.loop, cast(Iterable[Bound], self.connections))

    def data_received(self, data: bytes) -> None:
        """Read what came: a whole request with a head that is known at once, all else by llhttp."""
        cycle = self.cycle
        if self._mid_request or not (cycle is None or cycle.response_complete) or self.transport.is_closing():
            self._message = None
        else:
            self._message = message = cut(data)
            head = None if message is None else self.heads.find(message.key)
            if message is not None and head is not None and len(data) - message.body_at <= self.body_bytes_max:
                exchange = HotExchange(self, head, keep_alive=True)
                exchange.body = data[message.body_at :]
                exchange.more_body = False
                exchange.turn = True
                self.cycle = self._hot = exchange  # type: ignore[assignment]
                self.deadline = NEVER
                self._serve(exchange)
                return
        super().data_received(data)
        if self._mid_request:
            self.deadline = min(self._began_at + REQUEST_S, self.loop.time() + REQUEST_IDLE_S)
        elif self.cycle is not cycle:
            self.deadline = NEVER if not self.cycle.response_complete else self.loop.time() + self.timeout_keep_alive

    def connection_lost(self, exc: Exception | None) -> None:
        """Let the running call go on without its client, unless it asked to be told."""
        super().connection_lost(exc)
        cycle: object = self.cycle
        if isinstance(cycle, HotExchange):
            cycle.hung_up()

    def on_message_begin(self) -> None:
        """Begin to read a request."""
        super().on_message_begin()
        self._hot = None
        self._header_bytes = 0
        self._mid_request = True
        self._began_at = self.loop.time()

    def on_url(self, url: bytes) -> None:
        """Collect the request target, within the limit on headers."""
        super().on_url(url)
        self._count_header(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        """Collect a header, within limits."""
        super().on_header(name, value)
        self._count_header(len(name) + len(value) + 4)

    def on_headers_complete(self) -> None:
        """Take a data-plane POST; leave all else to uvicorn."""
        if self.transport.is_closing():
            return
        raw_path, _, query = self.url.partition(b"?")
        endpoint = None
        if self.parser.get_method() == b"POST" and routes.is_hot(raw_path):
            path = unquote(raw_path.decode("latin-1")) if b"%" in raw_path else raw_path.decode("latin-1")
            endpoint = routes.find(path)
        if endpoint is None:
            super().on_headers_complete()
            return
        keep_alive = self.parser.get_http_version() != "1.0" and self.parser.should_keep_alive()
        # A length differs from call to call, and is known: without it, heads can be remembered.
        headers = tuple(field for field in self.headers if field[0] != b"content-length")
        exchange = HotExchange(self, Head(endpoint, path, query, headers), keep_alive=keep_alive)
        before, self.cycle = self.cycle, exchange  # type: ignore[assignment]
        self._hot = exchange
        if before is None or before.response_complete:
            exchange.turn = True
            if self.expect_100_continue:
                self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((exchange, self.app))  # type: ignore[arg-type]

    def on_body(self, body: bytes) -> None:
        """Collect a body within its limit."""
        exchange = self._hot
        if exchange is None:
            if self.cycle is not None:
                super().on_body(body)
            return
        if exchange.response_complete:
            return
        exchange.size += len(body)
        if exchange.size > self.body_bytes_max:
            message = f"the request body is larger than {self.body_bytes_max} bytes"
            self._refuse(exchange, Refusal(Code.TOO_LARGE, message))
            return
        exchange.parts.append(body)

    def on_message_complete(self) -> None:
        """Serve the request once it is whole."""
        self._mid_request = False
        exchange = self._hot
        if exchange is None:
            if self.cycle is not None:
                super().on_message_complete()
            return
        if exchange.response_complete:
            return
        exchange.more_body = False
        exchange.body = exchange.parts[0] if len(exchange.parts) == 1 else b"".join(exchange.parts)
        exchange.parts.clear()
        if exchange.turn:
            if self._message is not None and exchange.keep_alive:
                self.heads.remember(self._message.key, exchange.head)
            self._serve(exchange)

    def on_response_complete(self) -> None:
        """Go on with the next request in the pipeline, or wait for one."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        else:
            self.deadline = self.loop.time() + self.timeout_keep_alive

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        """Start what waited in the pipeline, ours or uvicorn's."""
        if not isinstance(cycle, HotExchange):
            super()._start_asgi_task(cycle, app)
            return
        cycle.turn = True
        if not cycle.more_body:
            self._serve(cycle)

    def _serve(self, exchange: HotExchange) -> None:
        task = self.loop.create_task(_serve_safely(exchange, self.world))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def _count_header(self, size: int) -> None:
        self._header_bytes += size
        too_many = self.headers is not None and len(self.headers) > HEADERS_MAX
        if (self._header_bytes > HEADER_BYTES_MAX or too_many) and not self.transport.is_closing():
            log.warning("request headers too large, connection closed")
            self.transport.write(
                b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            )
            self.transport.close()
            raise httptools.HttpParserCallbackError("request headers too large")

    def _refuse(self, exchange: HotExchange, refusal: Refusal) -> None:
        """Refuse a request that was not read to its end, and close: what follows cannot be told from a request."""
        exchange.keep_alive = False
        exchange.parts.clear()
        refuse(exchange, exchange.endpoint.format, refusal, "-")
        log.warning("refused unread: %s", refusal.message)

    def give_up(self) -> None:
        """End a request that took too long to arrive, or a connection that nobody uses."""
        self.deadline = NEVER
        if self.transport.is_closing():
            return
        message = f"the request stopped half sent for {REQUEST_IDLE_S} s, or took longer than {REQUEST_S} s"
        if self._hot is not None and self._hot.turn and not self._hot.response_complete:
            self._refuse(self._hot, Refusal(Code.REQUEST_TIMEOUT, message))
        else:
            if self._mid_request:
                log.warning("%s", message)
            self.transport.close()


def bind(world: World, body_bytes_max: int) -> type[CallProtocol]:
    """Return the protocol class that serves calls in `world`."""
    of_one_process = {"world": world, "body_bytes_max": body_bytes_max, "heads": Heads(), "deadlines": Deadlines()}
    return type("BoundCallProtocol", (CallProtocol,), of_one_process)


async def _serve_safely(exchange: HotExchange, world: World) -> None:
    """Run one call; our own mistake ends this call alone, with a trace in the log and a 500 for the client."""
    try:
        await serve(exchange, exchange.endpoint, world)
    except Exception:
        log.exception("a call failed by our own mistake")
        if exchange.response_complete:
            return
        if exchange.started:
            exchange.abort()
        else:
            refusal = Refusal(Code.INTERNAL, "pertoken made a mistake; its log has the details")
            refuse(exchange, exchange.endpoint.format, refusal, "-")
