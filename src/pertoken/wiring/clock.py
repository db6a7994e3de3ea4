"""The machine's clock and random numbers."""

import os
import time

RANDOM_BYTES = 1_024  # asked for at once


class SystemClock:
    """The machine's clock and random numbers."""

    def now_us(self) -> int:
        """Return microseconds since the epoch."""
        return time.time_ns() // 1_000

    def __init__(self) -> None:
        self._random = b""

    def random_bits(self, bits: int) -> int:
        """Return a number below 2**bits that nobody can guess. The system is asked for many at a time: 15 us each."""
        size = -(-bits // 8)
        if len(self._random) < size:
            self._random = os.urandom(RANDOM_BYTES)
        taken, self._random = self._random[:size], self._random[size:]
        return int.from_bytes(taken) >> (8 * size - bits)
