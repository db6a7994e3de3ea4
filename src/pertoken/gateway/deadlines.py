"""Gives up connections at their deadlines. One timer checks all deadlines every TICK_S.

A timer for each connection and each request would cost 3 us for each call; a deadline is only a number.
"""

import asyncio
from collections.abc import Iterable
from typing import Protocol

NEVER = float("inf")
TICK_S = 0.5


class Deadlined(Protocol):
    """An object with a deadline, in loop time."""

    deadline: float

    def give_up(self) -> None:
        """End the object, because its deadline has passed."""


class Deadlines:
    """Checks a collection of objects with deadlines, until it is empty."""

    def __init__(self) -> None:
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, loop: asyncio.AbstractEventLoop, bound: Iterable[Deadlined]) -> None:
        """Start to check `bound`, unless a check is already scheduled. `bound` may grow and shrink."""
        if self._timer is None:
            self._timer = loop.call_later(TICK_S, self._tick, loop, bound)

    def _tick(self, loop: asyncio.AbstractEventLoop, bound: Iterable[Deadlined]) -> None:
        now = loop.time()
        self._timer = None
        found = tuple(bound)
        for one in found:
            if one.deadline <= now:
                one.give_up()
        if found:
            self.watch(loop, bound)
