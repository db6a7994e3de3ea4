"""The ledger's state machine against the naive auditor, over arbitrary histories.

A history is cut into transactions as a store cuts it: what one left is what the next one loads, by the same rows that
`store.ledger` writes; one that fails leaves nothing. Between transactions, budgets come, change and go.
"""

import copy
from collections import defaultdict
from dataclasses import replace
from typing import Any

from hypothesis import event as seen
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from tests.factories import own
from tests.properties.auditor import MINUTE_US, Auditor, Call, Rule

from pertoken.core.budgets import Attribution, Axis, Budget, BudgetIndex, CounterKey, Mode
from pertoken.core.claims import Claim, Claimed, Outcome
from pertoken.core.commands import (
    Conflict,
    Duplicate,
    Expire,
    Gone,
    Held,
    Known,
    Look,
    Looked,
    OpenHold,
    Record,
    Recorded,
    Refused,
    Resize,
    Resized,
    Settle,
    Settled,
    Stale,
    Void,
    Voided,
)
from pertoken.core.events import Event, EventStatus, OfCall, OfCorrection, OfReport, reported_hash
from pertoken.core.holds import Hold, HoldEnd
from pertoken.core.ledger import Books, Counter
from pertoken.core.periods import Window
from pertoken.core.trust import WHOLE, Disagreement, Measured, Trust
from pertoken.core.usage import Completeness
from pertoken.core.verification import Counters

RULES = (
    Rule("all", "money", 1_000, None, each_customer=False, per_minute=False, hard=True),
    Rule("team", "tokens", 300, "red", each_customer=False, per_minute=False, hard=True),
    Rule("rate", "requests", 3, None, each_customer=True, per_minute=True, hard=True),
    Rule("busy", "concurrent", 4, None, each_customer=False, per_minute=False, hard=True),
    Rule("watch", "money", 10, None, each_customer=True, per_minute=False, hard=False),
    Rule("yuan", "money", 600, None, each_customer=False, per_minute=False, hard=True, currency="CNY"),
)
TTL_US = 30_000_000
COUNTED = Measured(1_000, 1_024, 2_000)
OUTCOME = Outcome(200, (), b"answer", stream=False)


def budget(one: Rule) -> Budget:
    """Return the budget that a rule describes."""
    return Budget(
        one.name,
        one.name,
        Axis(one.axis),
        one.limit,
        Window.MINUTE if one.per_minute else Window.TOTAL,
        scope=() if one.team is None else (("team", one.team),),
        each="customer" if one.each_customer else None,
        mode=Mode.HARD if one.hard else Mode.SOFT,
        currency=one.currency,
    )


class Disk:
    """The rows that transactions leave, by what `store.ledger` and `store.claims` write of `Books`."""

    def __init__(self) -> None:
        self.counters: dict[CounterKey, tuple[int, int]] = {}
        self.holds: dict[str, Hold] = {}
        self.ended: dict[str, HoldEnd] = {}
        self.events: dict[tuple[str, str], Event] = {}
        self.claims: dict[tuple[str, str], Claimed] = {}
        self.trusts: dict[tuple[str, str], Trust] = {}
        self.balances: dict[tuple[str, str], int] = defaultdict(int)

    def save(self, books: Books) -> None:
        """Write what changed."""
        assert not books.opened_holds.keys() & self.holds.keys(), "a hold was opened twice"
        self.holds |= {name: hold for name, hold in books.opened_holds.items() if name not in books.ended_holds}
        self.holds |= {name: hold for name, hold in books.resized_holds.items() if name not in books.ended_holds}
        for name, (_, end, _) in books.ended_holds.items():
            self.holds.pop(name, None)
            assert name not in self.ended, "a hold ended twice"
            self.ended[name] = end
        for _, currency, postings in books.bookings.entries.values():
            assert sum(one.amount_picos for one in postings) == 0, "an entry does not balance"
            for account, picos in postings:
                self.balances[account, currency] += picos
        for event in books.new_events:
            assert (event.source, event.event_id) not in self.events, "an event was posted twice"
            self.events[event.source, event.event_id] = event
        self.claims |= books.new_claims
        for key, claimed in books.outcomes:
            if key in self.claims and self.claims[key].call_id == claimed.call_id:
                self.claims[key] = self.claims[key]._replace(outcome=claimed.outcome)
        self.counters |= {key: (row.held, row.spent) for key, row in books.counters.items() if row.changed}
        self.trusts |= {key: doubt.trust for key, doubt in books.new_doubts.items()}

    def load(self, index: BudgetIndex, revision: int) -> Books:
        """Return books with all rows of the budgets in force."""
        books = Books(index, revision, self.trusts)
        books.counters = {key: Counter(*sums) for key, sums in self.counters.items() if key.budget_id in index.budgets}
        books.holds = dict(self.holds)
        books.events = {identity: reported_hash(event) for identity, event in self.events.items()}
        books.claims = {key: one._replace(is_open=one.call_id in self.holds) for key, one in self.claims.items()}
        return books

    def fill(self, budget: Budget) -> None:
        """Fill the counters of a new budget, as `store.administration` does."""
        sums = Counters(BudgetIndex([budget]))
        for event in self.events.values():
            sums.add_event(event)
        for hold in self.holds.values():
            sums.add_hold(hold)
        self.counters |= sums.sums()


class Ledger(RuleBasedStateMachine):
    """Books and auditor side by side."""

    def __init__(self) -> None:
        super().__init__()
        self.disk = Disk()
        self.auditor = Auditor([])
        for one in RULES:
            self.auditor.add(one)
        self.revision = 1
        self.books = self.load()
        self.before = copy.deepcopy(self.auditor)
        self.now_us = 1_000_000_000
        self.number = 0

    # -- time and transactions ---------------------------------------------------------------------------------------

    @rule(step_us=st.sampled_from([1, 10_000_000, TTL_US, 61_000_000]))
    def time_passes(self, step_us: int) -> None:
        """Windows roll and holds grow old."""
        if (self.now_us + step_us) // MINUTE_US > self.now_us // MINUTE_US:
            self.see("window rolled")
        self.now_us += step_us

    @rule()
    def commit(self) -> None:
        """What a transaction leaves is all that the next one needs."""
        self.disk.save(self.books)
        self.revision = self.books.revision
        self.books = self.load()
        self.before = copy.deepcopy(self.auditor)

    @rule()
    def fail(self) -> None:
        """A transaction that fails leaves nothing."""
        self.books = self.load()
        self.auditor = copy.deepcopy(self.before)

    # -- budgets -----------------------------------------------------------------------------------------------------

    @rule(data=st.data(), percent=st.sampled_from([0, 10, 50, 90, 300]))
    def change_limit(self, data: Any, percent: int) -> None:
        """A limit rises or falls, while calls run, even below what is spent and held."""
        if not self.auditor.rules:
            return
        one = data.draw(st.sampled_from(self.auditor.rules))
        self.see("limit changed")
        self.change_directory(lambda: self.auditor.change(one, one.limit * percent // 100))

    @rule(data=st.data())
    def remove_budget(self, data: Any) -> None:
        """A budget goes, while calls run that it counts."""
        if not self.auditor.rules:
            return
        one = data.draw(st.sampled_from(self.auditor.rules))
        self.see("budget removed")
        self.change_directory(lambda: self.auditor.rules.remove(one))

    @rule(one=st.sampled_from(RULES), percent=st.sampled_from([10, 100, 200]))
    def add_budget(self, one: Rule, percent: int) -> None:
        """A budget comes, and counts what was spent before and what is held now."""
        self.number += 1
        made = replace(one, name=f"{one.name}-{self.number}", limit=one.limit * percent // 100)
        self.see("budget added")
        self.change_directory(lambda: self.auditor.add(made))
        self.disk.fill(budget(made))
        self.books = self.load()

    # -- calls -------------------------------------------------------------------------------------------------------

    @rule(
        team=st.sampled_from(["red", "blue"]),
        customer=st.sampled_from(["x", "y"]),
        picos=st.integers(0, 400),
        tokens=st.integers(0, 150),
        currency=st.sampled_from(["USD", "CNY"]),
    )
    def hold(self, team: str, customer: str, picos: int, tokens: int, currency: str) -> None:
        """A hold opens exactly when it fits every hard budget of its currency, and touches nothing otherwise."""
        name, call, made = self.new_call(team, customer, picos, tokens)
        call.held_in, made = currency, made._replace(currency=currency)
        fits = self.auditor.fits(call)
        result = self.books.apply(OpenHold(made, self.books.revision))

        assert isinstance(result, Held if fits else Refused)
        seen("held" if fits else "refused")
        if fits:
            self.auditor.calls[name] = call
            assert self.books.apply(OpenHold(made, self.books.revision)) == Duplicate()
            assert self.books.apply(OpenHold(made._replace(amount_picos=picos + 1), self.books.revision)) == Conflict()
            assert self.books.apply(OpenHold(made._replace(currency="EUR"), self.books.revision)) == Conflict()

    @rule(
        team=st.sampled_from(["red", "blue"]),
        client_name=st.sampled_from(["a", "b"]),
        request=st.sampled_from([b"one", b"two"]),
        picos=st.integers(0, 100),
    )
    def hold_by_name(self, team: str, client_name: str, request: bytes, picos: int) -> None:
        """A name that a call has, and had an answer for or still may, opens no other; one without an answer is free."""
        self.commit()  # whether a call is still under way is loaded with its name
        name, call, made = self.new_call(team, "x", picos, 10)
        call.name, call.request = client_name, request
        other = self.auditor.taken(team, client_name)
        fits = self.auditor.fits(call)
        result = self.books.apply(OpenHold(made, self.books.revision, Claim(team, client_name, request)))

        if other is not None:
            assert isinstance(result, Known)
            assert result.same_request == (other.request == request)
            assert (result.claimed.outcome is not None) == other.answered
            seen("known")
            return
        assert isinstance(result, Held if fits else Refused)
        if fits:
            seen(
                "held by name"
                if (team, client_name) not in self.auditor.named
                else "held by a name that was free again"
            )
            self.auditor.calls[name] = call
            self.auditor.named[team, client_name] = name

    @rule(picos=st.integers(0, 400))
    def hold_by_an_old_directory(self, picos: int) -> None:
        """Who decided on other budgets than those in force is sent back, and nothing changed."""
        _, _, made = self.new_call("red", "x", picos, 10)

        assert self.books.apply(OpenHold(made, self.books.revision - 1)) == Stale()
        assert self.books.apply(Look()) == Looked()

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
        seen("resized" if fits else "not resized" if call.is_open else "gone")

    @rule(data=st.data(), percent=st.integers(0, 150), answers=st.booleans(), same=st.booleans())
    def settle(self, data: Any, percent: int, answers: bool, same: bool) -> None:
        """A settlement posts once, whatever became of its hold; a second one changes nothing.

        What it costs in another currency than was held was not held.
        """
        name, call = self.pick(data)
        if name is None or call is None:
            return
        cost, tokens = call.held["money"] * percent // 100, call.held["tokens"] * percent // 100
        spent_in = call.held_in if same else "EUR"
        held = call.held["money"] if same else 0
        event = self.event(name, call, cost, tokens)._replace(currency=spent_in)
        event = event._replace(of=OfCall(7 if call.is_open else held, max(0, cost - held)))  # the books know better
        claim = None if call.name is None else Claim(call.team, call.name, call.request)
        command = Settle(name, event, claim, OUTCOME if answers else None)
        result = self.books.apply(command)

        if call.spent is not None:
            assert result == Duplicate()
            return
        assert isinstance(result, Settled)
        assert own(result.event).late == (not call.is_open)
        assert own(result.event).held_picos == held
        assert own(result.event).overrun_picos == max(0, cost - held)
        seen("settled" if call.is_open else "settled late")
        call.spent_in = spent_in
        self.auditor.spend(call, {"money": cost, "tokens": tokens, "requests": 1, "concurrent": 0})
        call.answered = answers and call.name is not None
        assert self.books.apply(command) == Duplicate()

    @rule(data=st.data(), reported=st.integers(0, 3_000))
    def settle_with_another_count(self, data: Any, reported: int) -> None:
        """What was reported once is explained from then on; a change sends back who decided before it, once a batch."""
        name, call = self.pick(data)
        if name is None or call is None:
            return
        before, settled = self.trust(), call.spent is not None
        told = Disagreement("p", "m", COUNTED, reported)
        result = self.books.apply(Settle(name, self.event(name, call, 0, 0), disagreement=told))
        after = self.trust()

        if settled:
            assert (result, after) == (Duplicate(), before)
            return
        self.auditor.spend(call, {"money": 0, "tokens": 0, "requests": 1, "concurrent": 0})
        assert after.bound(COUNTED) >= max(reported, before.bound(COUNTED))
        assert (after != before) == (reported > before.bound(COUNTED))
        assert self.books.revision == self.revision + bool(self.books.new_doubts)
        seen("doubted" if after != before else "explained")
        if self.books.new_doubts:
            _, _, made = self.new_call("red", "x", 0, 0)
            assert self.books.apply(OpenHold(made, self.revision)) == Stale()

    @rule(data=st.data())
    def void(self, data: Any) -> None:
        """A void ends an open hold and nothing else."""
        name, call = self.pick(data)
        if name is None or call is None:
            return
        result = self.books.apply(Void(name, self.who(call), call.opened_us))

        assert isinstance(result, Voided if call.is_open else Duplicate)
        seen("voided" if call.is_open else "voided again")
        call.is_open = False

    @rule(data=st.data())
    def expire(self, data: Any) -> None:
        """A hold expires only after its time, and only once."""
        due_now = {name for name, one in self.auditor.calls.items() if one.is_open and one.expires_us <= self.now_us}
        name, call = self.pick(data, due_now if data.draw(st.booleans()) else None)
        if name is None or call is None:
            return
        due = call.is_open and call.expires_us <= self.now_us
        result = self.books.apply(Expire(name, self.who(call), call.opened_us, self.now_us))

        assert isinstance(result, Voided if due else Duplicate)
        seen("expired" if due else "not expired")
        call.is_open = call.is_open and not due

    @rule(customer=st.sampled_from(["x", "y"]), cost=st.integers(0, 200), corrects=st.booleans())
    def record(self, customer: str, cost: int, corrects: bool) -> None:
        """What others report is taken in once, even beyond a limit: it has happened; other content is a conflict.

        A correction may give money back, and is no request.
        """
        self.number += 1
        name = f"report_{self.number}"
        call = Call("blue", customer, self.now_us, dict.fromkeys(("money", "tokens", "requests", "concurrent"), 0))
        spent = {"money": cost, "tokens": cost, "requests": 1, "concurrent": 0}
        if corrects:
            spent = {"money": cost - 100, "tokens": 0, "requests": 0, "concurrent": 0}
        event = self.event(name, call, spent["money"], spent["tokens"])
        event = event._replace(of=OfCorrection("another") if corrects else OfReport(b"one"))

        assert self.books.apply(Record(event)) == Recorded()
        assert self.books.apply(Record(event)) == Duplicate()
        assert self.books.apply(Record(event._replace(of=OfReport(b"two")))) == Conflict()
        seen("corrected" if corrects else "recorded")
        self.auditor.spend(call, spent)
        self.auditor.calls[name] = call

    # -- what holds --------------------------------------------------------------------------------------------------

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
        """Held + spent stays within the highest limit there was, but for what was spent beyond any hold."""
        hard = {one.name: one.axis for one in self.auditor.rules if one.hard}
        for (name, _, _), sums in self.auditor.counters().items():
            if name in hard:
                assert sum(sums) <= self.auditor.highest[name] + self.auditor.excess.get(hard[name], 0)

    @invariant()
    def holds_end_once(self) -> None:
        """A hold is open in the books exactly as long as it is for the auditor."""
        for name, call in self.auditor.calls.items():
            assert (name in self.books.holds) == call.is_open

    @invariant()
    def names_stand_for_one_call(self) -> None:
        """A name stands for the call that took it last, whatever becomes of those before."""
        assert {key: claimed.call_id for key, claimed in self.books.claims.items()} == self.auditor.named

    def teardown(self) -> None:
        """In the end the disk has each call once, as an event, an open hold or one let go, and owes what calls cost."""
        self.commit()
        owed: dict[tuple[str, str], int] = defaultdict(int)
        for call in self.auditor.calls.values():
            if call.spent is not None:
                owed["provider_cost:p", call.spent_in] += call.spent["money"]
                owed["provider_payable:p", call.spent_in] -= call.spent["money"]
        assert self.disk.balances.items() >= {item for item in owed.items() if item[1]}
        assert owed.items() >= {item for item in self.disk.balances.items() if item[1]}
        for name, call in self.auditor.calls.items():
            posted = [identity for identity in self.disk.events if identity[1] == name]
            assert len(posted) == (call.spent is not None)
            assert (name in self.disk.holds) == call.is_open
            if call.spent is None and not call.is_open:
                assert self.disk.ended[name] in (HoldEnd.VOIDED, HoldEnd.EXPIRED)

    # -- how ---------------------------------------------------------------------------------------------------------

    def load(self) -> Books:
        """Return the books of the next transaction."""
        return self.disk.load(BudgetIndex(map(budget, self.auditor.rules)), self.revision)

    def change_directory(self, change: Any) -> None:
        """Change budgets between two transactions."""
        self.commit()
        change()
        self.revision += 1
        self.books = self.load()
        self.before = copy.deepcopy(self.auditor)

    def trust(self) -> Trust:
        """Return how far the count of the only model is believed now."""
        doubt = self.books.new_doubts.get(("p", "m"))
        return self.disk.trusts.get(("p", "m"), WHOLE) if doubt is None else doubt.trust

    def see(self, what: str) -> None:
        """Note for hypothesis' statistics what was reached, and whether calls were running."""
        running = any(call.is_open for call in self.auditor.calls.values())
        seen(f"{what}{' while calls run' if running else ''}")

    def new_call(self, team: str, customer: str, picos: int, tokens: int) -> tuple[str, Call, Hold]:
        """Return a call that has not happened yet, and the hold that it asks for."""
        self.number += 1
        name = f"call_{self.number}"
        call = Call(team, customer, self.now_us, {"money": picos, "tokens": tokens, "requests": 1, "concurrent": 1})
        call.expires_us = self.now_us + TTL_US
        return name, call, Hold(name, self.who(call), picos, tokens, self.now_us, call.expires_us, "test")

    def pick(self, data: Any, among: set[str] | None = None) -> tuple[str | None, Call | None]:
        """Choose a call that had a hold."""
        names = [name for name in self.auditor.calls if name.startswith("call_") and (not among or name in among)]
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
            Completeness.FINAL, {"input_tokens": tokens, "output_tokens": 0}, "USD", cost, None, (), OfCall(),
        )  # fmt: skip


TestLedger = Ledger.TestCase
TestLedger.settings = settings(max_examples=300, stateful_step_count=50, deadline=None)
