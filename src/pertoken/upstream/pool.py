"""The pool of connections to one origin. It tracks which are idle and limits how many are open; it opens none.

The most recently used idle connection is used first, so that surplus connections expire and are closed.
"""

from typing import Final

from pertoken.upstream.connection import Connection
from pertoken.upstream.errors import PoolExhausted, UpstreamError
from pertoken.upstream.limits import ClientLimits
from pertoken.upstream.origin import Origin
from pertoken.upstream.proxy import Proxy
from pertoken.upstream.request import RequestHead, route_to

TICK_S: Final = 0.1  # how often time limits are checked while a transfer is in flight


class Pool:
    """The connections to one origin, all direct or all through one proxy."""

    def __init__(self, origin: Origin, proxy: Proxy | None, limits: ClientLimits) -> None:
        self._limits = limits
        self._open: set[Connection] = set()  # all that have a socket: the busy, the idle, and those that are closing
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
        """Return the most recently used idle connection that is still usable, marked as busy; None if there is none."""
        while self._idle:
            connection, _ = self._idle.popitem()
            if connection.usable() and not self._expired(connection, now):
                self._busy.add(connection)
                return connection
            connection.discard()
        return None

    def reserve(self) -> None:
        """Count a connection that is about to be opened. Raises PoolExhausted if the limit is reached."""
        if self.connections >= self._limits.connections_per_origin:
            limit = self._limits.connections_per_origin
            message = f"all connections to {self.origin.authority} are busy, limit: {limit}"
            raise PoolExhausted(message, sent=False)
        self._opening += 1

    def release(self) -> None:
        """Undo `reserve`, after the connection was opened or has failed."""
        self._opening -= 1

    def check_out(self, connection: Connection) -> None:
        """Count a new connection as open and busy.

        This is not done in `connection_made`: if the opening is cancelled in the same turn of the loop in which it
        succeeds, uvloop closes the connection without calling it again.
        """
        self._open.add(connection)
        self._busy.add(connection)

    def check(self, now: float) -> None:
        """End transfers that have passed a time limit, and close idle connections that have expired."""
        for connection in tuple(self._busy):
            connection.check(now)
        for connection in tuple(self._idle):
            if not self._expired(connection, now):
                break  # the others became idle later
            connection.discard()

    def close(self, error: UpstreamError) -> tuple[Connection, ...]:
        """End every transfer with this error and close all connections; return those with sockets still closing."""
        leaving = tuple(self._open)
        for connection in leaving:
            connection.fail(error)
        return leaving

    # -- called by the connections -------------------------------------------------------------------------------------

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
