"""The ledger as a pure state machine: commands and the rows they touch go in, results and changed rows come out.

It knows no disk, no clock and no thread. A store loads the rows that `Books` needs, locked, applies the waiting
commands one after the other, and writes what changed, all in one transaction. The same code therefore decides in
production, in the tests and in the simulation.

A hold ends in exactly one of settled, voided, expired. A settlement above its hold posts the real cost and records the
overrun; one after expiry still posts, marked late: a service delivered is never lost.
"""

from enum import StrEnum
from typing import NamedTuple

from pertoken.core.budgets import Attribution, Axis, BudgetIndex, CounterKey, Mode, Touch
from pertoken.core.usage import Completeness, Quantities, tokens_total


class HoldState(StrEnum):
    """Where a hold is in its life."""

    OPEN = "open"
    SETTLED = "settled"
    VOIDED = "voided"
    EXPIRED = "expired"


class Hold(NamedTuple):
    """An amount set aside for one attempt, with an identity, an owner and an expiry."""

    hold_id: str
    attribution: Attribution
    amount_picos: int
    tokens: int
    opened_at_us: int
    expires_at_us: int
    owner: str
    state: HoldState = HoldState.OPEN


class EventStatus(StrEnum):
    """Whether an event has a cost."""

    PRICED = "priced"
    UNPRICED = "unpriced"  # no price known: visible, never zero
    CONTRADICTORY = "contradictory"  # the provider's usage contradicts itself: parked, raw object kept


class Event(NamedTuple):
    """One immutable fact of use; its identity is source + event_id."""

    source: str
    event_id: str
    attribution: Attribution
    occurred_at_us: int
    recorded_at_us: int
    opened_at_us: int  # decides the budget windows; for what others report, the time it occurred
    status: EventStatus
    completeness: Completeness
    quantities: Quantities
    currency: str
    cost_picos: int
    price_picos: int
    lines: tuple[tuple[str, int, str, int], ...]  # unit, quantity, price id, amount in picos
    model_served: str | None = None
    service_tier: str | None = None
    response_id: str | None = None
    raw: bytes = b""
    reason: str | None = None  # why it is unpriced, contradictory or estimated
    changed: str | None = None  # what policy altered in the request
    body_hash: bytes = b""  # of what was reported, to tell a duplicate from a conflict
    held_picos: int = 0
    overrun_picos: int = 0
    late: bool = False


class OpenHold(NamedTuple):
    """Command: set `hold` aside on every budget it touches, all or none."""

    hold: Hold
    revision: int  # of the directory the caller decided on; a stale one is sent back


class Settle(NamedTuple):
    """Command: end a hold with what the call really cost."""

    hold_id: str
    event: Event


class Void(NamedTuple):
    """Command: let a hold go, because the provider did no work that it charges for."""

    hold_id: str
    attribution: Attribution
    opened_at_us: int


class Expire(NamedTuple):
    """Command: let a hold go whose owner did not end it in time."""

    hold_id: str
    attribution: Attribution
    opened_at_us: int
    now_us: int


class Record(NamedTuple):
    """Command: take in an event that was served elsewhere."""

    event: Event


class Look(NamedTuple):
    """Command: change nothing. Its result comes from the newest directory, which every transaction reads first."""


Command = OpenHold | Settle | Void | Expire | Record | Look


class Remaining(NamedTuple):
    """What a counter has left after a command, in its axis' unit."""

    touch: Touch
    held: int
    spent: int

    @property
    def left(self) -> int:
        """How much more could be held."""
        return max(0, self.touch.budget.limit - self.held - self.spent)


class Held(NamedTuple):
    """The hold is open."""

    remaining: tuple[Remaining, ...]


class Refused(NamedTuple):
    """The hold does not fit: `blocker` is the counter that decided, `needed` what was asked of it."""

    blocker: Remaining
    needed: int


class Settled(NamedTuple):
    """The event is posted and the hold is gone."""

    event: Event
    remaining: tuple[Remaining, ...]


class Recorded(NamedTuple):
    """The reported event is posted."""


class Voided(NamedTuple):
    """The hold is gone, nothing was charged."""


class Duplicate(NamedTuple):
    """This was done already, with the same content; nothing changed."""


class Conflict(NamedTuple):
    """This identity exists with other content; nothing changed."""


class Stale(NamedTuple):
    """The caller decided on an older directory; nothing changed, decide again."""


class Looked(NamedTuple):
    """The directory is as new as the database."""


Result = Looked | Held | Refused | Settled | Recorded | Voided | Duplicate | Conflict | Stale


class Counter:
    """The working state of one counter inside a transaction."""

    __slots__ = ("held", "spent")

    def __init__(self, held: int = 0, spent: int = 0) -> None:
        self.held = held
        self.spent = spent


class Books:
    """The rows one transaction works on: `touched` says what to load, `apply` decides, the rest says what to write."""

    def __init__(self, index: BudgetIndex, revision: int) -> None:
        self.index = index
        self.revision = revision
        self.counters: dict[CounterKey, Counter] = {}
        self.holds: dict[str, Hold] = {}
        self.events: dict[tuple[str, str], bytes] = {}  # identity -> body hash of those that exist
        self.changed_counters: set[CounterKey] = set()
        self.opened_holds: dict[str, Hold] = {}
        self.ended_holds: dict[str, HoldState] = {}
        self.new_events: list[Event] = []

    def touched(self, command: Command) -> list[Touch]:
        """Return the counters that `command` touches: they must be loaded before it is applied."""
        match command:
            case OpenHold(hold=hold):
                return self.index.touched(hold.attribution, hold.opened_at_us)
            case Settle(event=event) | Record(event=event):
                return self.index.touched(event.attribution, event.opened_at_us)
            case Look():
                return []
            case _:
                return self.index.touched(command.attribution, command.opened_at_us)

    def apply(self, command: Command) -> Result:
        """Decide `command` and change the working rows accordingly."""
        match command:
            case OpenHold():
                return self._open(command)
            case Settle():
                return self._settle(command)
            case Void():
                return self._let_go(command, HoldState.VOIDED)
            case Expire():
                return self._let_go(command, HoldState.EXPIRED)
            case Record():
                return self._record(command)
            case Look():
                return Looked()

    def _open(self, command: OpenHold) -> Result:
        hold = command.hold
        if command.revision != self.revision:
            return Stale()
        if hold.hold_id in self.holds:
            return Duplicate() if self.holds[hold.hold_id][:5] == hold[:5] else Conflict()
        touches = self.touched(command)
        for touch in touches:
            counter = self._counter(touch.key)
            needed = held_amount(hold, touch.budget.axis)
            if touch.budget.mode is Mode.HARD and counter.held + counter.spent + needed > touch.budget.limit:
                return Refused(Remaining(touch, counter.held, counter.spent), needed)
        for touch in touches:
            self._counter(touch.key).held += held_amount(hold, touch.budget.axis)
            self.changed_counters.add(touch.key)
        self.holds[hold.hold_id] = self.opened_holds[hold.hold_id] = hold
        return Held(self._remaining(touches))

    def _settle(self, command: Settle) -> Result:
        hold = self.holds.get(command.hold_id)
        event = command.event
        if hold is not None and hold.state is HoldState.SETTLED:
            return Duplicate()
        if (event.source, event.event_id) in self.events:
            return Duplicate()
        is_open = hold is not None and hold.state is HoldState.OPEN
        touches = self.touched(command)
        if hold is not None:
            assert hold.attribution == event.attribution, (hold, event)
            assert hold.opened_at_us == event.opened_at_us, (hold, event)
            overrun = max(0, event.cost_picos - hold.amount_picos)
            event = event._replace(held_picos=hold.amount_picos, overrun_picos=overrun, late=not is_open)
        if is_open and hold is not None:
            self._release(hold, touches)
            self._end(hold, HoldState.SETTLED)
        self._post(event, touches)
        return Settled(event, self._remaining(touches))

    def _let_go(self, command: Void | Expire, state: HoldState) -> Result:
        hold = self.holds.get(command.hold_id)
        if hold is None or hold.state is not HoldState.OPEN:
            return Duplicate()
        if isinstance(command, Expire) and hold.expires_at_us > command.now_us:
            return Duplicate()  # it was extended meanwhile
        self._release(hold, self.touched(command))
        self._end(hold, state)
        return Voided()

    def _record(self, command: Record) -> Result:
        event = command.event
        known = self.events.get((event.source, event.event_id))
        if known is not None:
            return Duplicate() if known == event.body_hash else Conflict()
        self._post(event, self.touched(command))
        return Recorded()

    def _post(self, event: Event, touches: list[Touch]) -> None:
        for touch in touches:
            self._counter(touch.key).spent += spent_amount(event, touch.budget.axis)
            self.changed_counters.add(touch.key)
        self.events[event.source, event.event_id] = event.body_hash
        self.new_events.append(event)

    def _release(self, hold: Hold, touches: list[Touch]) -> None:
        for touch in touches:
            counter = self._counter(touch.key)
            counter.held -= held_amount(hold, touch.budget.axis)
            assert counter.held >= 0, (touch, hold)
            self.changed_counters.add(touch.key)

    def _end(self, hold: Hold, state: HoldState) -> None:
        self.holds[hold.hold_id] = hold._replace(state=state)
        self.ended_holds[hold.hold_id] = state

    def _counter(self, key: CounterKey) -> Counter:
        counter = self.counters.get(key)
        if counter is None:
            counter = self.counters[key] = Counter()
        return counter

    def _remaining(self, touches: list[Touch]) -> tuple[Remaining, ...]:
        return tuple(
            Remaining(touch, self.counters[touch.key].held, self.counters[touch.key].spent) for touch in touches
        )


def spent_amount(event: Event, axis: Axis) -> int:
    """Return what an event spends of a budget on `axis`."""
    match axis:
        case Axis.MONEY:
            return event.cost_picos
        case Axis.TOKENS:
            return tokens_total(event.quantities)
        case Axis.REQUESTS:
            return 1
        case Axis.CONCURRENT:
            return 0


def held_amount(hold: Hold, axis: Axis) -> int:
    """Return what an open hold takes of a budget on `axis`."""
    match axis:
        case Axis.MONEY:
            return hold.amount_picos
        case Axis.TOKENS:
            return hold.tokens
        case Axis.REQUESTS | Axis.CONCURRENT:
            return 1
