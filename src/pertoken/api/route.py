"""One route of the control plane: its path, action, input, answer and handler."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, NamedTuple

import msgspec

from pertoken.api.fields import NoQuery
from pertoken.api.problem import Problem
from pertoken.core.access import Action, Principal, View
from pertoken.core.customers import Unknown
from pertoken.core.price_book import PriceBook
from pertoken.core.secrets import Hasher
from pertoken.ports.clock import Clock
from pertoken.ports.ledger import Ledger
from pertoken.ports.pricing import Pricing
from pertoken.ports.store import Opened, Store

METHODS = ("GET", "POST", "PUT", "DELETE")
BODY_BYTES_MAX = 64 * 1024


class Asked(NamedTuple):
    """One request, understood and allowed."""

    principal: Principal
    view: View
    name: str  # the part of the path that names one thing, else empty
    query: Any  # an instance of the route's `query`
    body: Any  # an instance of the route's `body`
    now_us: int
    clock: Clock
    hasher: Hasher
    prices: PriceBook
    pricing: Pricing | None  # decides what customers are charged; None: nobody is


class Taking(NamedTuple):
    """What recording events needs: the ledger of this event loop, a limit on concurrent batches, and threads."""

    ledger: Ledger
    turns: asyncio.Semaphore  # held while a batch is handed to the ledger
    in_thread: Callable[[Callable[[], Any]], Awaitable[Any]]
    own_keys: frozenset[str]  # ids of the keys that the principal may see
    cost_max: str  # of one event, in the currency of its price
    store: Store
    may_report: bool  # whether the principal is not a team, or is a team with an allowance
    unknown: Unknown  # what is done with events of customers that nobody has made


Transact = Callable[[Opened, Asked], msgspec.Struct]  # in a transaction, on a thread; read-only if the method is GET
Take = Callable[[Taking, Asked], Awaitable[msgspec.Struct]]  # on the event loop, through the committer


class Route(NamedTuple):
    """One method on one path. `query`, `body` and `answer` are structs: they check requests and describe them."""

    method: str
    path: str
    action: Action
    summary: str
    do: Transact | Take
    answer: type[msgspec.Struct]
    query: type[msgspec.Struct] = NoQuery
    body: Any = None
    body_bytes_max: int = BODY_BYTES_MAX
    status: int = 200
    problems: tuple[Problem, ...] = ()  # in addition to the problems of every route
    records: bool = False  # `do` is a Take
    takes_events: bool = False  # its body has events, each of which is checked separately
    before: Transact | None = None  # reads what a change is about to change, where `do` reads more than is written down

    @property
    def parameter(self) -> str | None:
        """The name of the path's parameter; None if the path has none."""
        _, brace, rest = self.path.partition("{")
        return rest.partition("}")[0] if brace else None


def check(routes: Iterable[Route]) -> tuple[Route, ...]:
    """Return the routes as a table. Each has its action, no two have the same method and path; GET takes no body."""
    table = tuple(routes)
    for route in table:
        assert isinstance(route.action, Action), route
        assert route.method in METHODS, route
        assert route.path.startswith("/api/v1/"), route
        assert route.method not in ("GET", "DELETE") or route.body is None, route
        reads = route.action.endswith((".read", ".run"))
        assert reads == (route.method == "GET"), f"{route.method} {route.path} cannot be {route.action}"
    places = [(route.method, route.path) for route in table]
    assert len(set(places)) == len(places), places
    return table
