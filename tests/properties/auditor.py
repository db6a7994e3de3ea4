"""A second, naive ledger: dicts and loops, written from the rules and not from the code. It must always agree."""

from collections.abc import Sequence
from dataclasses import dataclass, field

MINUTE_US = 60_000_000


@dataclass
class Rule:
    """One budget: what it counts, for whom, in which window (minute or for ever)."""

    name: str
    axis: str
    limit: int
    team: str | None
    each_customer: bool
    per_minute: bool
    hard: bool


@dataclass
class Call:
    """One call as the auditor remembers it."""

    team: str
    customer: str
    opened_us: int
    held: dict[str, int]
    spent: dict[str, int] | None = None
    is_open: bool = True
    expires_us: int = 0


@dataclass
class Auditor:
    """Recomputes everything from all calls, every time it is asked."""

    rules: Sequence[Rule]
    calls: dict[str, Call] = field(default_factory=dict)

    def slot(self, rule: Rule, call: Call) -> tuple[str, str, int] | None:
        """Return the counter of a rule that a call belongs to."""
        if rule.team is not None and rule.team != call.team:
            return None
        start = call.opened_us - call.opened_us % MINUTE_US if rule.per_minute else 0
        return rule.name, call.customer if rule.each_customer else "", start

    def counters(self) -> dict[tuple[str, str, int], tuple[int, int]]:
        """Return (held, spent) of every counter that anything ever touched."""
        sums: dict[tuple[str, str, int], tuple[int, int]] = {}
        for call in self.calls.values():
            for rule in self.rules:
                slot = self.slot(rule, call)
                if slot is None:
                    continue
                held, spent = sums.get(slot, (0, 0))
                held += call.held[rule.axis] if call.is_open else 0
                spent += 0 if call.spent is None else call.spent[rule.axis]
                sums[slot] = (held, spent)
        return sums

    def fits(self, call: Call) -> bool:
        """Tell whether a new call fits every hard rule."""
        counters = self.counters()
        for rule in self.rules:
            slot = self.slot(rule, call)
            if slot is not None and rule.hard:
                held, spent = counters.get(slot, (0, 0))
                if held + spent + call.held[rule.axis] > rule.limit:
                    return False
        return True

    def may_become(self, call: Call, wanted: dict[str, int]) -> bool:
        """Tell whether an open call's hold may become `wanted`: what grows must fit every hard rule."""
        counters = self.counters()
        for rule in self.rules:
            slot = self.slot(rule, call)
            growth = wanted[rule.axis] - call.held[rule.axis]
            if slot is not None and rule.hard and growth > 0 and sum(counters[slot]) + growth > rule.limit:
                return False
        return True
