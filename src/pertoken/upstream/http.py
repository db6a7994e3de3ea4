"""Our HTTP/1.1 client to providers. It is the public interface over `pool`, `connection` and `dial`.

It sends a request once and never retries, because the provider may bill a request of which it got any byte
(`error.sent`). It follows no redirects, adds no header fields except Host and Content-Length, and does not decode
bodies (see `encoding`).
"""

import asyncio
import ssl

from pertoken.upstream.connection import Connection
from pertoken.upstream.dial import dial
from pertoken.upstream.errors import ClientClosed, ConnectFailed, ConnectTimeout
from pertoken.upstream.limits import ClientLimits
from pertoken.upstream.origin import Origin, parse_origin
from pertoken.upstream.pool import TICK_S, Pool
from pertoken.upstream.proxy import Proxies
from pertoken.upstream.request import HeaderFields, request_head
from pertoken.upstream.response import Response

__all__ = ["Client", "ClientLimits", "Origin", "Proxies", "Response", "parse_origin"]

_IDLE_TICK_S = 1.0  # how often idle connections are checked while no transfer is in flight
_CLOSE_S = 1.0  # how long `close` waits for sockets to close


class Client:
    """Connections to any number of origins, all used from one event loop.

    Without `ssl_context`, the system's certificate authorities are trusted and names are verified. Without `proxies`,
    every connection is direct: the client does not read the environment (see `Proxies.from_environ`).
    """

    def __init__(
        self, limits: ClientLimits, *, ssl_context: ssl.SSLContext | None = None, proxies: Proxies | None = None
    ) -> None:
        self._limits = limits
        self._ssl_context = ssl_context or _default_context()
        self._proxies = proxies or Proxies()
        self._pools: dict[Origin, Pool] = {}
        self._dials: set[asyncio.Timeout] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._ticking = False  # whether the timer runs at the fast rate, for transfers in flight
        self._closed = False

    async def send(self, origin: Origin, method: bytes, target: bytes, headers: HeaderFields, body: bytes) -> Response:
        """Send one request and return when the head of its answer has arrived, whatever its status.

        `target` is path and query. Hop-by-hop fields, host and content-length are dropped from `headers`. Raises any
        UpstreamError except DecodingFailed and BodyTooLarge. The error's `sent` says whether the provider may have
        received the request.
        """
        if self._closed:
            raise ClientClosed("the client is closed", sent=False)
        loop = asyncio.get_running_loop()
        pool = self._pools.get(origin) or self._add_pool(origin)
        head = request_head(pool.route, method, target, headers, len(body))
        started_at = loop.time()
        connection = pool.take(started_at) or await self._connect(pool)
        if not self._ticking:
            self._tick_fast(loop)
        transfer = connection.begin(started_at, bodiless=method == b"HEAD")
        if not connection.write(head, body):
            await connection.upload(transfer, body)
        while not transfer.status:
            if transfer.error is not None:
                raise transfer.error
            await transfer.wait()
        return Response(transfer, self._limits.body_bytes)

    async def close(self) -> None:
        """Close every connection. Tasks that wait for a connection or an answer get ClientClosed. May be repeated."""
        self._closed = True
        loop = asyncio.get_running_loop()
        for timeout in self._dials:
            if not timeout.expired():
                timeout.reschedule(loop.time())
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._ticking = None, True  # so that no `send` starts the timer again
        leaving: list[asyncio.Future[None]] = []
        for pool in self._pools.values():
            for connection in pool.close(ClientClosed("the client was closed during the transfer", sent=True)):
                connection.gone = loop.create_future()
                leaving.append(connection.gone)
        if leaving:
            await asyncio.wait(leaving, timeout=_CLOSE_S)

    def _add_pool(self, origin: Origin) -> Pool:
        pool = self._pools[origin] = Pool(origin, self._proxies.find(origin), self._limits)
        return pool

    async def _connect(self, pool: Pool) -> Connection:
        """Open a connection and mark it as busy. Raises PoolExhausted, ConnectFailed or ClientClosed."""
        pool.reserve()
        timeout = asyncio.timeout(self._limits.connect_ms / 1000)
        self._dials.add(timeout)
        try:
            async with timeout:
                connection = await dial(pool, self._limits, self._ssl_context)
        except TimeoutError as error:
            if self._closed:
                raise ClientClosed("the client was closed while connecting", sent=False) from None
            message = f"no connection to {pool.origin.authority} within {self._limits.connect_ms} ms"
            raise ConnectTimeout(message, sent=False, cause=error) from error
        finally:
            self._dials.discard(timeout)
            pool.release()
        if self._closed:
            connection.discard()
            raise ClientClosed("the client was closed while connecting", sent=False)
        if not connection.usable():
            raise ConnectFailed(f"{pool.origin.authority} closed the connection at once", sent=False)
        pool.check_out(connection)
        return connection

    def _tick_fast(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._ticking = True
        self._timer = loop.call_later(TICK_S, self._tick, loop)

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        """Check the time limits of all connections; schedule the next check if any connection is left."""
        now = loop.time()
        self._timer = None
        for pool in self._pools.values():
            pool.check(now)
        self._pools = {origin: pool for origin, pool in self._pools.items() if pool.connections}
        self._ticking = any(pool.busy for pool in self._pools.values())
        if self._pools:
            self._timer = loop.call_later(TICK_S if self._ticking else _IDLE_TICK_S, self._tick, loop)


def _default_context() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context
