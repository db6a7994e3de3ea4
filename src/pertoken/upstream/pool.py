"""The connections to one origin: which are idle, how many may be open, whose time is over; it opens none itself.

The youngest idle connection is used first, so that surplus ones grow old and are closed.
"""

from typing import Final

from pertoken.upstream.connection import Connection
from pertoken.upstream.errors import PoolExhausted, UpstreamError
from pertoken.upstream.limits import ClientLimits
from pertoken.upstream.origin import Origin
from pertoken.upstream.proxy import Proxy
from pertoken.upstream.request import RequestHead, route_to

TICK_S: Final = 0.1  # how often times are checked while an transfer is in flight


class Pool:
    """The connections to one origin, by one way: direct or through a proxy."""

    def __init__(self, origin: Origin, proxy: Proxy | None, limits: ClientLimits) -> None:
        self._limits = limits
        self._open: set[Connection] = set()  # holding a socket; busy and idle are parts of it
        self._busy: set[Connection] = set()
        self._idle: dict[Connection, None] = {}  # oldest first
        self._opening = 0
        self.origin = origin
        self.proxy = proxy
        self.route: RequestHead = route_to(origin, proxy)

    @property
    def busy(self) -> int:
        """How many transfers are in flight."""
        return len(self._busy)

    @property
    def connections(self) -> int:
        """How many sockets are open or being opened."""
        return len(self._open) + self._opening

    def take(self, now: float) -> Connection | None:
        """Check out the youngest idle connection that is still good; None where a new one must be opened."""
        while self._idle:
            connection, _ = self._idle.popitem()
            if connection.usable() and not self._expired(connection, now):
                self._busy.add(connection)
                return connection
            connection.discard()
        return None

    def reserve(self) -> None:
        """Claim the right to open one connection. Raises PoolExhausted where the limit is reached."""
        if self.connections >= self._limits.connections_per_origin:
            limit = self._limits.connections_per_origin
            message = f"all connections to {self.origin.authority} are busy, limit: {limit}"
            raise PoolExhausted(message, sent=False)
        self._opening += 1

    def release(self) -> None:
        """Give the right back: the connection is open and counted, or will not be."""
        self._opening -= 1

    def check_out(self, connection: Connection) -> None:
        """Count a connection just opened, and in use.

        Not earlier, when it learns of its socket: uvloop closes a connection whose opening is cancelled in the turn in
        which it succeeds without ever telling it.
        """
        self._open.add(connection)
        self._busy.add(connection)

    def check(self, now: float) -> None:
        """End every transfer and close every idle connection whose time is over."""
        for connection in tuple(self._busy):
            connection.check(now)
        for connection in tuple(self._idle):
            if not self._expired(connection, now):
                break  # the rest is younger
            connection.discard()

    def close(self, error: UpstreamError) -> tuple[Connection, ...]:
        """End every transfer with this error, close everything; return the connections whose sockets still close."""
        leaving = tuple(self._open)
        for connection in leaving:
            connection.fail(error)
        return leaving

    # -- what connections tell their pool ------------------------------------------------------------------------------

    def idle(self, connection: Connection, now: float) -> None:
        """Take back a connection that can carry another transfer."""
        connection.idle_since = now
        self._busy.discard(connection)
        self._idle[connection] = None

    def spent(self, connection: Connection) -> None:
        """Forget a connection that must not carry another transfer."""
        self._busy.discard(connection)
        self._idle.pop(connection, None)

    def lost(self, connection: Connection) -> None:
        """Stop counting a connection whose socket is closed."""
        self._open.discard(connection)

    def _expired(self, connection: Connection, now: float) -> bool:
        return (now - connection.idle_since) * 1000 >= self._limits.idle_keepalive_ms
