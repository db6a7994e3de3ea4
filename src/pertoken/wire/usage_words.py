"""Usage objects with another API's field names, for every format.

Many servers implement one API and report usage with the field names of another. If a usage object lacks input or output
in the names of its own table, it is read with the table that knows most of its fields.
"""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from pertoken.core.units import DIMENSIONS
from pertoken.core.usage import Contradiction
from pertoken.wire import usage_rules, usage_table
from pertoken.wire.usage_table import Term, UsageTable

SIDES = ("input_tokens", "output_tokens")
ONLY_TOTAL = "usage gives only a total"

# If two tables know equally many fields of an object, the first one is used.
TABLES: tuple[UsageTable, ...] = (
    usage_rules.OPENAI_CHAT,
    usage_rules.OPENAI_RESPONSES,
    usage_rules.ANTHROPIC_MESSAGES,
    usage_rules.OPENAI_REALTIME,
    usage_rules.GEMINI_GENERATE,
    usage_rules.BEDROCK_CONVERSE,
    usage_rules.OLLAMA_CHAT,
    usage_rules.AI_SDK,
)

_SNAKE = re.compile(r"_([a-z0-9])")


def other(rows: UsageTable, usage: Mapping[str, Any]) -> tuple[UsageTable, dict[str, Any]] | None:
    """Return the table that knows most fields of `usage`, and the object in that table's spelling; None for none."""
    found = _other(rows, tuple([key for key, value in usage.items() if value is not None]))
    if found is None:
        return None
    table, is_camel = found
    own = _names(rows)
    return table, camel({key: value for key, value in usage.items() if key not in own}) if is_camel else dict(usage)


def details(rows: UsageTable, usage: Mapping[str, Any]) -> dict[str, int]:
    """Return the parts that `usage` reports in fields that its own table does not know.

    Both totals come from the object's own table. Tokens read from a cache are left out, and so charged at the full
    price, because the other field may count them outside the input.
    """
    found = _details(rows, tuple(usage))
    if found is None:
        return {}
    table, names = found
    told = usage_table.count(table, {name: usage[name] for name in names})
    return {unit: many for unit, many in told.items() if _is_of_a_side(unit) and not unit.startswith("cache_read_")}


def joined(rows: UsageTable, own: Mapping[str, int], found: Mapping[str, int]) -> dict[str, int]:
    """Return `own`. A side that is missing or zero there is taken from `found`, the result of the other table."""
    result = dict(own)
    for side in SIDES:
        if found.get(side) and not own.get(side):
            kind = side.partition("_")[0]
            result |= {unit: quantity for unit, quantity in found.items() if kind in DIMENSIONS[unit]}
    if rows.rest == "input_tokens" and result.get("input_tokens"):
        result.setdefault("output_tokens", 0)  # vectors are not tokens
    return {**{unit: quantity for unit, quantity in found.items() if not _is_of_a_side(unit)}, **result}


def by_total(rows: UsageTable, usage: Mapping[str, Any], quantities: dict[str, int]) -> dict[str, int]:
    """Return the quantities of an object that may report only its total. For embeddings, the total is input.

    Raises Contradiction for any other API: the total may be all input or all output.
    """
    if not rows.total or any(side in quantities for side in SIDES):
        return quantities
    total = usage_table.number(rows.total, usage)
    if not total:
        return quantities
    if rows.rest == "input_tokens":
        return {**quantities, "input_tokens": total, "output_tokens": 0}
    places = {side: next(one.terms[0][0] for one in rows.rules if one.unit == side) for side in SIDES}
    ways = [tuple((place, total if side == kind else 0) for side, place in places.items()) for kind in SIDES]
    raise Contradiction(f"{ONLY_TOTAL}, {'.'.join(rows.total[0])} {total}", tuple(ways))


def camel(value: Any) -> Any:
    """Return a value with the keys of all its objects in camelCase, as protobuf services write them.

    If an object has a key in both spellings, the value of the one in camelCase is kept.
    """
    if isinstance(value, dict):
        spelled = {_camel(key): camel(inner) for key, inner in value.items() if _camel(key) != key}
        return spelled | {key: camel(inner) for key, inner in value.items() if _camel(key) == key}
    return [camel(inner) for inner in value] if isinstance(value, list) else value


def _camel(key: str) -> str:
    return _SNAKE.sub(lambda found: found[1].upper(), key)


def _is_of_a_side(unit: str) -> bool:
    return not DIMENSIONS[unit].isdisjoint(("input", "output"))


@lru_cache(maxsize=1024)
def _other(rows: UsageTable, keys: tuple[str, ...]) -> tuple[UsageTable, bool] | None:
    """Return the table that knows most of these keys, and whether it needs them in camelCase; None for no table."""
    own = _names(rows)
    as_told, in_camel = frozenset(keys), frozenset(_camel(key) for key in keys if key not in own)
    best: tuple[int, UsageTable, bool] | None = None
    for names, is_camel in ((as_told, False), (in_camel, True)):
        for table in TABLES:
            sides = names & _names_of_sides(table)
            known = len(names & _names(table))
            if (sides if is_camel else sides - own) and (best is None or known > best[0]):
                best = known, table, is_camel
    return None if best is None else best[1:]


@lru_cache(maxsize=1024)
def _details(rows: UsageTable, keys: tuple[str, ...]) -> tuple[UsageTable, tuple[str, ...]] | None:
    """Return the table that knows most of the keys that `rows` does not know, and those keys; None for no table."""
    new = frozenset(keys) - _names(rows)
    best: tuple[UsageTable, tuple[str, ...]] | None = None
    for table in TABLES if new else ():
        known = (new & _names(table)) - _names_of_sides(table) - _heads([table.total])
        if len(known) > (0 if best is None else len(best[1])):
            best = table, tuple(sorted(known))
    return best


@lru_cache(maxsize=64)
def _names(rows: UsageTable) -> frozenset[str]:
    """Return the names of all top-level fields that a table reads."""
    terms: list[Term] = [rows.total, *(term for one in rows.rules for term in one.terms)]
    terms += [term for one in rows.checks for term in (one.total, *one.parts)]
    return _heads(terms) | {one.entries for one in rows.listed}


@lru_cache(maxsize=64)
def _names_of_sides(rows: UsageTable) -> frozenset[str]:
    """Return the names of the fields that report all input or all output."""
    return _heads(one.terms[0] for one in rows.rules if one.unit in SIDES)


def _heads(terms: Iterable[Term]) -> frozenset[str]:
    return frozenset(path[0] for term in terms for path in term)
