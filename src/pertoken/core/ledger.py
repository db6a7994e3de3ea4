"""The ledger as a pure state machine: commands and the rows they touch go in, results and changed rows come out.

It knows no disk, no clock and no thread. A store loads the rows that `Books` needs, locked, applies the waiting
commands one after the other, and writes what changed, all in one transaction. The same code therefore decides in
production, in the tests and in the simulation.

A hold ends in exactly one of settled, voided, expired. A settlement above its hold posts the real cost and records the
overrun; one after expiry still posts, marked late: a service delivered is never lost.
"""

from typing import assert_never

from pertoken.core.axes import AXES, Needs
from pertoken.core.bookkeeping import NOT_BOOKED, Bookings, book
from pertoken.core.budgets import Attribution, BudgetIndex, CounterKey, Mode, Touch
from pertoken.core.claims import Claim, Claimed
from pertoken.core.commands import (
    Command,
    Conflict,
    Duplicate,
    Expire,
    Gone,
    Held,
    Known,
    Look,
    Looked,
    OpenHold,
    OpenResult,
    Record,
    Recorded,
    RecordResult,
    Refused,
    ReleaseResult,
    Remaining,
    Resize,
    Resized,
    ResizeResult,
    Result,
    Settle,
    Settled,
    SettleResult,
    Stale,
    Void,
    Voided,
)
from pertoken.core.events import Event, OfCall, is_correction, reported_hash, settled_late
from pertoken.core.holds import EndedHold, Hold, HoldEnd
from pertoken.core.trust import WHOLE, Disagreement, Doubt, Trusts, agree

HARD = Mode.HARD  # an enum's member costs three look-ups where it is used


class Counter:
    """The working state of one counter inside a transaction."""

    __slots__ = ("changed", "held", "spent")

    def __init__(self, held: int = 0, spent: int = 0) -> None:
        self.held = held
        self.spent = spent
        self.changed = False


Rows = list[tuple[Touch, Counter]]  # the counters a command touches, each with its working state


class Books:
    """The rows one transaction works on: `touched` says what to load, `apply` decides, the rest says what to write."""

    def __init__(self, index: BudgetIndex, revision: int, trusts: Trusts | None = None) -> None:
        self.index = index
        self.revision = revision
        self.trusts = {} if trusts is None else trusts
        self.new_doubts: dict[tuple[str, str], Doubt] = {}  # where there are some, the revision is one higher
        self.counters: dict[CounterKey, Counter] = {}
        self.holds: dict[str, Hold] = {}  # open ones
        self.events: dict[tuple[str, str], bytes] = {}  # identity -> body hash of those that exist
        self.opened_holds: dict[str, Hold] = {}
        self.resized_holds: dict[str, Hold] = {}
        self.ended_holds: dict[str, EndedHold] = {}
        self.new_events: list[Event] = []
        self.claims: dict[tuple[str, str], Claimed] = {}  # (owner, name) -> who has it
        self.new_claims: dict[tuple[str, str], Claimed] = {}
        self.outcomes: list[tuple[tuple[str, str], Claimed]] = []  # (owner, name), and what its call was answered

    @property
    def changed(self) -> bool:
        """Whether there is anything to write."""
        return bool(
            self.opened_holds or self.ended_holds or self.new_events or self.resized_holds
            or self.new_claims or self.outcomes or self.new_doubts
        )  # fmt: skip

    @property
    def bookings(self) -> Bookings:
        """What is posted for the new events."""
        return book(self.new_events) if self.new_events else NOT_BOOKED

    def touched(self, command: Command) -> list[Touch]:
        """Return the counters that `command` touches: they must be loaded before it is applied."""
        of: Hold | Event | Resize | Void | Expire
        match command:
            case OpenHold():
                of = command.hold
            case Settle() | Record():
                of = command.event
            case Resize() | Void() | Expire():
                of = command
            case Look():
                return []
            case _:
                assert_never(command)
        return self.index.touched(of.attribution, of.opened_at_us)

    def apply(self, command: Command) -> Result:
        """Decide `command` and change the working rows accordingly."""
        match command:
            case OpenHold():
                return self._open(command)
            case Resize():
                return self._resize(command)
            case Settle():
                return self._settle(command)
            case Void():
                return self._let_go(command, HoldEnd.VOIDED)
            case Expire():
                return self._let_go(command, HoldEnd.EXPIRED)
            case Record():
                return self._record(command)
            case Look():
                return Looked()
            case _:
                assert_never(command)

    def _open(self, command: OpenHold) -> OpenResult:
        hold = command.hold
        if command.revision != self.revision:
            return Stale()
        if hold.hold_id in self.holds:
            known = self.holds[hold.hold_id]
            same = known == hold._replace(expires_at_us=known.expires_at_us, owner=known.owner)
            return Duplicate() if same else Conflict()
        if command.claim is not None:
            claimed = self._claimed(command.claim)
            if claimed is not None:
                return claimed
        rows = self._rows(hold.attribution, hold.opened_at_us)
        refused = _take(rows, Needs(hold.amount_picos, hold.currency, hold.tokens, 1), least=0)
        if refused is not None:
            return refused
        self.holds[hold.hold_id] = self.opened_holds[hold.hold_id] = hold
        if command.claim is not None:
            made = Claimed(command.claim.request_hash, hold.hold_id, is_open=True, outcome=None)
            self.claims[command.claim[:2]] = self.new_claims[command.claim[:2]] = made
        return Held(_tightest(rows), _warned(rows))

    def _resize(self, command: Resize) -> ResizeResult:
        hold = self.holds.get(command.hold_id)
        if hold is None:
            return Gone()
        resized = hold._replace(
            amount_picos=command.amount_picos, tokens=command.tokens, expires_at_us=command.expires_at_us
        )
        rows = self._rows(hold.attribution, hold.opened_at_us)
        more = Needs(resized.amount_picos - hold.amount_picos, hold.currency, resized.tokens - hold.tokens, 0)
        refused = _take(rows, more, least=1)
        if refused is not None:
            return refused
        of = self.opened_holds if hold.hold_id in self.opened_holds else self.resized_holds
        self.holds[hold.hold_id] = of[hold.hold_id] = resized
        return Resized(resized)

    def _claimed(self, claim: Claim) -> Known | None:
        """Return who has a claim; one whose call ended without an outcome is free again."""
        claimed = self.claims.get(claim[:2])
        if claimed is None or (claimed.outcome is None and not claimed.is_open):
            return None
        return Known(claim.name, claimed, claimed.request_hash == claim.request_hash)

    def _settle(self, command: Settle) -> SettleResult:
        event = command.event
        if (event.source, event.event_id) in self.events:
            return Duplicate()
        rows = self._rows(event.attribution, event.opened_at_us)
        hold = self.holds.get(command.hold_id)
        if hold is None:
            event = settled_late(event)
        else:
            assert hold.attribution == event.attribution, (hold, event)
            assert hold.opened_at_us == event.opened_at_us, (hold, event)
            # The caller may not know: an answer to its last resizing may have been lost. Both are in the currency of
            # the cost: where that is another than was held, nothing was held in it.
            held_picos = hold.amount_picos if hold.currency == event.currency else 0
            overrun_picos = max(0, event.cost_picos - held_picos)
            of = event.of
            assert isinstance(of, OfCall), event
            if of.held_picos != held_picos or of.overrun_picos != overrun_picos:
                event = event._replace(of=of._replace(held_picos=held_picos, overrun_picos=overrun_picos))
            self._end(EndedHold(hold, HoldEnd.SETTLED), rows)
        self._post(event, rows)
        if command.claim is not None and command.outcome is not None:
            made = Claimed(command.claim.request_hash, command.hold_id, is_open=False, outcome=command.outcome)
            key = command.claim[:2]
            self.outcomes.append((key, made))  # of a call that has lost the name meanwhile, too: the store knows
            if key not in self.claims or self.claims[key].call_id == command.hold_id:
                self.claims[key] = made
        if command.disagreement is not None:
            self._doubt(command.disagreement, event)
        return Settled(event, _tightest(rows))

    def _doubt(self, disagreement: Disagreement, event: Event) -> None:
        """Believe a count less from now on: who decided on the trust of before is sent back by the new revision."""
        provider, model, measured, reported_tokens = disagreement
        key = (provider, model)
        known = self.new_doubts.get(key)
        trust = self.trusts.get(key, WHOLE) if known is None else known.trust
        wider = agree(trust, measured, reported_tokens)
        if wider is not None:
            self.revision += not self.new_doubts
            self.new_doubts[key] = Doubt(
                provider, model, wider, measured.counted_tokens, reported_tokens, event.event_id, event.recorded_at_us
            )

    def _let_go(self, command: Void | Expire, end: HoldEnd) -> ReleaseResult:
        hold = self.holds.get(command.hold_id)
        if hold is None:
            return Duplicate()
        if isinstance(command, Expire) and hold.expires_at_us > command.now_us:
            return Duplicate()  # it was extended meanwhile
        error = command.error if isinstance(command, Void) else None
        self._end(EndedHold(hold, end, error), self._rows(hold.attribution, hold.opened_at_us))
        return Voided()

    def _record(self, command: Record) -> RecordResult:
        event = command.event
        known = self.events.get((event.source, event.event_id))
        if known is not None:
            same = known == reported_hash(event) or (not known and is_correction(event))  # of earlier versions: no hash
            return Duplicate() if same else Conflict()
        self._post(event, self._rows(event.attribution, event.opened_at_us))
        return Recorded()

    def _post(self, event: Event, rows: Rows) -> None:
        for touch, counter in rows:
            budget = touch.budget
            counter.spent += AXES[budget.axis].spent(event, budget)
            counter.changed = True
        self.events[event.source, event.event_id] = reported_hash(event)
        self.new_events.append(event)

    def _end(self, ended: EndedHold, rows: Rows) -> None:
        hold = ended.hold
        for touch, counter in rows:
            budget = touch.budget
            counter.held -= AXES[budget.axis].held(hold, budget)
            assert counter.held >= 0, (touch, hold)
            counter.changed = True
        del self.holds[hold.hold_id]
        self.ended_holds[hold.hold_id] = ended

    def _rows(self, attribution: Attribution, opened_at_us: int) -> Rows:
        counters = self.counters
        rows: Rows = []
        for touch in self.index.touched(attribution, opened_at_us):
            counter = counters.get(touch.key)
            if counter is None:
                counter = counters[touch.key] = Counter()
            rows.append((touch, counter))
        return rows


def _take(rows: Rows, needs: Needs, *, least: int) -> Refused | None:
    """Hold on every row what it needs on its axis, unless a hard budget has not that much left: then on none.

    What needs less than `least` is not refused: a hold that shrinks fits even a budget that is exceeded.
    """
    needed_by_row = []
    for touch, counter in rows:
        budget = touch.budget
        more = AXES[budget.axis].needed(needs, budget)
        if more >= least and budget.mode is HARD and counter.held + counter.spent + more > budget.limit:
            return Refused(Remaining(touch, counter.held, counter.spent), more)
        needed_by_row.append(more)
    for (_, counter), more in zip(rows, needed_by_row, strict=True):
        counter.held += more
        counter.changed = True
    return None


def _tightest(rows: Rows) -> Remaining | None:
    """Return the money counter that has the least left."""
    tightest, least = None, 0
    for row in rows:
        budget = row[0].budget
        if AXES[budget.axis].is_money:
            left = budget.limit - row[1].held - row[1].spent
            if tightest is None or left < least:
                tightest, least = row, left
    return None if tightest is None else Remaining(tightest[0], tightest[1].held, tightest[1].spent)


def _warned(rows: Rows) -> tuple[Remaining, ...]:
    warned = [
        Remaining(touch, counter.held, counter.spent)
        for touch, counter in rows
        if touch.budget.warn_percent is not None
        and (counter.held + counter.spent) * 100 >= touch.budget.limit * touch.budget.warn_percent
    ]
    return tuple(warned)
