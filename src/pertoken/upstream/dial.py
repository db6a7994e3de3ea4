"""Opens one connection: name look-up, TCP, the tunnel of a proxy, TLS. Raises typed errors for each failure.

This module has no time limits; the client limits the total time.
"""

import asyncio
import re
import socket
import ssl
from typing import Final

from pertoken.upstream.connection import Connection
from pertoken.upstream.errors import ConnectFailed, ProxyRefused, TlsFailed
from pertoken.upstream.limits import ClientLimits
from pertoken.upstream.origin import Origin
from pertoken.upstream.pool import Pool
from pertoken.upstream.proxy import Proxy

_KEEPALIVE_S: Final = 60  # a model may think for minutes; routers drop silent connections sooner
_ACCEPTED: Final = re.compile(rb"HTTP/1\.[01] 2\d\d[ \r]")
_HEAD_BYTES_MAX: Final = 16 * 1024


async def dial(pool: Pool, limits: ClientLimits, context: ssl.SSLContext) -> Connection:
    """Return a connection to the pool's origin, ready for a request.

    Raises ConnectFailed, TlsFailed or ProxyRefused. If it raises or is cancelled, no socket stays open.
    """
    loop = asyncio.get_running_loop()
    connection = Connection(pool, loop, limits)
    try:
        if pool.proxy is not None and pool.origin.scheme == "https":
            transport = await _tunnel(connection, pool.origin, pool.proxy, context)
        else:
            transport = await _direct(connection, pool.origin, pool.proxy, context)
        _keep_alive(transport)
    except ssl.SSLError as error:
        message = f"no tls connection to {pool.origin.authority}: {error.reason or error}"
        raise TlsFailed(message, sent=False, cause=error) from error
    except OSError as error:
        connection.discard()
        place = f"{pool.proxy.host}:{pool.proxy.port} (proxy)" if pool.proxy else pool.origin.authority
        raise ConnectFailed(f"no connection to {place}: {error}", sent=False, cause=error) from error
    return connection


async def _direct(
    connection: Connection, origin: Origin, proxy: Proxy | None, context: ssl.SSLContext
) -> asyncio.BaseTransport:
    """Connect to the origin itself, or to a proxy that accepts http requests with absolute URLs."""
    loop = asyncio.get_running_loop()
    host, port = (proxy.host, proxy.port) if proxy is not None else (origin.host, origin.port)
    transport, _ = await loop.create_connection(
        lambda: connection, host, port, ssl=context if origin.scheme == "https" else None
    )
    return transport


async def _tunnel(
    connection: Connection, origin: Origin, proxy: Proxy, context: ssl.SSLContext
) -> asyncio.BaseTransport:
    """Ask the proxy to connect to the origin (CONNECT), then start TLS with the origin through this tunnel."""
    loop = asyncio.get_running_loop()
    authority = origin.authority.encode("ascii")
    head = b"CONNECT %b HTTP/1.1\r\nHost: %b\r\n" % (authority, authority)
    if proxy.authorization is not None:
        head += b"Proxy-Authorization: %b\r\n" % proxy.authorization
    raw, answer = await loop.create_connection(_ConnectAnswer, proxy.host, proxy.port)
    try:
        raw.write(head + b"\r\n")
        await answer.accepted
        transport = await loop.start_tls(raw, connection, context, server_hostname=origin.host)
    except BaseException:
        raw.abort()
        raise
    if transport is None or transport.is_closing():
        raise ConnectionResetError("the connection was closed during the tls handshake")
    connection.connection_made(transport)
    return transport


def _keep_alive(transport: asyncio.BaseTransport) -> None:
    raw = transport.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_KEEPIDLE"):  # not on every platform
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _KEEPALIVE_S)


class _ConnectAnswer(asyncio.Protocol):
    """Reads the proxy's answer to CONNECT. `accepted` is done when the tunnel is open, or fails with ProxyRefused."""

    def __init__(self) -> None:
        self.accepted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._received = b""

    def data_received(self, data: bytes) -> None:
        """Collect the head. No bytes may follow it, because a TLS server never sends first."""
        if self.accepted.done():
            return
        self._received += data
        head, end, surplus = self._received.partition(b"\r\n\r\n")
        if not end:
            if len(head) > _HEAD_BYTES_MAX:
                self._refuse("the proxy's answer to CONNECT has no end")
        elif not _ACCEPTED.match(head + b"\r") or surplus:
            status_line = head.partition(b"\r\n")[0]
            self._refuse(f"the proxy did not open a tunnel: {status_line[:200]!r}")
        else:
            self.accepted.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail with ProxyRefused if the answer has not come."""
        if not self.accepted.done():
            self._refuse("the proxy closed the connection instead of opening a tunnel", exc)

    def _refuse(self, message: str, cause: Exception | None = None) -> None:
        self.accepted.set_exception(ProxyRefused(message, sent=False, cause=cause))
