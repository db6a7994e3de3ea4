"""A second, naive ledger: dicts, loops and fractions. It replays what became durable and must always agree.

It shares no code with the ledger: it recomputes everything from all calls each time it is asked.
"""

from fractions import Fraction
from typing import Any

from tests.factories import own

LENGTH_US = {"minute": 60_000_000, "hour": 3_600_000_000, "day": 86_400_000_000}
INPUT = {"input_tokens", "cache_read_tokens", "cache_write_tokens"}
OUTPUT = {"output_tokens", "reasoning_tokens"}


class Auditor:
    """Knows budgets as they are set, and calls as they are held, settled and let go."""

    def __init__(self, prices: dict[str, Fraction]) -> None:
        self._prices = prices  # picos for one, by price id
        self.budgets: dict[str, Any] = {}
        self.holds: dict[str, dict[str, Any]] = {}
        self.events: dict[tuple[str, str], Any] = {}
        self.excess = {"money": 0, "tokens": 0, "requests": 0, "concurrent": 0}  # spent beyond what was held

    # -- what happens ------------------------------------------------------------------------------------------------

    def set_budgets(self, budgets: Any) -> None:
        """Take the budgets that are in force from now on."""
        self.budgets = {budget.budget_id: budget for budget in budgets}

    def take(self, command: Any, result: Any) -> None:
        """Take one durable command and what the ledger decided on it."""
        kind, decided = type(command).__name__, type(result).__name__
        getattr(self, f"_{kind.lower()}")(command, decided, result)

    def _openhold(self, command: Any, decided: str, _: Any) -> None:
        hold = command.hold
        new = {"who": hold.attribution, "at": hold.opened_at_us, "open": True, "until": hold.expires_at_us}
        new["size"] = {"money": hold.amount_picos, "tokens": hold.tokens, "requests": 1, "concurrent": 1}
        if decided == "Held":
            assert hold.hold_id not in self.holds
            assert self._refuser(new, new["size"], {}) is None, "held beyond a limit"
            self.holds[hold.hold_id] = new
        elif decided == "Refused":
            assert self._refuser(new, new["size"], {}) is not None, "refused though it fits"
        else:
            assert decided in {"Stale", "Known", "Duplicate"}, decided

    def _resize(self, command: Any, decided: str, _: Any) -> None:
        hold = self.holds.get(command.hold_id)
        if hold is None or not hold["open"]:
            assert decided == "Gone"
            return
        size = {**hold["size"], "money": command.amount_picos, "tokens": command.tokens}
        fits = self._refuser(hold, size, hold["size"]) is None
        assert decided == ("Resized" if fits else "Refused")
        if fits:
            hold["size"] = size

    def _settle(self, command: Any, decided: str, result: Any) -> None:
        event = command.event
        key = (event.source, event.event_id)
        if key in self.events:
            assert decided == "Duplicate"
            return
        assert decided == "Settled"
        hold = self.holds.get(command.hold_id)
        is_open = hold is not None and hold["open"]
        assert own(result.event).late == (not is_open)
        for axis in self.excess:
            held = hold["size"][axis] if hold is not None and is_open else 0
            self.excess[axis] += max(0, _spent(event, axis) - held)
        if hold is not None:
            hold["open"] = False
        self.events[key] = event

    def _record(self, command: Any, decided: str, _: Any) -> None:
        event = command.event
        if (event.source, event.event_id) in self.events:
            assert decided == "Duplicate"
            return
        assert decided == "Recorded"
        for axis in self.excess:
            self.excess[axis] += _spent(event, axis)
        self.events[event.source, event.event_id] = event

    def _void(self, command: Any, decided: str, _: Any) -> None:
        self._end(command, decided, may=True)

    def _expire(self, command: Any, decided: str, _: Any) -> None:
        self._end(command, decided, may=decided == "Voided")  # its expiry may have been put off

    def _end(self, command: Any, decided: str, *, may: bool) -> None:
        hold = self.holds.get(command.hold_id)
        if hold is None or not hold["open"]:
            assert decided == "Duplicate"
        elif may:
            assert decided == "Voided"
            hold["open"] = False

    def _look(self, _command: Any, _decided: str, _result: Any) -> None:
        pass

    # -- what follows from it ----------------------------------------------------------------------------------------

    def counters(self) -> dict[tuple[str, str, int], tuple[int, int]]:
        """Return (held, spent) of every counter of the budgets in force that is not zero."""
        sums: dict[tuple[str, str, int], list[int]] = {}
        for budget in self.budgets.values():
            for hold in self.holds.values():
                slot = _slot(budget, hold["who"], hold["at"])
                if hold["open"] and slot is not None:
                    sums.setdefault(slot, [0, 0])[0] += hold["size"][str(budget.axis)]
            for event in self.events.values():
                slot = _slot(budget, event.attribution, event.opened_at_us)
                if slot is not None:
                    sums.setdefault(slot, [0, 0])[1] += _spent(event, str(budget.axis))
        return {slot: (held, spent) for slot, (held, spent) in sums.items() if held or spent}

    def open_holds(self) -> set[str]:
        """Return the holds that are open."""
        return {name for name, hold in self.holds.items() if hold["open"]}

    def balances(self) -> dict[tuple[str, str], int]:
        """Return what each account comes to."""
        sums: dict[tuple[str, str], int] = {}
        for event in self.events.values():
            if event.cost_picos:
                provider = event.attribution.provider
                for account, amount in (("cost", event.cost_picos), ("payable", -event.cost_picos)):
                    name = (f"provider_{account}:{provider}", event.currency)
                    sums[name] = sums.get(name, 0) + amount
        return sums

    def check_costs(self) -> None:
        """Assert that each event costs the fractions that its quantities and prices make, and counts all of them."""
        for event in self.events.values():
            cost = Fraction(0)
            counted = {"input_tokens": 0, "output_tokens": 0}
            for unit, quantity, price_id, amount in event.lines:
                if price_id == "another":  # by another model than was asked for, whose price nobody knows
                    assert (unit, quantity, len(event.lines), str(event.status)) == ("provisional", 1, 1, "unpriced")
                    assert amount >= own(event).held_picos, event
                    cost += amount
                    continue
                exact = quantity * self._prices[price_id]
                assert exact == amount, (event, unit)
                cost += exact
                counted["input_tokens"] += quantity if unit in INPUT else 0
                counted["output_tokens"] += quantity if unit in OUTPUT else 0
            assert cost == event.cost_picos, event
            if str(event.status) == "priced":
                for unit, quantity in counted.items():
                    assert quantity == event.quantities.get(unit, 0), (event, unit)

    def _refuser(self, call: dict[str, Any], size: dict[str, int], before: dict[str, int]) -> str | None:
        counters = self.counters()
        for name, budget in self.budgets.items():
            slot = _slot(budget, call["who"], call["at"])
            axis = str(budget.axis)
            growth = size[axis] - before.get(axis, 0)
            if slot is None or str(budget.mode) != "hard" or (before and growth <= 0):
                continue
            if sum(counters.get(slot, (0, 0))) + growth > budget.limit:
                return name
        return None


def _spent(event: Any, axis: str) -> int:
    tokens = event.quantities.get("input_tokens", 0) + event.quantities.get("output_tokens", 0)
    return {"money": event.cost_picos, "tokens": tokens, "requests": 1, "concurrent": 0}[axis]


def _slot(budget: Any, who: Any, at_us: int) -> tuple[str, str, int] | None:
    if any(getattr(who, name) != value for name, value in budget.scope):
        return None
    each = "" if budget.each is None else getattr(who, budget.each)
    if each is None:
        return None
    length = LENGTH_US.get(str(budget.window))
    return budget.budget_id, each, 0 if length is None else at_us - at_us % length
