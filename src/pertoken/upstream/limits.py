"""How much and how long the client to providers waits, keeps and accepts; it knows no sockets."""

from typing import NamedTuple


class ClientLimits(NamedTuple):
    """Every bound of a client: times in milliseconds, sizes in bytes.

    Times are watched by one coarse timer (see `pool.TICK_S`), so an transfer may live up to a tick longer.
    """

    connect_ms: int = 5_000  # look-up, connect, proxy and TLS handshake together
    first_byte_ms: int = 600_000  # request handed over -> head of the answer complete
    idle_ms: int = 120_000  # between two pieces of a body
    total_ms: int = 900_000  # `send` called -> body complete
    header_bytes: int = 64 * 1024  # head of an answer, interim heads and trailers included
    body_bytes: int = 64 * 1024 * 1024  # a body read whole; a streamed body is bounded by back-pressure instead
    connections_per_origin: int = 1_000  # open sockets; one more is refused, never queued
    idle_keepalive_ms: int = 55_000  # an unused connection is closed after this, before common servers do it
