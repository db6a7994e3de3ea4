"""Disconnects a client that does not read its answer within a time limit, so that its call ends."""

import asyncio
import logging

TAKEN_BYTES_MIN = 64 * 1024  # a slow client must read at least this much within the time limit

log = logging.getLogger("pertoken.gateway")


class Patience:
    """Watches the client of one connection while it is behind with reading its answer."""

    def __init__(self, loop: asyncio.AbstractEventLoop, transport: asyncio.Transport, idle_ms: int) -> None:
        self._loop = loop
        self._transport = transport
        self._idle_ms = idle_ms
        self._timer: asyncio.TimerHandle | None = None  # runs while the client is behind

    def begin(self) -> None:
        """Start the time limit again from now."""
        self.end()
        left_bytes = self._transport.get_write_buffer_size()
        self._timer = self._loop.call_later(self._idle_ms / 1000, self._look, left_bytes)

    def end(self) -> None:
        """Stop watching: the client has caught up or is gone."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self, before_bytes: int) -> None:
        """Disconnect the client if it has read less than TAKEN_BYTES_MIN; otherwise start the time limit again."""
        if self._transport.get_write_buffer_size() <= before_bytes - TAKEN_BYTES_MIN:
            self.begin()
            return
        log.warning("a client read nothing of its answer for %d ms and was disconnected", self._idle_ms)
        self._transport.abort()
