"""Finds the rows of the price book that are in force for a model at an instant, in a context.

`PriceBook.resolve` picks, unit by unit, the row in force and the factors on it; the answer is a `Rates` that rating
uses without looking anything up again. What no row says is refused, never guessed: a tier that nobody priced, two
conditions that nobody priced together.
"""

import dataclasses
import functools
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from pertoken.core.conditions import ALWAYS_PRICED, STANDARD, TIME, Context, holds, time_window
from pertoken.core.dearest import Dearest, dearest_of
from pertoken.core.periods import FOREVER_US
from pertoken.core.prices import SNAPSHOT_SUFFIX, TRUST, Clause, Match, PriceRow, Source
from pertoken.core.rates import NoPrice, PriceStep, Rates, Tier, factors_on
from pertoken.core.texts import NEAR, nearest
from pertoken.core.units import TOKEN_UNITS

VARIANTS_MAX = 4  # of one name: more is an attack


class Cover(NamedTuple):
    """Sound, pictures or video that some models of a provider bill as text: what a row of `unit` covers beside it."""

    model: re.Pattern[str]
    unit: str
    covers: tuple[str, ...]


class Sellers(NamedTuple):
    """What is known of providers as sellers.

    Their other names, whose list prices apply where they have none, and which units they bill at the price of text.
    """

    names: Mapping[str, str] = {}  # another name, in lower case with dashes -> the name in price rows
    lists: Mapping[str, Sequence[str]] = {}  # provider -> those whose prices it takes where it states none itself
    charge_as_stated: frozenset[str] = frozenset()  # those whose answers state what is charged, by the name in rows
    covers: Mapping[str, Sequence[Cover]] = {}
    variants: Mapping[str, Sequence[str]] = {}  # provider -> endings of a name that leave the model what it is
    elsewhere: Mapping[str, re.Pattern[str]] = {}  # provider -> names that its wire does not answer


class PriceBook:
    """All rows known, indexed for look-up. Immutable after construction but for its own memory of answers."""

    MEMORY_MAX = 20_000

    def __init__(self, rows: Iterable[PriceRow], sellers: Sellers = Sellers()) -> None:  # noqa: B008 - immutable
        self._sellers = sellers
        self._named: dict[tuple[str, str], list[PriceRow]] = {}
        self._patterns: dict[str, dict[tuple[Match, str, Clause | None], list[PriceRow]]] = {}
        for row in rows:
            if row.match in (Match.EQUALS, Match.SNAPSHOT):
                self._named.setdefault((row.provider, row.model.lower()), []).append(row)
            else:
                of_provider = self._patterns.setdefault(row.provider, {})
                of_provider.setdefault((row.match, row.model.lower(), row.rule), []).append(row)
        self._memory: dict[tuple[str, str, Context], list[Rates | NoPrice]] = {}
        self._dearest: dict[tuple[str, str | None], list[Dearest]] = {}
        self._alike: dict[str, list[tuple[str, str]]] = {}

    def resolve(self, provider: str, model: str, at_us: int, context: Context = STANDARD) -> Rates | NoPrice:
        """Return the prices in force for `model` at `provider` at the instant `at_us`.

        A provider without a price of its own for the model sells it at the prices of the first list that has one.
        """
        key = (provider, model, context)
        known = self._memory.get(key)
        if known is not None:
            for answer in known:
                if answer.valid_from_us <= at_us < answer.valid_to_us:
                    return answer
        if len(self._memory) >= self.MEMORY_MAX:
            self._memory.clear()  # hostile or endless model names must not grow memory
        answer = self._resolve(self._name(provider), model, at_us, context)
        self._memory.setdefault(key, []).append(answer)
        return answer

    def _resolve(self, provider: str, model: str, at_us: int, context: Context) -> Rates | NoPrice:
        own = self._in_force(provider, model, at_us, context)
        valid_from, valid_to = own.valid_from_us, own.valid_to_us
        for other in () if isinstance(own, Rates) else self._sellers.lists.get(provider, ()):
            listed = self._in_force(other, model, at_us, context)
            valid_from, valid_to = max(valid_from, listed.valid_from_us), min(valid_to, listed.valid_to_us)
            if isinstance(listed, Rates):
                return dataclasses.replace(listed, valid_from_us=valid_from, valid_to_us=valid_to)
        if isinstance(own, NoPrice) and not self.knows(provider):
            near = self.nearest_provider(provider)
            hint = f"; did you mean {near!r}?" if near else ""
            return own._replace(reason=f"{own.reason}, a provider without any known price{hint}")
        return own

    def dearest(self, provider: str, model: str | None, at_us: int) -> Dearest | None:
        """Return the dearest rates of `model`, or of all models of `provider`, in force at `at_us`; None: none is."""
        key = (provider, model)
        for known in self._dearest.get(key, ()):
            if known.valid_from_us <= at_us < known.valid_to_us:
                return known if known.prices else None
        if len(self._dearest) >= self.MEMORY_MAX:
            self._dearest.clear()
        found = self._find_dearest(self._name(provider), model, at_us)
        self._dearest.setdefault(key, []).append(found)
        return found if found.prices else None

    def _find_dearest(self, provider: str, model: str | None, at_us: int) -> Dearest:
        rows: list[PriceRow] = []
        for name in (provider, *self._sellers.lists.get(provider, ())):
            rows += self._rows_of(name) if model is None else [row for _, row in self.candidates(name, model)]
        edges = {edge for row in rows for edge in (row.valid_from_us, row.valid_to_us)}
        live = (row for row in rows if row.valid_from_us <= at_us < row.valid_to_us)
        valid_from_us = max((edge for edge in edges if edge <= at_us), default=0)
        return dearest_of(live, valid_from_us, min((edge for edge in edges if edge > at_us), default=FOREVER_US))

    def charges_as_stated(self, provider: str) -> bool:
        """Tell whether `provider` charges what its answers state."""
        return self._name(provider) in self._sellers.charge_as_stated

    def _name(self, provider: str) -> str:
        """Return a provider's name in price rows."""
        return self._sellers.names.get(provider.lower().replace("_", "-"), provider)

    def _in_force(self, provider: str, model: str, at_us: int, context: Context) -> Rates | NoPrice:
        rows = self.candidates(provider, model)
        return _in_force(provider, model, rows, at_us, context, self._covers(provider, model))

    def _covers(self, provider: str, model: str) -> dict[str, tuple[str, ...]]:
        """Return what rows of each unit cover for a model beside what they say themselves."""
        found: dict[str, tuple[str, ...]] = {}
        for one in self._sellers.covers.get(provider, ()):
            if one.model.search(model.lower()):
                found[one.unit] = (*found.get(one.unit, ()), *one.covers)
        return found

    def candidates(self, provider: str, model: str) -> list[tuple[int, PriceRow]]:
        """Return every row that speaks of `model`, each with how exactly it names it (greater is closer).

        A variant that has no price of its own has that of its model.
        """
        name = model.lower()
        found = self._speaking_of(provider, name)
        base, _, variant = name.rpartition(":")
        if not base or variant not in self._sellers.variants.get(provider, ()) or name.count(":") > VARIANTS_MAX:
            return found
        if any(row.sells and row.unit in TOKEN_UNITS for _, row in found):
            return found
        return [*found, *(one for one in self.candidates(provider, base) if one not in found)]

    def sold_by_anybody(self, model: str, at_us: int, context: Context = STANDARD) -> list[Rates]:
        """Return the prices in force of a model of that name at every provider, whoever made it or has it listed."""
        if not self._alike:
            for row in self.rows:
                if row.sells and row.unit in TOKEN_UNITS:
                    names = self._alike.setdefault(_plain(row.model), [])
                    if (row.provider, row.model) not in names:
                        names.append((row.provider, row.model))
        found = (self.resolve(*one, at_us, context) for one in self._alike.get(_plain(model), ()))
        return [one for one in found if isinstance(one, Rates)]

    def _speaking_of(self, provider: str, name: str) -> list[tuple[int, PriceRow]]:
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
    def rows(self) -> Iterator[PriceRow]:
        """All rows."""
        for named in self._named.values():
            yield from named
        for of_provider in self._patterns.values():
            for some in of_provider.values():
                yield from some

    @property
    def providers(self) -> list[str]:
        """All providers that any row names, sorted."""
        return sorted({provider for provider, _ in self._named} | set(self._patterns))

    def knows(self, provider: str) -> bool:
        """Tell whether anything is known of a provider under this name."""
        return self._name(provider) in self._known_providers

    def nearest_provider(self, name: str, near: float = NEAR) -> str | None:
        """Return the known provider that is most like a misspelt name, None where none is so near."""
        return nearest(name.lower(), sorted({*self._known_providers, *self._sellers.names}), near)

    @functools.cached_property
    def _known_providers(self) -> frozenset[str]:
        return frozenset((*self.providers, *self._sellers.lists, *self._sellers.names.values()))

    def models_of(self, provider: str, at_us: int) -> list[str]:
        """Return the names of the models of `provider` that have a price at `at_us`, sorted; patterns are no names."""
        return sorted(
            {
                row.model
                for row in self._rows_of(provider)
                if row.valid_from_us <= at_us < row.valid_to_us and row.sells and _is_name(row)
            }
        )

    def callable_of(self, provider: str, at_us: int) -> list[str]:
        """Return those of the models of `provider` that its wire answers."""
        others = self._sellers.elsewhere.get(provider)
        names = self.models_of(provider, at_us)
        return names if others is None else [name for name in names if others.fullmatch(name) is None]

    def _rows_of(self, provider: str) -> list[PriceRow]:
        named = (row for (owner, _), rows in self._named.items() if owner == provider for row in rows)
        return [*named, *(row for some in self._patterns.get(provider, {}).values() for row in some)]

    def providers_of(self, model: str, at_us: int, preferred: Iterable[str]) -> list[str]:
        """Return those of `preferred` whose rows price `model` at `at_us`, in the order given."""
        return [name for name in preferred if isinstance(self.resolve(name, model, at_us), Rates)]


def _is_name(row: PriceRow) -> bool:
    """Tell whether the model of a row is a name to call, not the beginning of names or a rule for them."""
    if row.rule is not None:
        return row.rule.matches(row.model.lower())
    return row.match is not Match.PREFIX


_RESELLER = re.compile(r"^(?:[a-z]+\.)+(?=[a-z])")  # "us.anthropic.claude-...", as clouds name it
_NO_NAME = re.compile(r"[^a-z0-9]")


def _plain(model: str) -> str:
    """Return a model's name without who makes it, sells it or routes it, its date, and its dots and dashes."""
    name = model.lower().rpartition("/")[2].partition(":")[0]
    return _NO_NAME.sub("", SNAPSHOT_SUFFIX.sub("", _RESELLER.sub("", name)))


_OVER_LISTS = {Source.OPERATOR: 2, Source.REVIEWED: 1}  # whatever the lists say, and whenever they say it


class _Candidate(NamedTuple):
    """A row that speaks of the model and holds, and what ranks it."""

    exact: int
    row: PriceRow
    met: int  # conditions that are what the call asked for

    @property
    def rank(self) -> tuple[int, ...]:
        """Return how much this row is preferred over others for the same thing.

        What the call asked for comes first, then the operator's own word and what was reviewed, how exactly the model
        is named, how late the price begins, whether it is for a time of day, how far its source is trusted, and how
        lately it was learnt.
        """
        row = self.row
        return (
            self.met,
            _OVER_LISTS.get(row.source, 0),
            self.exact,
            row.valid_from_us,
            len(row.conditions) - self.met,
            TRUST[row.source],
            row.recorded_at_us,
        )


def _in_force(  # noqa: PLR0917 - what prices depend on
    provider: str,
    model: str,
    candidates: Sequence[tuple[int, PriceRow]],
    at_us: int,
    context: Context,
    covers: Mapping[str, tuple[str, ...]],
) -> Rates | NoPrice:
    valid_from, valid_to = _span(candidates, at_us)

    def refused(why: str) -> NoPrice:
        return NoPrice(f"no price {why}", valid_from, valid_to)

    live = [(exact, row) for exact, row in candidates if row.valid_from_us <= at_us < row.valid_to_us]
    if not any(row.sells for _, row in live):
        lack = "in force" if any(row.sells for _, row in candidates) else "known"
        return refused(f"{lack} for {model!r} at {provider}")
    asked = context.asked()
    fitting = [
        _Candidate(exact, row, sum(1 for key, _ in row.conditions if key in asked))
        for exact, row in live
        if holds(row.conditions, asked, at_us)
    ]
    unmet = _unmet(asked, [row for _, row in live], [one.row for one in fitting])
    if unmet:
        return refused(f"known for {model!r} at {provider} with {_words(unmet, asked)}")
    chosen = _in_one_currency(_choose_rows([one for one in fitting if not one.row.is_factor]))
    if not chosen:
        return refused(f"in force for {model!r} at {provider}")
    factors = _choose_factors([one for one in fitting if one.row.is_factor], chosen)
    clash = _clash(asked, [one.row for one in fitting], chosen, factors)
    if clash:
        return refused(f"known for {model!r} at {provider} with {_words(clash, asked)} together")
    currencies = sorted({row.currency for row in chosen})
    if len(currencies) > 1:
        return refused(f"of {model!r} at {provider} in one currency, but in {' and '.join(currencies)}")
    covering = [row._replace(covers=(*row.covers, *covers.get(row.unit, ()))) for row in chosen]
    return Rates(provider, model, currencies[0], valid_from, valid_to, _tiers(covering, factors))


def _span(candidates: Iterable[tuple[int, PriceRow]], at_us: int) -> tuple[int, int]:
    """Return from when to when the same rows are in force as at `at_us`."""
    edges: set[int] = set()
    for _, row in candidates:
        edges.update((row.valid_from_us, row.valid_to_us))
        for key, value in row.conditions:
            if key == TIME:
                edges.update(time_window(value).edges(at_us))
    return max((edge for edge in edges if edge <= at_us), default=0), min(
        (edge for edge in edges if edge > at_us), default=FOREVER_US
    )


def _unmet(asked: Mapping[str, str], live: Iterable[PriceRow], fitting: Iterable[PriceRow]) -> list[str]:
    """Return the requested conditions that no row prices: always a tier, others only if prices depend on them."""
    priced = {key for row in fitting for key, _ in row.conditions}
    known = {key for row in live for key, _ in row.conditions}
    return [key for key in asked if key not in priced and (key in ALWAYS_PRICED or key in known)]


def _choose_rows(candidates: Iterable[_Candidate]) -> list[PriceRow]:
    """Return one row for each unit and threshold."""
    by_unit: dict[str, list[_Candidate]] = {}
    for one in candidates:
        by_unit.setdefault(one.row.unit, []).append(one)
    return [row for of_unit in by_unit.values() for row in _choose_tiers(of_unit)]


def _in_one_currency(rows: list[PriceRow]) -> list[PriceRow]:
    """Return `rows` without those of lists in another currency than the operator's own: they cannot be added up."""
    own = {row.currency for row in rows if row.source is Source.OPERATOR}
    return [row for row in rows if row.currency in own] if len(own) == 1 else rows


def _choose_tiers(candidates: Sequence[_Candidate]) -> list[PriceRow]:
    """Return the rows of one unit: the best, and the context tiers of the statement it belongs to.

    A statement is what one source says under one condition. Another import's tiers join where it states the same base
    price: lists of dated prices often leave tiers out. The operator's word is whole as it is.
    """
    best = max(candidates, key=lambda one: one.rank)
    statements: dict[tuple[object, ...], list[_Candidate]] = {}
    for one in candidates:
        if one.met == best.met:
            statements.setdefault((one.row.source, one.exact), []).append(one)
    chosen = _by_threshold(statements.pop((best.row.source, best.exact)))
    base = chosen.get((0, False))
    if base is not None and best.row.source is not Source.OPERATOR:
        for others in sorted(statements.values(), key=lambda some: max(one.rank for one in some), reverse=True):
            tiers = _by_threshold(others)
            other = tiers.get((0, False))
            if other is not None and other.amount_picos * base.per == base.amount_picos * other.per:
                for slot, row in tiers.items():
                    chosen.setdefault(slot, row)
    return list(chosen.values())


def _by_threshold(candidates: Iterable[_Candidate]) -> dict[tuple[int, bool], PriceRow]:
    best: dict[tuple[int, bool], _Candidate] = {}
    for one in candidates:
        slot = (one.row.input_above or 0, one.row.marginal)
        if slot not in best or one.rank > best[slot].rank:
            best[slot] = one
    return {slot: one.row for slot, one in best.items()}


def _choose_factors(candidates: Iterable[_Candidate], chosen: Iterable[PriceRow]) -> list[PriceRow]:
    """Return the factors on a model: of those under the same conditions, the ones that name it most exactly.

    Where a model has rows of its own for a condition, they say all of it: what they leave out is at the standard price,
    and a provider's general factor for that condition is not for this model. The operator's factors always are.
    """
    stated = {pair for row in chosen for pair in row.conditions}
    by_condition: dict[tuple[object, ...], list[_Candidate]] = {}
    for one in candidates:
        is_operators = one.row.source is Source.OPERATOR
        if is_operators or not stated.intersection(one.row.conditions):
            by_condition.setdefault((is_operators, one.row.conditions), []).append(one)
    factors: list[PriceRow] = []
    for some in by_condition.values():
        closest = max(one.exact for one in some)
        by_unit: dict[str, _Candidate] = {}
        for one in sorted(some, key=lambda one: one.rank):
            if one.exact == closest:
                by_unit[one.row.unit] = one
        factors += [one.row for one in by_unit.values()]
    return factors


def _clash(
    asked: Mapping[str, str], fitting: Sequence[PriceRow], chosen: Iterable[PriceRow], factors: Collection[PriceRow]
) -> list[str]:
    """Return conditions that were asked for together and are only priced one without the other."""
    for row in chosen:
        on_it = factors_on(row.unit, row, factors)
        met = {key for one in (row, *on_it) for key, _ in one.conditions if key in asked}
        wanted = {key for one in fitting if one.unit == row.unit and not one.is_factor for key, _ in one.conditions}
        wanted.update(key for one in on_it for key, _ in one.conditions)
        missing = sorted((wanted & asked.keys()) - met)
        alone = [one for one in on_it if not one.stacks]
        if missing or (alone and len(on_it) > 1):
            return sorted(met | set(missing))
    return []


def _words(keys: Iterable[str], asked: Mapping[str, str]) -> str:
    names = {"batch": "batch", "service_tier": "service tier", "speed": "speed", "region": "region"}
    said = [names.get(key, key) if key == "batch" else f"{names.get(key, key)} {asked[key]!r}" for key in sorted(keys)]
    return " and ".join(said)


def _tiers(chosen: Iterable[PriceRow], factors: Iterable[PriceRow]) -> tuple[Tier, ...]:
    ordered = sorted(chosen, key=lambda row: row.input_above or 0)
    steps: dict[str, list[PriceStep]] = {}
    for row in ordered:
        if row.marginal and row.input_above:
            steps.setdefault(row.unit, []).append(PriceStep(row.input_above, row))
    marginal = {unit: tuple(of_unit) for unit, of_unit in steps.items()}
    flat = [row for row in ordered if not (row.marginal and row.input_above)]
    thresholds = sorted({0, *(row.input_above or 0 for row in flat)}, reverse=True)
    return tuple(
        Tier(
            threshold,
            {row.unit: row for row in flat if (row.input_above or 0) <= threshold},
            marginal,
            tuple(factors),
        )
        for threshold in thresholds
    )
