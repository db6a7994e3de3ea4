"""The hot path: uvicorn's HTTP protocol, with POSTs of the data plane passed directly to `services.serve`.

uvicorn handles sockets, TLS, keep-alive, pipelining and shutdown. All paths outside the data plane use plain ASGI.
Skipping the ASGI layer on the hot paths saves about 30 us of CPU for each call.
"""

import asyncio
import logging
from collections.abc import Coroutine, Iterable
from typing import Any, ClassVar, cast

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from pertoken.core.calls import REFUSED, CallLine
from pertoken.core.errors import Code, Refusal
from pertoken.core.ids import RANDOM_BITS, new_id
from pertoken.gateway.bodies import RETRY_AFTER_S, UNCOUNTED_BYTES, Bodies
from pertoken.gateway.deadlines import NEVER, Deadlined, Deadlines
from pertoken.gateway.exchange import HotExchange
from pertoken.gateway.heads import Head, expects_continue, head_of
from pertoken.gateway.incoming import Incoming
from pertoken.gateway.patience import Patience
from pertoken.gateway.states import (
    ASK,
    ASKING,
    BEHIND,
    BUSY,
    COMING,
    DONE,
    DONE_FULL,
    GONE,
    IDLE,
    LINGERING,
    LOST,
    PARTIAL,
    QUEUED_WHOLE,
    REFUSE,
    TAKEN,
    TOLD,
    TURN,
    WHOLE,
)
from pertoken.services.call.heavy import Heavy, is_heavy
from pertoken.services.call.identify import Caller, identify, recognise
from pertoken.services.call.record import record
from pertoken.services.call.refuse import refuse
from pertoken.services.serve import serve
from pertoken.services.world import World
from pertoken.settings import LimitSettings

WAITING_MAX = 1_000  # pipelined requests of one connection that wait for earlier answers
SMALL_BYTES = 64  # a smaller piece of a body is small; handling it costs as much as a large piece
SMALL_PIECES_MAX = 10_000  # small pieces in one body
REQUEST_IDLE_S = 30  # a connection is given up if no byte of a request arrives for this long
REQUEST_S = 300  # a request is given up if it is not complete after this time
LINGER_S = 10  # how long a client may go on sending after its request was refused half way
LARGE_BYTES = 64 * 1024  # after a piece above this size, others get their turn

log = logging.getLogger("pertoken.gateway")


class CallProtocol(Incoming):
    """One client connection. `world` is set on a subclass by `bind`."""

    world: ClassVar[World]
    body_bytes_max: ClassVar[int]
    body_values_max: ClassVar[int]
    bodies: ClassVar[Bodies]
    client_idle_ms: ClassVar[int]
    deadlines: ClassVar[Deadlines]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._serving: HotExchange | RequestResponseCycle | None = None  # being served; `cycle` is the last one read
        self._head: Head | None = None  # of the last call
        self._left_bytes = 0  # how many more bytes of a refused request are accepted and dropped
        self.deadline = NEVER  # when this connection is given up, in loop time

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a new connection, with a deadline for its first request."""
        super().connection_made(transport)
        self._patience = Patience(self.loop, transport, self.client_idle_ms)
        self.deadline = self.loop.time() + REQUEST_IDLE_S
        self.deadlines.watch(self.loop, cast(Iterable[Deadlined], self.connections))

    def data_received(self, data: bytes) -> None:
        """Parse received bytes, and set the deadline for the next ones."""
        if self.reading == LINGERING:
            self._throw_away(len(data))
            return
        cycle, was_reading = self.cycle, self.reading != IDLE
        self._feed(data)
        if len(data) > LARGE_BYTES:
            self._breathe()
        if self.reading == PARTIAL:
            self._expect_rest()
            if self._hot is not None:
                self._admit_rest(self._hot)
        elif self.reading == IDLE and self.cycle is not None and (was_reading or self.cycle is not cycle):
            self.deadline = NEVER if not self.cycle.response_complete else self.loop.time() + self.timeout_keep_alive

    def _breathe(self) -> None:
        """Pause reading for one turn of the loop. uvloop may read 32 pieces of 256 KB from one connection in a row."""
        if self.transport.is_closing() or self.flow.read_paused:
            return
        self.transport.pause_reading()
        self.loop.call_soon(self._read_on)

    def _read_on(self) -> None:
        if not self.transport.is_closing() and not self.flow.read_paused:
            self.transport.resume_reading()

    def eof_received(self) -> None:
        """Answer no more: the transport closes now, and uvicorn's cycles write without asking it."""
        if isinstance(self._serving, RequestResponseCycle):
            self._serving.disconnected = True
            self._serving.message_event.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell all requests that the client is gone. A running call continues, unless it set `when_gone`."""
        self._read(LOST)
        self._answer(LOST)
        self._patience.end()
        exchanges = {self.cycle, self._hot, self._serving, *(cycle for cycle, _ in self.pipeline)}
        for exchange in exchanges:
            if isinstance(exchange, HotExchange):
                exchange.hung_up()
                if exchange is not self._serving:
                    exchange.let_go()
            elif exchange is not None and not exchange.response_complete:
                exchange.disconnected = True
                exchange.message_event.set()
        self.cycle = None  # type: ignore[assignment] # uvicorn would tell only this one, and a second time
        super().connection_lost(exc)
        self.pipeline.clear()
        self._hot = self._serving = None  # each is a reference cycle, which the collector finds late

    def pause_writing(self) -> None:
        """Start the time limit for a client that does not read its answer."""
        super().pause_writing()
        self._patience.begin()

    def resume_writing(self) -> None:
        """Continue to write, because the client has read nearly all of the buffer."""
        super().resume_writing()
        if self.transport.is_closing():
            return
        self._patience.end()
        waited = self.answering == BEHIND
        self._answer(TAKEN)
        if waited:
            self._go_on()

    def close(self) -> None:
        """Close when the client has read all written bytes; the usual timeout applies.

        If the client is still sending, closing at once could lose the answer: TCP resets a connection with unread
        bytes.
        """
        if self.reading == LINGERING:
            self.deadline = self.loop.time() + LINGER_S
            self.flow.resume_reading()
            if self.transport.can_write_eof():
                self.transport.write_eof()
        else:
            self.transport.close()
        self._patience.begin()

    def _throw_away(self, size: int) -> None:
        """Drop bytes of a refused request. Close the connection if there are more than a request may have."""
        self._left_bytes -= size
        if self._left_bytes < 0:
            self.transport.close()

    def on_headers_complete(self) -> None:
        """Start an exchange for a POST of the data plane. Pass any other request to uvicorn."""
        if self.transport.is_closing() or self.reading == LINGERING or self.parser.should_upgrade():
            return
        if len(self.pipeline) >= WAITING_MAX:
            self._end(b"", "too many requests before the answers to the first")
        self._check_head()
        head = head_of(self.url, self.headers, self._head) if self.parser.get_method() == b"POST" else None
        if head is None:
            self._hand_over()
            return
        self._head = head
        is_of_before = self.parser.get_http_version() == "1.0"
        exchange = HotExchange(self, head, keep_alive=not is_of_before and self.parser.should_keep_alive())
        exchange.continued = is_of_before  # HTTP/1.0 has no 100 Continue
        before, self.cycle = self.cycle, exchange  # type: ignore[assignment]
        self._hot = exchange
        if before is None or before.response_complete:
            self._give_turn(exchange)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((exchange, self.app))  # type: ignore[arg-type]

    def on_body(self, body: bytes) -> None:
        """Collect a piece of a body, within the limits on its size and on small pieces."""
        self._quiet_bytes = 0
        if self.reading == LINGERING or self.transport.is_closing() or self.parser.should_upgrade():
            return
        exchange = self._hot
        if len(body) < SMALL_BYTES:
            self._small_pieces += 1
            if self._small_pieces > SMALL_PIECES_MAX:
                self._refuse_pieces(exchange)
                return
        if exchange is None:
            super().on_body(body)
            return
        if exchange.size + len(body) > self.body_bytes_max:
            message = f"the request body is larger than {self.body_bytes_max} bytes, as limits.body_bytes_max allows"
            self._refuse_body(exchange, Refusal(Code.TOO_LARGE, message))
            return
        exchange.add(body)

    def on_message_complete(self) -> None:
        """Serve the request, which is now complete, if it is its turn."""
        self._read(WHOLE)
        if self.reading == LINGERING or self.transport.is_closing() or self.parser.should_upgrade():
            return
        exchange = self._hot
        if exchange is None:
            super().on_message_complete()
            return
        exchange.be_whole()
        if exchange.state != QUEUED_WHOLE:
            self._take(exchange, exchange.collected())

    def on_response_complete(self) -> None:
        """Continue with the next request, if the client has read enough of the earlier answers."""
        self.server_state.total_requests += 1
        self._answer(DONE_FULL if self.flow.write_paused else DONE)
        if self.transport.is_closing() or self.reading == LINGERING:
            return
        if self.answering == BEHIND:
            self.flow.pause_reading()
            self._patience.begin()
            return
        self._go_on()

    def _go_on(self) -> None:
        """Start the next request in the pipeline, or wait for one. Resume reading if the pipeline is empty."""
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
            if self.pipeline:
                return
        else:
            self.deadline = self.loop.time() + self.timeout_keep_alive
        if self.reading != ASKING:
            self.flow.resume_reading()
        if self.reading == PARTIAL:
            self._began_at = self.loop.time()  # the delay until now was ours
            self._expect_rest()

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        """Start a request from the pipeline, either an exchange or uvicorn's cycle."""
        if not isinstance(cycle, HotExchange):
            self._answer(TURN)
            self._serving = cycle
            super()._start_asgi_task(cycle, app)
            return
        self._give_turn(cycle)
        if cycle.state == COMING:
            self._admit_rest(cycle)
        else:
            self._take(cycle, cycle.collected())

    def _admit_rest(self, exchange: HotExchange) -> None:
        """Check the caller and the room for its body before more of the body is read."""
        if exchange.state != COMING or self.reading != PARTIAL:
            return
        if exchange.key_id is None:
            caller = recognise(exchange.head.headers, exchange.head.query, self.world)
            if caller is None:
                self._read(ASK)
                self.deadline = NEVER
                self.flow.pause_reading()
                self._run(self._ask_who(exchange))
                return
            if isinstance(caller, Refusal):
                self._refuse(exchange, caller)
                return
            exchange.key_id = caller.key.key_id
        full = self._count(exchange, exchange.size)
        if full is not None:
            self._refuse(exchange, full)
        elif not exchange.continued:
            exchange.continued = True
            if expects_continue(exchange.headers):
                self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    async def _ask_who(self, exchange: HotExchange) -> None:
        """Look up a key that this process does not know in the database. Reading is paused until then."""
        caller = await identify(exchange.head.headers, exchange.head.query, self.world)
        self._read(TOLD)
        if self.transport.is_closing() or self.reading != PARTIAL:
            return
        if isinstance(caller, Refusal):
            self._refuse(exchange, caller)
            return
        exchange.key_id = caller.key.key_id
        self._admit_rest(exchange)
        self.flow.resume_reading()
        if self.reading == PARTIAL:
            self._expect_rest()

    def _count(self, exchange: HotExchange, size: int) -> Refusal | None:
        """Count the bytes of a body; return a refusal if there is no room for them."""
        more = size - exchange.counted_bytes
        if size <= UNCOUNTED_BYTES or not more:
            return None
        full = self.bodies.take(exchange.key_id or "", more)
        if full is not None:
            return Refusal(Code.OVERLOADED, full, retry_after_s=RETRY_AFTER_S)
        exchange.counted_bytes = size
        return None

    def _take(self, exchange: HotExchange, body: bytes) -> None:
        """Serve a complete request. Mark a body that takes long to parse as heavy."""
        exchange.parts = None
        heavy = is_heavy(body, exchange.values_bound)
        if exchange.key_id is None and (heavy or len(body) > UNCOUNTED_BYTES):
            caller = recognise(exchange.head.headers, exchange.head.query, self.world)
            exchange.key_id = caller.key.key_id if isinstance(caller, Caller) else ""
        full = self._count(exchange, len(body))
        if full is not None:
            exchange.let_go()
            refuse(exchange, exchange.endpoint.format, full, self._named(full))
            return
        exchange.body = body
        if heavy:
            exchange.heavy = Heavy(body, exchange.key_id or "", self.body_values_max)
        self._serve(exchange)

    def _give_turn(self, exchange: HotExchange) -> None:
        self._answer(TURN)
        exchange.take_turn()

    def _serve(self, exchange: HotExchange) -> None:
        self._serving = exchange
        self._run(_serve_safely(exchange, self.world))

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        task = self.loop.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def _refuse_pieces(self, exchange: HotExchange | None) -> None:
        """Refuse a body with too many tiny pieces. Handling 256 KB of them at once would delay every other call."""
        message = f"the request body has more than {SMALL_PIECES_MAX} pieces of less than {SMALL_BYTES} bytes"
        self._refuse_body(exchange, Refusal(Code.INVALID_REQUEST, f"{message}; send larger ones"))

    def _refuse_body(self, exchange: HotExchange | None, refusal: Refusal) -> None:
        """Refuse a request because of its body. If earlier requests are unanswered, close the connection instead."""
        if exchange is None or exchange.state != COMING:
            self._end(b"", refusal.message)
        else:
            self._refuse(exchange, refusal)

    def _named(self, refusal: Refusal) -> str:
        """Record and log a call that is refused before `serve` sees it; return its call id."""
        now_us = self.world.clock.now_us()
        call_id = new_id("call", now_us, self.world.clock.random_bits(RANDOM_BITS))
        record(refusal, call_id, now_us, self.world)
        if self.world.tell is not None:
            line = CallLine(now_us, call_id, REFUSED, refusal.status, 0, refusal.attribution, (), str(refusal.code))
            self.world.tell(line)
        return call_id

    def _refuse(self, exchange: HotExchange, refusal: Refusal) -> None:
        """Refuse an incomplete request and close the connection, because its rest could be taken for a request."""
        exchange.keep_alive = False
        exchange.let_go()
        self._read(REFUSE)
        self._left_bytes = self.body_bytes_max
        refuse(exchange, exchange.endpoint.format, refusal, self._named(refusal))
        log.warning("refused unread: %s", refusal.message)

    def _expect_rest(self) -> None:
        """Set the deadline for the rest of a request. While earlier requests are answered, there is no deadline."""
        if self.answering == BEHIND or (self.answering == BUSY and (self.pipeline or not self.cycle.more_body)):
            self.deadline = NEVER
        else:
            self.deadline = min(self._began_at + REQUEST_S, self.loop.time() + REQUEST_IDLE_S)

    def give_up(self) -> None:
        """End a request that took too long to arrive, or a connection without a request."""
        self.deadline = NEVER
        if self.transport.is_closing():
            return
        if self.reading == LINGERING:
            self.transport.close()
            return
        message = f"the request stopped half sent for {REQUEST_IDLE_S} s, or took longer than {REQUEST_S} s"
        if self._hot is not None and self._hot.state == COMING:
            self._refuse(self._hot, Refusal(Code.REQUEST_TIMEOUT, message))
        else:
            if self.reading != IDLE:
                log.warning("%s", message)
            self.close()


def bind(world: World, limits: LimitSettings) -> type[CallProtocol]:
    """Return the protocol class that serves calls in `world`."""
    of_one_process = {
        "world": world,
        "body_bytes_max": limits.body_bytes_max,
        "body_values_max": limits.body_values_max,
        "bodies": Bodies(limits.bodies_bytes_max, limits.key_bodies_bytes_max),
        "client_idle_ms": limits.client_idle_ms,
        "deadlines": Deadlines(),
    }
    return type("BoundCallProtocol", (CallProtocol,), of_one_process)


async def _serve_safely(exchange: HotExchange, world: World) -> None:
    """Run one call. A bug of ours ends only this call, with a traceback in the log and a 500 for the client."""
    try:
        await serve(exchange, exchange.endpoint, world)
    except Exception:
        log.exception("a call failed because of a bug in pertoken")
        if exchange.state in (DONE, GONE):
            return
        if exchange.started:
            exchange.abort()
        else:
            refusal = Refusal(Code.INTERNAL, "pertoken made a mistake; its log has the details")
            refuse(exchange, exchange.endpoint.format, refusal, "-")
    finally:
        exchange.let_go()
