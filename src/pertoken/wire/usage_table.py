"""Reads usage objects with tables. Each API's table says which fields add up to which unit.

The tables are in `usage_rules`; this module applies them.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, Context, Decimal
from functools import lru_cache
from hashlib import blake2b
from itertools import product
from math import ceil
from typing import Any, NamedTuple

import msgspec

from pertoken.core.usage import QUANTITY_MAX, Contradiction, Edits

_EXACT = Context(prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN)
_decimal = msgspec.json.Decoder(float_hook=Decimal)  # exact: 0.1 in JSON is one tenth

_DIGITS = re.compile(r"\d{1,12}", re.ASCII)
_PLAIN = re.compile(r"\d{1,12}(\.\d{1,30})?([eE][-+]?\d{1,2})?", re.ASCII)
COST = "reported_cost"  # the name of rows that state a cost
FEE = "reported_fee"  # the name of rows that state a fee in addition to the price; a stated cost includes the fee
TOTAL = "total_cost"  # the field with the sum, next to the parts of a cost

Path = tuple[str, ...]
Term = tuple[Path, ...]  # the first number found at one of these paths


class UsageRule(NamedTuple):
    """`unit` is the sum of `terms`; it is unknown if the first term is missing. Two rules for one unit must agree."""

    unit: str
    terms: tuple[Term, ...]
    source: str


class Listed(NamedTuple):
    """`unit` is the sum of `tokens` over the entries of a list in which `key` has `value`, or its `number`."""

    unit: str
    entries: str
    key: str
    value: str
    tokens: str
    source: str
    number: int | None = None  # the enum number of `value`, which some clients request

    def means(self, told: object) -> bool:
        """Tell whether an entry's value is `value`, in any case of letters, or its number."""
        if isinstance(told, str):
            return told.upper() == self.value.upper()
        return told is not None and not isinstance(told, bool) and told == self.number


class Beside(NamedTuple):
    """Tokens that some answers count inside `unit` and others outside it. The provider's total decides.

    `beside` applies if the total does not decide; True means outside. With `always`, the tokens are added to `unit`
    even if the total does not include them.
    """

    unit: str
    terms: tuple[Term, ...]
    beside: bool
    source: str
    always: bool = False


class Check(NamedTuple):
    """The sum of `parts` is at most `total`; with `exact`, and if all parts are present, it is equal."""

    total: Term
    parts: tuple[Term, ...]
    source: str
    exact: bool = False


class Plain(NamedTuple):
    """Tokens of `row.unit`, input or output, that the provider reports as text, so they are not sound or pictures."""

    row: UsageRule | Listed


class Zero(NamedTuple):
    """If input and the field `given` are present, a missing `unit` is zero."""

    unit: str
    given: Term
    source: str


class Stated(NamedTuple):
    """An exact decimal in a usage object, times ten to the `exponent`: a cost, or seconds of sound.

    It is read only if the flag `only_if` is true and the flag `unless` is not. The amount at `plus` is added.
    """

    name: str
    path: Path
    source: str
    exponent: int = 0
    only_if: str | None = None
    unless: str | None = None
    plus: Path = ()


@dataclass(frozen=True, slots=True, eq=False)
class UsageTable:
    """Everything known about one API's usage object. A table equals only itself, so that it is a cheap cache key."""

    rules: tuple[UsageRule, ...]
    total: Term = ()  # the provider's own sum of all input and all output
    listed: tuple[Listed, ...] = ()
    besides: tuple[Beside, ...] = ()
    checks: tuple[Check, ...] = ()
    zeros: tuple[Zero, ...] = ()
    stated: tuple[Stated, ...] = ()
    rest: str = "output_tokens"  # the unit of tokens that only the total includes
    plain: tuple[UsageRule | Listed, ...] = ()
    names_stated: tuple[bytes, ...] = ()  # every usage object that states a decimal contains one of these
    key: bytes = b""  # a hash of the rows, by which another process finds the same table

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle only the key, so that another process finds its own table. A copy would not be equal to it."""
        return table_of, (self.key,)


UsageTableRow = UsageRule | Listed | Beside | Check | Zero | Stated | Plain

_TABLES: dict[bytes, UsageTable] = {}


def rule(unit: str, fields: str, source: str) -> UsageRule:
    """Return a rule from dotted paths: "a + b.c" is a sum, "a|b" is the first field that is present."""
    return UsageRule(unit, terms(fields), source)


def terms(fields: str) -> tuple[Term, ...]:
    """Return the terms of a sum such as "a + b.c|d"."""
    return tuple(term(one.strip()) for one in fields.split("+"))


def term(fields: str) -> Term:
    """Return the paths of a term such as "a|b.c"."""
    return tuple(tuple(path.split(".")) for path in fields.split("|"))


def table(*rows: UsageTableRow, total: str | None = None, rest: str = "output_tokens") -> UsageTable:
    """Return the table of `rows`. `total` is the field with the provider's own sum of all input and all output.

    `rest` is the unit of tokens that the total includes and the parts do not.
    """
    stated_rows = tuple(row for row in rows if isinstance(row, Stated))
    made = UsageTable(
        tuple(row for row in rows if isinstance(row, UsageRule)),
        term(total) if total else (),
        tuple(row for row in rows if isinstance(row, Listed)),
        tuple(row for row in rows if isinstance(row, Beside)),
        tuple(row for row in rows if isinstance(row, Check)),
        tuple(row for row in rows if isinstance(row, Zero)),
        stated_rows,
        rest,
        tuple(row.row for row in rows if isinstance(row, Plain)),
        _names(stated_rows),
        blake2b(repr((rows, total, rest)).encode(), digest_size=16).digest(),
    )
    return _TABLES.setdefault(made.key, made)


def table_of(key: bytes) -> UsageTable:
    """Return the table with a key. Every process makes the same tables, in any order."""
    return _TABLES[key]


def read(rules: Sequence[UsageRule], usage: Mapping[str, Any]) -> dict[str, int]:
    """Return the quantities of a usage object. A unit without a field in the object is left out.

    Raises Contradiction if a field is not a count, or if two fields for the same unit differ.
    """
    quantities: dict[str, int] = {}
    for unit, summed, _ in rules:
        path = summed[0][0]
        quantity = usage.get(path[0])
        if len(path) > 1:
            quantity = quantity.get(path[1]) if type(quantity) is dict and len(path) == 2 else None
        if type(quantity) is not int or not 0 <= quantity <= QUANTITY_MAX:  # not the usual case
            quantity = _first(summed[0], usage)
            if quantity is None:
                continue
        if len(summed) > 1:
            quantity += _sum(summed[1:], usage)
        if quantities.setdefault(unit, quantity) != quantity:
            why = f"{unit} is told twice: {quantities[unit]} and {quantity}"
            raise Contradiction(why, tuple(((path, None),) for path in _told_at(rules, unit, usage)))
    return quantities


def count(rows: UsageTable, usage: Mapping[str, Any]) -> dict[str, int]:
    """Return the inclusive quantities of a usage object, by all rows of its table.

    Raises Contradiction if a field is not a count, or if the numbers do not add up.
    """
    told = _fitting(rows, tuple(usage))
    quantities = read(told.rules, usage)
    for one in told.listed:
        _add_listed(one, usage, quantities)
    for unit, given, _ in told.zeros:
        if "input_tokens" in quantities and unit not in quantities and _first(given, usage) is not None:
            quantities[unit] = 0
    for check in told.checks:
        _check(check, usage)
    if told.total or told.besides:
        rest = _place(told, usage, quantities)
        if rest:
            path = told.total[0]
            why = f"{'.'.join(path)} {_first(told.total, usage)} is not the sum of its parts, by {rest}"
            raise Contradiction(why, (_more(rows.rules, rows.rest, usage, rest),), decided=True)
    return quantities


def plain(rows: UsageTable, usage: Mapping[str, Any]) -> dict[str, int]:
    """Return how many tokens of input and of output are reported as text. A field that is not a count is ignored."""
    found: dict[str, int] = {}
    for row in rows.plain:
        try:
            if isinstance(row, UsageRule):
                found[row.unit] = max(found.get(row.unit, 0), _sum(row.terms, usage))
            else:
                _add_listed(row, usage, found)
        except Contradiction:
            continue
    return found


def _add_listed(row: Listed, usage: Mapping[str, Any], quantities: dict[str, int]) -> None:
    """Add the tokens of the list's entries that match `row` to `quantities`. Raises Contradiction."""
    entries = usage.get(row.entries)
    for at, entry in enumerate(entries) if isinstance(entries, list) else ():
        value = entry.get(row.key) if isinstance(entry, dict) else None
        if row.means(value):
            try:
                tokens = _first(((row.tokens,),), entry) or 0
            except Contradiction as contradiction:
                raise contradiction.inside(row.entries, at) from None
            quantities[row.unit] = quantities.get(row.unit, 0) + tokens


def stated(rows: UsageTable, raw: bytes) -> dict[str, Decimal]:
    """Return the decimals that a usage object states, exact. If several rows with one name apply, the first one counts.

    A fee may be a text. Raises Contradiction if a value is not a number, or not from 0 to QUANTITY_MAX.
    """
    found: dict[str, Decimal] = {}
    if not states(rows, raw):
        return found
    try:
        usage = _decimal.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return found
    for row in rows.stated:
        value = value_at(row.path, usage)
        if value is None or row.name in found or not _is_for(row, usage) or (row.name == FEE and COST in found):
            continue
        value = _amount(value) if row.name == FEE and isinstance(value, str) and _PLAIN.fullmatch(value) else value
        if isinstance(value, dict):  # of another row's path
            if row.name == COST and _parts(value):
                raise Contradiction(f"{'.'.join(row.path)} has parts and no total")
            continue
        if isinstance(value, bool) or not isinstance(value, int | Decimal) or not 0 <= value <= QUANTITY_MAX:
            raise Contradiction(f"{'.'.join(row.path)} is no amount: {value!s:.80}")
        amount = _EXACT.add(Decimal(value), _added(row, usage))
        found[row.name] = amount.scaleb(row.exponent, _EXACT).normalize(_EXACT) if row.exponent else amount
    return found


def doubtful_cost(rows: UsageTable, raw: bytes) -> Decimal | None:
    """Return the highest cost that a usage object may mean, also from a cost given as text or only in parts."""
    if not states(rows, raw):
        return None
    try:
        usage = _decimal.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    found = []
    for row in rows.stated:
        value = value_at(row.path, usage) if row.name == COST and _is_for(row, usage) else None
        amount = sum(_parts(value)) if isinstance(value, dict) else _amount(value)
        if amount:
            found.append(_EXACT.add(Decimal(amount), _added(row, usage)).scaleb(row.exponent, _EXACT))
    return max(found, default=None)


def _added(row: Stated, usage: Any) -> Decimal:
    """Return the amount at `row.plus`, or zero."""
    return (_amount(value_at(row.plus, usage)) if row.plus else None) or Decimal(0)


def _parts(cost: Mapping[str, Any]) -> list[Decimal]:
    """Return the parts of a cost: Perplexity's fields that end in `_cost`, without the total."""
    amounts = (_amount(value) for name, value in cost.items() if name.endswith("_cost") and name != TOTAL)
    return [amount for amount in amounts if amount is not None]


def _amount(value: Any) -> Decimal | None:
    """Return a number, or a plain decimal in a text, as an amount; None for anything else."""
    if isinstance(value, str) and _PLAIN.fullmatch(value):
        value = Decimal(value)
    is_number = isinstance(value, int | Decimal) and not isinstance(value, bool)
    return Decimal(value) if is_number and 0 <= value <= QUANTITY_MAX else None


def _is_for(row: Stated, usage: Any) -> bool:
    """Tell whether a row applies, by the flags in the usage object."""
    if row.only_if and value_at((row.only_if,), usage) is not True:
        return False
    return row.unless is None or value_at((row.unless,), usage) is not True


def number(paths: Term, usage: Mapping[str, Any]) -> int | None:
    """Return the number at the first of `paths` that has a value. Raises Contradiction if that is not a count."""
    return _first(paths, usage)


def states(rows: UsageTable, raw: bytes) -> bool:
    """Tell by its bytes whether a usage object may state a decimal."""
    for name in rows.names_stated:  # noqa: SIM110 - a third of the time of any()
        if name in raw:
            return True
    return False


def _names(rows: tuple[Stated, ...]) -> tuple[bytes, ...]:
    """Return the shortest set of names of which every usage object with a stated decimal contains at least one."""
    names = {row.path[-1].encode() for row in rows}
    return tuple(name for name in names if not any(other in name for other in names - {name}))


@lru_cache(maxsize=1024)
def _fitting(rows: UsageTable, keys: tuple[str, ...]) -> UsageTable:
    """Return the rows that apply to a usage object with these keys. Most calls have the same few sets of keys."""

    def fits(*some: Term) -> bool:
        return any(path[0] in keys for one in some for path in one)

    return UsageTable(
        tuple(row for row in rows.rules if fits(row.terms[0])),
        rows.total if fits(rows.total) else (),
        tuple(row for row in rows.listed if row.entries in keys),
        tuple(row for row in rows.besides if fits(*row.terms)),
        tuple(row for row in rows.checks if fits(row.total) and fits(*row.parts)),
        tuple(row for row in rows.zeros if fits(row.given)),
    )


def _place(rows: UsageTable, usage: Mapping[str, Any], quantities: dict[str, int]) -> int:
    """Add tokens that are outside their unit, according to the total, to that unit in `quantities`.

    If input or output is missing, it becomes the rest of the total. Return how many tokens only the total includes.
    Raises Contradiction if the total is less than its parts.
    """
    total = _first(rows.total, usage) if rows.total else None
    known = ("input_tokens" in quantities) + ("output_tokens" in quantities)
    told = quantities.get("input_tokens", 0) + quantities.get("output_tokens", 0)
    if known == 2 and total == told and not any([side.beside or side.always for side in rows.besides]):  # noqa: C419
        return 0
    sides = [(side, tokens) for side in rows.besides if (tokens := _sum(side.terms, usage))]
    placed = _placed(sides, told, total if known == 2 else None)
    seen = told + sum(tokens for (_, tokens), beside in zip(sides, placed, strict=True) if beside)
    if total is not None and known and total < (seen if known == 2 else told):
        why = f"{'.'.join(rows.total[0])} {total} is not the sum of its parts, {told}"
        less = [_more(rows.rules, unit, usage, total - seen) for unit in ("input_tokens", "output_tokens")]
        raise Contradiction(why, (tuple((path, None) for path in rows.total), *(one for one in less if one)))
    for (side, tokens), beside in zip(sides, placed, strict=True):
        if (beside or side.always) and side.unit in quantities:
            quantities[side.unit] += tokens
            told += tokens if known == 1 and beside else 0
    if known == 1 and total is not None and total > told:  # the other side is the rest of the total
        quantities["output_tokens" if "input_tokens" in quantities else "input_tokens"] = total - told
    return total - seen if total is not None and known == 2 else 0


def _placed(sides: Sequence[tuple[Beside, int]], told: int, total: int | None) -> tuple[bool, ...]:
    """Return for each row whether its tokens are outside the unit, so that the total is right.

    If no combination gives the total, return the `beside` of each row.
    """
    for placed in product(*((side.beside, not side.beside) for side, _ in sides)):
        seen = told + sum(tokens for (_, tokens), beside in zip(sides, placed, strict=True) if beside)
        if total is None or seen == total:
            return placed
    return tuple(side.beside for side, _ in sides)


def _check(check: Check, usage: Mapping[str, Any]) -> None:
    total = _first(check.total, usage)
    if total is None:
        return
    parts = [_first(one, usage) for one in check.parts]
    seen = sum(part for part in parts if part is not None)
    if seen > total or (check.exact and None not in parts and seen != total):
        repairs: list[Edits] = [((_found(check.total, usage), seen),)]
        for one, part in zip(check.parts, parts, strict=True):
            if part is not None and (part or seen < total):
                repairs.append(((_found(one, usage), max(0, part + total - seen)),))
        raise Contradiction(f"{'.'.join(check.total[0])} {total} is not the sum of its parts, {seen}", tuple(repairs))


def _more(rules: Iterable[UsageRule], unit: str, usage: Mapping[str, Any], tokens: int) -> Edits:
    """Return the edits that change a unit by `tokens` wherever it is reported; none if a number would be negative."""
    telling = [one for one in rules if one.unit == unit]
    paths = list(_told_at(telling, unit, usage)) or [one.terms[0][0] for one in telling[:1]]
    numbers = [(_first((path,), usage) or 0) + tokens for path in paths]
    return tuple(zip(paths, numbers, strict=True)) if all(number >= 0 for number in numbers) else ()


def _told_at(rules: Iterable[UsageRule], unit: str, usage: Mapping[str, Any]) -> tuple[Path, ...]:
    """Return the paths that report a unit: for each of its rules, the path of the first number."""
    terms_first = [one.terms[0] for one in rules if one.unit == unit]
    return tuple(dict.fromkeys(_found(one, usage) for one in terms_first if _first(one, usage) is not None))


def _found(paths: Term, usage: Mapping[str, Any]) -> Path:
    """Return the first of `paths` that has a value. At least one must have."""
    return next(path for path in paths if value_at(path, usage) is not None)


def _sum(summed: Iterable[Term], usage: Mapping[str, Any]) -> int:
    return sum([_first(one, usage) or 0 for one in summed])


def _first(paths: Term, usage: Mapping[str, Any]) -> int | None:
    """Return the number at the first of `paths` that has a value; null counts as missing. Raises Contradiction."""
    for path in paths:
        value: Any = usage.get(path[0])
        for key in path[1:]:
            value = value.get(key) if isinstance(value, dict) else None
        if value is None:
            continue
        if type(value) is not int:
            value = _whole(value, path)
        if not 0 <= value <= QUANTITY_MAX:
            raise Contradiction(f"{'.'.join(path)} is not a count: {value!s:.80}", (((path, None),),))
        return value  # type: ignore[no-any-return]  # the type was checked above
    return None


def value_at(path: Path, value: Any) -> Any:
    """Return the value at a path, or None."""
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _whole(value: object, path: Path) -> int:
    """Return 12 for 12.0, because some servers write counts so. Raises Contradiction for all else.

    The contradiction has a repair with the count that was probably meant.
    """
    if isinstance(value, float) and value.is_integer():
        return int(value)
    count = None
    if isinstance(value, float) and 0 < value <= QUANTITY_MAX:
        count = ceil(value)
    elif isinstance(value, str) and _DIGITS.fullmatch(value):
        count = int(value)
    raise Contradiction(f"{'.'.join(path)} is not a count: {value!r:.80}", (((path, count),),))
