"""The ledger's state machine against the naive auditor, over arbitrary histories."""

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from tests.properties.auditor import Auditor, Call, Rule

from pertoken.core.budgets import Attribution, Axis, Budget, BudgetIndex, Mode
from pertoken.core.ledger import (
    Books,
    Conflict,
    Duplicate,
    Event,
    EventStatus,
    Expire,
    Gone,
    Held,
    Hold,
    OpenHold,
    Record,
    Recorded,
    Refused,
    Resize,
    Resized,
    Settle,
    Settled,
    Void,
    Voided,
)
from pertoken.core.periods import Window
from pertoken.core.usage import Completeness

RULES = [
    Rule("all", "money", 1_000, None, each_customer=False, per_minute=False, hard=True),
    Rule("team", "tokens", 300, "red", each_customer=False, per_minute=False, hard=True),
    Rule("rate", "requests", 3, None, each_customer=True, per_minute=True, hard=True),
    Rule("busy", "concurrent", 4, None, each_customer=False, per_minute=False, hard=True),
    Rule("watch", "money", 10, None, each_customer=True, per_minute=False, hard=False),
]
BUDGETS = [
    Budget(
        one.name,
        one.name,
        Axis(one.axis),
        one.limit,
        Window.MINUTE if one.per_minute else Window.TOTAL,
        scope=() if one.team is None else (("team", one.team),),
        each="customer" if one.each_customer else None,
        mode=Mode.HARD if one.hard else Mode.SOFT,
    )
    for one in RULES
]
TTL_US = 30_000_000


class Ledger(RuleBasedStateMachine):
    """Books and auditor side by side."""

    def __init__(self) -> None:
        super().__init__()
        self.books = Books(BudgetIndex(BUDGETS), 1)
        self.auditor = Auditor(RULES)
        self.now_us = 1_000_000_000
        self.number = 0
        self.overrun = False

    @rule(step_us=st.integers(0, 40_000_000))
    def time_passes(self, step_us: int) -> None:
        """Windows roll and holds grow old."""
        self.now_us += step_us

    @rule(
        team=st.sampled_from(["red", "blue"]),
        customer=st.sampled_from(["x", "y"]),
        picos=st.integers(0, 400),
        tokens=st.integers(0, 150),
    )
    def hold(self, team: str, customer: str, picos: int, tokens: int) -> None:
        """A hold opens exactly when it fits every hard budget, and touches nothing otherwise."""
        self.number += 1
        name = f"call_{self.number}"
        call = Call(team, customer, self.now_us, {"money": picos, "tokens": tokens, "requests": 1, "concurrent": 1})
        call.expires_us = self.now_us + TTL_US
        fits = self.auditor.fits(call)
        made = Hold(name, self.who(call), picos, tokens, self.now_us, self.now_us + TTL_US, "test")
        result = self.books.apply(OpenHold(made, 1))

        assert isinstance(result, Held if fits else Refused)
        if fits:
            self.auditor.calls[name] = call
            assert self.books.apply(OpenHold(made, 1)) == Duplicate()
            assert self.books.apply(OpenHold(made._replace(amount_picos=picos + 1), 1)) == Conflict()

    @rule(data=st.data(), picos=st.integers(0, 400), tokens=st.integers(0, 150))
    def resize(self, data: Any, picos: int, tokens: int) -> None:
        """An open hold grows exactly when the growth fits, shrinks always, and keeps its size where it is refused."""
        name, call = self.pick(data)
        if name is None or call is None:
            return
        wanted = {**call.held, "money": picos, "tokens": tokens}
        fits = call.is_open and self.auditor.may_become(call, wanted)
        asked = Resize(name, self.who(call), call.opened_us, picos, tokens, call.expires_us + 1)
        for _ in range(2):  # asking twice is asking once
            result = self.books.apply(asked)
            assert isinstance(result, Resized if fits else Refused if call.is_open else Gone)
            if fits:
                call.held = wanted
                call.expires_us = asked.expires_at_us

    @rule(data=st.data(), share=st.floats(0, 1.5))
    def settle(self, data: Any, share: float) -> None:
        """A settlement posts once, whatever became of its hold; a second one changes nothing."""
        name, call = self.pick(data)
        if name is None or call is None:
            return
        cost, tokens = int(call.held["money"] * share), int(call.held["tokens"] * share)
        held = call.held["money"]
        event = self.event(name, call, cost, tokens)._replace(held_picos=held, overrun_picos=max(0, cost - held))
        event = event._replace(held_picos=0) if call.is_open else event  # the books know better
        was_open = call.is_open
        result = self.books.apply(Settle(name, event))

        if call.spent is not None:
            assert result == Duplicate()
            return
        assert isinstance(result, Settled)
        assert result.event.late == (not was_open)
        assert result.event.held_picos == call.held["money"]
        assert result.event.overrun_picos == max(0, cost - call.held["money"])
        self.overrun |= share > 1 or not was_open
        call.spent = {"money": cost, "tokens": tokens, "requests": 1, "concurrent": 0}
        call.is_open = False
        assert self.books.apply(Settle(name, event)) == Duplicate()

    @rule(data=st.data())
    def void(self, data: Any) -> None:
        """A void ends an open hold and nothing else."""
        name, call = self.pick(data)
        if name is None or call is None:
            return
        result = self.books.apply(Void(name, self.who(call), call.opened_us))

        assert isinstance(result, Voided if call.is_open else Duplicate)
        call.is_open = False

    @rule(data=st.data())
    def expire(self, data: Any) -> None:
        """A hold expires only after its time, and only once."""
        name, call = self.pick(data)
        if name is None or call is None:
            return
        due = call.is_open and call.expires_us <= self.now_us
        result = self.books.apply(Expire(name, self.who(call), call.opened_us, self.now_us))

        assert isinstance(result, Voided if due else Duplicate)
        call.is_open = call.is_open and not due

    @rule(customer=st.sampled_from(["x", "y"]), cost=st.integers(0, 200))
    def record(self, customer: str, cost: int) -> None:
        """What others report is taken in once, even beyond a limit: it has happened; other content is a conflict."""
        self.number += 1
        name = f"report_{self.number}"
        call = Call("blue", customer, self.now_us, {"money": 0, "tokens": 0, "requests": 0, "concurrent": 0})
        event = self.event(name, call, cost, cost)._replace(body_hash=b"one")

        assert self.books.apply(Record(event)) == Recorded()
        assert self.books.apply(Record(event)) == Duplicate()
        assert self.books.apply(Record(event._replace(body_hash=b"two"))) == Conflict()
        call.spent, call.is_open = {"money": cost, "tokens": cost, "requests": 1, "concurrent": 0}, False
        self.auditor.calls[name] = call
        self.overrun = True

    @invariant()
    def counters_agree(self) -> None:
        """Every counter equals what the auditor recomputes from all calls."""
        ours = {
            (key.budget_id, key.each, key.window_start_us): (counter.held, counter.spent)
            for key, counter in self.books.counters.items()
            if counter.held or counter.spent
        }
        theirs = {slot: sums for slot, sums in self.auditor.counters().items() if any(sums)}

        assert ours == theirs

    @invariant()
    def hard_limits_hold(self) -> None:
        """Held + spent stays within a hard limit until a provider or a report exceeds what was held."""
        if self.overrun:
            return
        limits = {one.name: one.limit for one in RULES if one.hard}
        for (name, _, _), sums in self.auditor.counters().items():
            assert name not in limits or sum(sums) <= limits[name]

    @invariant()
    def holds_end_once(self) -> None:
        """A hold is open in the books exactly as long as it is for the auditor."""
        for name, call in self.auditor.calls.items():
            assert (name in self.books.holds) == call.is_open

    def pick(self, data: Any) -> tuple[str | None, Call | None]:
        """Choose a call that had a hold."""
        names = [name for name in self.auditor.calls if name.startswith("call_")]
        if not names:
            return None, None
        name = data.draw(st.sampled_from(names))
        return name, self.auditor.calls[name]

    def who(self, call: Call) -> Attribution:
        """Return a call's attribution."""
        return Attribution(team=call.team, customer=call.customer, provider="p", model="m")

    def event(self, name: str, call: Call, cost: int, tokens: int) -> Event:
        """Return the event of a call."""
        return Event(
            "gateway", name, self.who(call), call.opened_us, self.now_us, call.opened_us, EventStatus.PRICED,
            Completeness.FINAL, {"input_tokens": tokens, "output_tokens": 0}, "USD", cost, 0, (),
        )  # fmt: skip


TestLedger = Ledger.TestCase
TestLedger.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
