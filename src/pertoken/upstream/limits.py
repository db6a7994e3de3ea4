"""The limits of the client to providers: times, sizes, and number of connections."""

from typing import NamedTuple


class ClientLimits(NamedTuple):
    """All limits of a client: times in milliseconds, sizes in bytes.

    One coarse timer checks the times (see `pool.TICK_S`), so a transfer may last up to one tick longer.
    """

    connect_ms: int = 5_000  # name look-up, connect, proxy and TLS handshake together
    first_byte_ms: int = 600_000  # from the start of the request until the head of the answer is complete
    idle_ms: int = 120_000  # between two pieces of a body
    total_ms: int = 900_000  # from the call of `send` until the body is complete
    header_bytes: int = 64 * 1024  # head of an answer, including interim heads and trailers
    body_bytes: int = 64 * 1024 * 1024  # for a body read whole; back-pressure bounds a streamed body instead
    connections_per_origin: int = 1_000  # open sockets; a further one is refused, not queued
    idle_keepalive_ms: int = 55_000  # an unused connection is closed after this, before common servers close it
