"""Everything that a call needs from outside, in one value."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from pertoken.core.calls import CallLine
from pertoken.core.census import Census
from pertoken.core.refusals import RefusedCalls
from pertoken.core.secrets import Hasher
from pertoken.ports.clock import Clock
from pertoken.ports.ledger import Ledger
from pertoken.ports.pricing import Pricing
from pertoken.ports.provider import Provider
from pertoken.ports.readers import Readers
from pertoken.ports.reuse import Reuse
from pertoken.ports.shape import Shape
from pertoken.services.offers import Offers
from pertoken.wire.request_rules import RequestRules


class Drains:
    """Counts the answers that are read to their end for clients that hung up, so that they stay bounded."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.now = 0

    def enter(self) -> bool:
        """Take a place; tell whether there was one."""
        if self.now >= self._most:
            return False
        self.now += 1
        return True

    def leave(self) -> None:
        """Give the place back."""
        self.now -= 1


class World(NamedTuple):
    """The ports, wired, and the settings that serving a call reads."""

    ledger: Ledger
    clock: Clock
    hasher: Hasher
    readers: Readers  # of what would hold up every other call
    providers: Mapping[str, Provider]
    offers: Offers
    rules: RequestRules  # what the fields of requests do to their cost
    owner: str  # names this process on its holds
    drains: Drains
    hold_ttl_us: int
    census: Census  # whom keys have named
    refused: RefusedCalls  # what was refused and is not yet written
    retries: int = 0  # how often a call whose provider failed before it answered is sent again
    queue_us: int = 0  # how long a call waits for room under a rate limit before it is refused
    pricing: Pricing | None = None  # decides what customers are charged; None: nobody is
    tell: Callable[[CallLine], None] | None = None  # takes a line of each call that ended; None: nobody wants them
    shape: Shape | None = None  # changes requests before anything is held for them; None: nobody does
    reuse: Reuse | None = None  # answers calls from what was answered before; None: nobody does
