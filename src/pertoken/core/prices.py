"""The price book: dated rows, and which of them are in force for a model at an instant.

A row states one price: so much money for so many of one unit, at one provider, for the model names it matches, from an
instant until another, under conditions that must all hold. Rows are never changed: a correction is a newer row.
`PriceBook.resolve` picks, unit by unit, the row in force; the answer is a `Rates` that rating uses without looking
anything up again.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

from pertoken.core.periods import FOREVER_US, US_PER_SECOND

STANDARD_TIERS = frozenset({"", "auto", "default", "standard", "standard_only", "on_demand", "unspecified"})
UTC_TIME = "utc_time"  # a condition on the time of day, such as "16:30-00:30"
DAY_US = 24 * 3600 * US_PER_SECOND
SNAPSHOT_SUFFIX = re.compile(r"[-@](\d{4}-\d{2}-\d{2}|\d{8}|\d{6}|\d{4}|latest)$")


class Match(StrEnum):
    """How a row's model pattern is held against the name a call uses."""

    EQUALS = "equals"
    SNAPSHOT = "snapshot"  # the name itself, or the name and a date
    PREFIX = "prefix"
    RULE = "rule"  # a tree of clauses, as price data sets bring it


class Source(StrEnum):
    """Where a row comes from, the most trusted first."""

    OPERATOR = "operator"
    HISTORY = "history"
    GENAI = "genai"
    LITELLM = "litellm"


_TRUST = {source: rank for rank, source in enumerate(reversed(Source))}


class PriceRow(NamedTuple):
    """One dated price."""

    price_id: str
    provider: str
    model: str
    match: Match
    unit: str
    amount_picos: int  # for `per` of the unit
    per: int
    currency: str
    valid_from_us: int  # 0: since ever
    valid_to_us: int  # exclusive; FOREVER_US: open
    recorded_at_us: int
    source: Source
    evidence: str  # citation, and how sure it is
    input_above: int | None = None  # context tier: holds when total input is strictly greater
    conditions: tuple[tuple[str, str], ...] = ()  # all must hold
    rule: "Clause | None" = None  # with Match.RULE


def price_id(row: PriceRow) -> str:
    """Return the id of a row from its content: the same price stated twice is the same row."""
    content = repr(row._replace(price_id="", recorded_at_us=0, evidence=""))
    return f"pr_{hashlib.blake2b(content.encode(), digest_size=8).hexdigest()}"


class Clause(NamedTuple):
    """One test of a model name: `op` is equals, starts_with, ends_with, contains, regex, or, and."""

    op: str
    text: str = ""
    parts: "tuple[Clause, ...]" = ()

    def matches(self, name: str) -> bool:
        """Tell whether `name` (lower case) satisfies the clause."""
        match self.op:
            case "or":
                return any(part.matches(name) for part in self.parts)
            case "and":
                return all(part.matches(name) for part in self.parts)
            case "equals":
                return name == self.text
            case "starts_with":
                return name.startswith(self.text)
            case "ends_with":
                return name.endswith(self.text)
            case "contains":
                return self.text in name
            case "regex":
                return re.search(self.text, name) is not None
        raise AssertionError(self.op)


class Context(NamedTuple):
    """What about a call, besides its model, chooses among prices."""

    service_tier: str | None = None  # None: standard
    batch: bool = False
    speed: str | None = None
    region: str | None = None

    def holds(self, key: str, value: str) -> bool:
        """Tell whether the condition `key` = `value` is met."""
        match key:
            case "service_tier":
                return self.service_tier == value
            case "batch":
                return self.batch == (value == "true")
            case "speed":
                return self.speed == value
            case "region":
                return self.region == value
        return False


STANDARD = Context()


@lru_cache(maxsize=1024)
def context(service_tier: str | None, *, batch: bool = False, speed: str | None = None) -> Context:
    """Return the context of a call; every provider's word for its standard tier becomes None."""
    tier = service_tier.lower() if service_tier else ""
    if tier == "batch":
        return Context(None, batch=True, speed=speed)
    return Context(None if tier in STANDARD_TIERS else tier, batch=batch, speed=None if speed == "standard" else speed)


@dataclass(frozen=True, slots=True, eq=False)
class Rates:
    """The prices in force for one model, from `valid_from_us` until `valid_to_us`. Equal only to itself."""

    provider: str
    model: str
    currency: str
    valid_from_us: int
    valid_to_us: int
    tiers: tuple[tuple[int, Mapping[str, PriceRow]], ...]  # (total input above, rows by unit), highest first

    def at(self, input_total: int) -> Mapping[str, PriceRow]:
        """Return the rows by unit for a call of `input_total` input tokens."""
        for above, rows in self.tiers:
            if input_total > above:
                return rows
        return self.tiers[-1][1]


class NoPrice(NamedTuple):
    """Why a model has no price in force."""

    reason: str
    valid_from_us: int
    valid_to_us: int


class PriceBook:
    """All rows known, indexed for look-up. Immutable after construction but for its own memory of answers."""

    MEMORY_MAX = 20_000

    def __init__(self, rows: Iterable[PriceRow]) -> None:
        self._named: dict[tuple[str, str], list[PriceRow]] = {}
        self._patterns: dict[str, dict[tuple[Match, str, Clause | None], list[PriceRow]]] = {}
        for row in rows:
            if row.match in (Match.EQUALS, Match.SNAPSHOT):
                self._named.setdefault((row.provider, row.model.lower()), []).append(row)
            else:
                of_provider = self._patterns.setdefault(row.provider, {})
                of_provider.setdefault((row.match, row.model.lower(), row.rule), []).append(row)
        self._memory: dict[tuple[str, str, Context], list[Rates | NoPrice]] = {}

    def resolve(self, provider: str, model: str, at_us: int, context: Context = STANDARD) -> Rates | NoPrice:
        """Return the prices in force for `model` at `provider` at the instant `at_us`."""
        key = (provider, model, context)
        known = self._memory.get(key)
        if known is not None:
            for answer in known:
                if answer.valid_from_us <= at_us < answer.valid_to_us:
                    return answer
        if len(self._memory) >= self.MEMORY_MAX:
            self._memory.clear()  # hostile or endless model names must not grow memory
        answer = _in_force(provider, model, self.candidates(provider, model), at_us, context)
        self._memory.setdefault(key, []).append(answer)
        return answer

    def candidates(self, provider: str, model: str) -> list[tuple[int, PriceRow]]:
        """Return every row that speaks of `model`, each with how exactly it names it (greater is closer)."""
        name = model.lower()
        base = SNAPSHOT_SUFFIX.sub("", name)
        found = [(4, row) for row in self._named.get((provider, name), ())]
        if base != name:
            found += [(3, row) for row in self._named.get((provider, base), ()) if row.match is Match.SNAPSHOT]
        for (match, pattern, rule), rows in self._patterns.get(provider, {}).items():
            if pattern == name:
                found += [(4, row) for row in rows]
            elif match is Match.PREFIX and name.startswith(pattern):
                found += [(1, row) for row in rows]
            elif rule is not None and rule.matches(name):
                found += [(2, row) for row in rows]
        return found

    @property
    def providers(self) -> list[str]:
        """All providers that any row names, sorted."""
        return sorted({provider for provider, _ in self._named} | set(self._patterns))

    def models_of(self, provider: str, at_us: int) -> list[str]:
        """Return the names of the models of `provider` that have a price at `at_us`, sorted."""
        named = (row for (owner, _), rows in self._named.items() if owner == provider for row in rows)
        rows = [*named, *(row for some in self._patterns.get(provider, {}).values() for row in some)]
        return sorted({row.model for row in rows if row.valid_from_us <= at_us < row.valid_to_us})

    def providers_of(self, model: str, at_us: int, preferred: Iterable[str]) -> list[str]:
        """Return those of `preferred` whose rows price `model` at `at_us`, in the order given."""
        return [name for name in preferred if isinstance(self.resolve(name, model, at_us), Rates)]


def _in_force(
    provider: str, model: str, candidates: list[tuple[int, PriceRow]], at_us: int, context: Context
) -> Rates | NoPrice:
    starts = {edge for _, row in candidates for edge in (row.valid_from_us, row.valid_to_us)}
    starts.update(edge for _, row in candidates for edge in _daily_edges(row, at_us))
    valid_from = max((edge for edge in starts if edge <= at_us), default=0)
    valid_to = min((edge for edge in starts if edge > at_us), default=FOREVER_US)
    live = [(exact, row) for exact, row in candidates if row.valid_from_us <= at_us < row.valid_to_us]
    if not live:
        lack = "in force" if candidates else "known"
        return NoPrice(f"no price {lack} for {model!r} at {provider}", valid_from, valid_to)
    fitting = [(exact, row) for exact, row in live if _holds(row, context, at_us)]
    unmet = _conditions_without_a_row(context, fitting)
    if unmet:
        return NoPrice(f"no price known for {model!r} at {provider} with {unmet}", valid_from, valid_to)
    best: dict[tuple[str, int], tuple[tuple[int, ...], PriceRow]] = {}
    for exact, row in fitting:
        slot = (row.unit, row.input_above or 0)
        rank = (exact, len(row.conditions), row.valid_from_us, _TRUST[row.source], row.recorded_at_us)
        if slot not in best or rank > best[slot][0]:
            best[slot] = (rank, row)
    return _rates(provider, model, {slot: row for slot, (_, row) in best.items()}, valid_from, valid_to)


def _holds(row: PriceRow, context: Context, at_us: int) -> bool:
    for key, value in row.conditions:
        if key == UTC_TIME:
            start_us, end_us = _time_window(value)
            of_day_us = at_us % DAY_US
            inside = start_us <= of_day_us < end_us if start_us < end_us else not end_us <= of_day_us < start_us
            if not inside:
                return False
        elif not context.holds(key, value):
            return False
    return True


def _daily_edges(row: PriceRow, at_us: int) -> list[int]:
    """Return the instants around `at_us` at which a time-of-day price begins or ends."""
    midnight_us = at_us - at_us % DAY_US
    return [
        midnight_us + day * DAY_US + of_day_us
        for key, value in row.conditions
        if key == UTC_TIME
        for of_day_us in _time_window(value)
        for day in (-1, 0, 1)
    ]


def _time_window(value: str) -> tuple[int, int]:
    """Read "16:30-00:30" as microseconds of the day; it may go past midnight."""
    start, _, end = value.partition("-")
    times = [int(text[:2]) * 60 + int(text[3:5]) for text in (start, end)]
    return times[0] * 60 * US_PER_SECOND, times[1] * 60 * US_PER_SECOND


def _conditions_without_a_row(context: Context, rows: list[tuple[int, PriceRow]]) -> str:
    """Name what `context` asks for beyond the standard that no row prices: never priced as standard."""
    priced = {pair for _, row in rows for pair in row.conditions}
    asked = []
    if context.service_tier is not None and ("service_tier", context.service_tier) not in priced:
        asked.append(f"service tier {context.service_tier!r}")
    if context.batch and ("batch", "true") not in priced:
        asked.append("batch")
    if context.speed is not None and ("speed", context.speed) not in priced:
        asked.append(f"speed {context.speed!r}")
    return ", ".join(asked)


def _rates(
    provider: str, model: str, chosen: Mapping[tuple[str, int], PriceRow], valid_from: int, valid_to: int
) -> Rates | NoPrice:
    currencies = {row.currency for row in chosen.values()}
    if len(currencies) > 1:
        return NoPrice(f"prices of {model!r} at {provider} mix currencies {sorted(currencies)}", valid_from, valid_to)
    thresholds = sorted({above for _, above in chosen}, reverse=True)
    tiers = []
    for threshold in thresholds:
        rows: dict[str, PriceRow] = {}
        for (unit, above), row in sorted(chosen.items(), key=lambda item: item[0][1]):
            if above <= threshold:
                rows[unit] = row
        tiers.append((threshold, rows))
    if thresholds[-1] != 0:
        tiers.append((0, {}))
    return Rates(provider, model, currencies.pop(), valid_from, valid_to, tuple(tiers))
