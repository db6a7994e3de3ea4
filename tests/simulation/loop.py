"""Time that passes only when everybody waits: a run of hours takes as long as its work."""

import asyncio
import random
import selectors
from collections.abc import Coroutine
from typing import Any

BEGIN_US = 1_790_000_000_000_000  # 2026-09-21, in the middle of a month
HOURS_MAX = 24 * 40


class _Selector(selectors.DefaultSelector):
    """Jumps to the next timer instead of waiting for it."""

    loop: "VirtualLoop"

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Let time pass at once."""
        assert timeout is not None, "everybody waits, and nothing will ever happen"
        self.loop.now_s += max(0.0, timeout)
        assert self.loop.now_s < HOURS_MAX * 3600, "the run does not end"
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock is its own. What runs in it runs the same way every time."""

    def __init__(self) -> None:
        self.now_s = 0.0
        selector = _Selector()
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        """Return seconds since the loop was made."""
        return self.now_s


class SeededClock:
    """The clock and the chance of a run."""

    def __init__(self, loop: VirtualLoop, seed: int) -> None:
        self._loop = loop
        self._random = random.Random(seed)
        self.ahead_s = 0  # of the loop's clock, negative: behind it
        self.furthest_s = 0

    def now_us(self) -> int:
        """Return microseconds since the epoch."""
        return BEGIN_US + int((self._loop.now_s + self.ahead_s) * 1_000_000)

    def jump(self, seconds: int) -> None:
        """Set the clock forward, or back."""
        self.ahead_s += seconds
        self.furthest_s = max(self.furthest_s, self.ahead_s)

    def random_bits(self, bits: int) -> int:
        """Return the next number below 2**bits."""
        return self._random.getrandbits(bits)


def run(loop: VirtualLoop, story: Coroutine[Any, Any, None]) -> None:
    """Run a story to its end. Tasks that are left behind are a mistake."""
    try:
        loop.run_until_complete(story)
        left = [task for task in asyncio.all_tasks(loop) if not task.done()]
        assert not left, left
    finally:
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()
