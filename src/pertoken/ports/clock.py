"""Time and random numbers."""

from typing import Protocol


class Clock(Protocol):
    """Time and random numbers, which tests and simulations can replace."""

    def now_us(self) -> int:
        """Return microseconds since the epoch."""

    def random_bits(self, bits: int) -> int:
        """Return an unpredictable number below 2**bits."""
