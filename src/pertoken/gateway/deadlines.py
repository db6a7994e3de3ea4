"""When to give up connections: each has a deadline, and one timer looks at all of them now and then.

A timer armed and cancelled for each connection and each request costs 3 us a call; a deadline is a number.
"""

import asyncio
from collections.abc import Iterable
from typing import Protocol

NEVER = float("inf")
TICK_S = 0.5


class Deadlined(Protocol):
    """What has a deadline, in loop time."""

    deadline: float

    def give_up(self) -> None:
        """End what took too long."""


class Deadlines:
    """Looks at what is bound to a deadline, for as long as there is anything."""

    def __init__(self) -> None:
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, loop: asyncio.AbstractEventLoop, bound: Iterable[Deadlined]) -> None:
        """Begin to look at `bound`, which may grow and shrink, unless that has begun."""
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
