"""Time and chance."""

from typing import Protocol


class Clock(Protocol):
    """Time and chance, so that tests and simulations can bring their own."""

    def now_us(self) -> int:
        """Return microseconds since the epoch."""

    def random_bits(self, bits: int) -> int:
        """Return a number below 2**bits that nobody can guess."""
