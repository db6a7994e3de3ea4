"""A client that is behind with taking its answer has its time for that; then it is cut, and its call ends."""

import asyncio
import logging

TAKEN_BYTES_MIN = 64 * 1024  # a client that is behind takes at least so much in the time it has, or is cut

log = logging.getLogger("pertoken.gateway")


class Patience:
    """Watches one connection's client while it is behind."""

    def __init__(self, loop: asyncio.AbstractEventLoop, transport: asyncio.Transport, idle_ms: int) -> None:
        self._loop = loop
        self._transport = transport
        self._idle_ms = idle_ms
        self._timer: asyncio.TimerHandle | None = None  # runs while the client is behind

    def begin(self) -> None:
        """Look again when the client has had its time from now on."""
        self.end()
        left_bytes = self._transport.get_write_buffer_size()
        self._timer = self._loop.call_later(self._idle_ms / 1000, self._look, left_bytes)

    def end(self) -> None:
        """Watch no more: the client has caught up, or is gone."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self, before_bytes: int) -> None:
        """Cut a client that has taken next to nothing: what is kept for it, and its call, must end some time."""
        if self._transport.get_write_buffer_size() <= before_bytes - TAKEN_BYTES_MIN:
            self.begin()
            return
        log.warning("a client read nothing of its answer for %d ms and was disconnected", self._idle_ms)
        self._transport.abort()
