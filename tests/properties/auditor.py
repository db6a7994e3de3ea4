"""A second, naive ledger: dicts and loops, written from the rules and not from the code. It must always agree."""

from dataclasses import dataclass, field, replace

MINUTE_US = 60_000_000


@dataclass(frozen=True)
class Rule:
    """One budget: what it counts, for whom, in which window (minute or for ever)."""

    name: str
    axis: str
    limit: int
    team: str | None
    each_customer: bool
    per_minute: bool
    hard: bool
    currency: str = "USD"


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
    name: str | None = None  # what its client calls it
    request: bytes = b""
    answered: bool = False
    held_in: str = "USD"  # the currencies of held["money"] and spent["money"]
    spent_in: str = "USD"


@dataclass
class Auditor:
    """Recomputes everything from all calls, every time it is asked."""

    rules: list[Rule]
    calls: dict[str, Call] = field(default_factory=dict)
    named: dict[tuple[str, str], str] = field(default_factory=dict)  # (team, name) -> the last call that took it
    highest: dict[str, int] = field(default_factory=dict)  # limit that each rule ever had, or what it began with
    excess: dict[str, int] = field(default_factory=lambda: dict.fromkeys(("money", "tokens", "requests"), 0))

    def add(self, rule: Rule) -> None:
        """Put a rule in force; what happened before counts as well."""
        self.rules.append(rule)
        begun = [sum(sums) for (name, _, _), sums in self.counters().items() if name == rule.name]
        self.highest[rule.name] = max([rule.limit, *begun])

    def change(self, rule: Rule, limit: int) -> None:
        """Give a rule another limit."""
        self.rules[self.rules.index(rule)] = replace(rule, limit=limit)
        self.highest[rule.name] = max(self.highest[rule.name], limit)

    def spend(self, call: Call, spent: dict[str, int]) -> None:
        """Note what a call spent; beyond its hold, if it still has one, nobody could refuse it."""
        for axis in self.excess:
            same = axis != "money" or call.held_in == call.spent_in
            self.excess[axis] += max(0, spent[axis] - (call.held[axis] if call.is_open and same else 0))
        call.spent, call.is_open = spent, False

    def taken(self, team: str, name: str) -> Call | None:
        """Return the call that a name stands for; it is free again when that ended without an answer."""
        call = self.calls.get(self.named.get((team, name), ""))
        return call if call is not None and (call.answered or call.is_open) else None

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
                held += amount(rule, call.held, call.held_in) if call.is_open else 0
                spent += 0 if call.spent is None else amount(rule, call.spent, call.spent_in)
                sums[slot] = (held, spent)
        return sums

    def fits(self, call: Call) -> bool:
        """Tell whether a new call fits every hard rule."""
        counters = self.counters()
        for rule in self.rules:
            slot = self.slot(rule, call)
            if slot is not None and rule.hard:
                held, spent = counters.get(slot, (0, 0))
                if held + spent + amount(rule, call.held, call.held_in) > rule.limit:
                    return False
        return True

    def may_become(self, call: Call, wanted: dict[str, int]) -> bool:
        """Tell whether an open call's hold may become `wanted`: what grows must fit every hard rule."""
        counters = self.counters()
        for rule in self.rules:
            slot = self.slot(rule, call)
            growth = amount(rule, wanted, call.held_in) - amount(rule, call.held, call.held_in)
            if slot is not None and rule.hard and growth > 0 and sum(counters[slot]) + growth > rule.limit:
                return False
        return True


def amount(rule: Rule, sizes: dict[str, int], currency: str) -> int:
    """Return what sizes are to a rule: money in another currency than its own is nothing."""
    return 0 if rule.axis == "money" and rule.currency != currency else sizes[rule.axis]
