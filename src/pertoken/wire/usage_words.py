"""Usage told in another API's words than its own: found once, here, for every format.

Many servers speak one API and tell usage as another does. Where an object does not tell both sides of a call in the
words of its own table, the table that understands the most of it is asked.
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

# In this order where two understand an object equally well.
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
    """Return the table that understands `usage` better than its own, and the object in that table's spelling."""
    found = _other(rows, tuple([key for key, value in usage.items() if value is not None]))
    if found is None:
        return None
    table, is_camel = found
    own = _names(rows)
    return table, camel({key: value for key, value in usage.items() if key not in own}) if is_camel else dict(usage)


def details(rows: UsageTable, usage: Mapping[str, Any]) -> dict[str, int]:
    """Return the parts that `usage`, which tells both sides in its own words, tells in words that its table lacks.

    Tokens read from a cache are left at the full price then: these words may count them beside the input.
    """
    found = _details(rows, tuple(usage))
    if found is None:
        return {}
    table, names = found
    told = usage_table.count(table, {name: usage[name] for name in names})
    return {unit: many for unit, many in told.items() if _is_of_a_side(unit) and not unit.startswith("cache_read_")}


def joined(rows: UsageTable, own: Mapping[str, int], found: Mapping[str, int]) -> dict[str, int]:
    """Return `own` with each side that it does not tell, or tells as nothing, as the other words have `found` it."""
    result = dict(own)
    for side in SIDES:
        if found.get(side) and not own.get(side):
            kind = side.partition("_")[0]
            result |= {unit: quantity for unit, quantity in found.items() if kind in DIMENSIONS[unit]}
    if rows.rest == "input_tokens" and result.get("input_tokens"):
        result.setdefault("output_tokens", 0)  # vectors are no tokens
    return {**{unit: quantity for unit, quantity in found.items() if not _is_of_a_side(unit)}, **result}


def by_total(rows: UsageTable, usage: Mapping[str, Any], quantities: dict[str, int]) -> dict[str, int]:
    """Return the quantities of an object that may tell nothing but its total: of embeddings, that is all input.

    Raises Contradiction where it may be all output, or all input.
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

    Where a key is there in both spellings, the one in camelCase counts.
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
    """Return the table that understands the most of these keys, and whether that takes camelCase."""
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
    """Return the table that understands the most keys that the own table does not, and these; None: no key is such."""
    new = frozenset(keys) - _names(rows)
    best: tuple[UsageTable, tuple[str, ...]] | None = None
    for table in TABLES if new else ():
        known = (new & _names(table)) - _names_of_sides(table) - _heads([table.total])
        if len(known) > (0 if best is None else len(best[1])):
            best = table, tuple(sorted(known))
    return best


@lru_cache(maxsize=64)
def _names(rows: UsageTable) -> frozenset[str]:
    """Return the names of all fields of an object that a table reads."""
    terms: list[Term] = [rows.total, *(term for one in rows.rules for term in one.terms)]
    terms += [term for one in rows.checks for term in (one.total, *one.parts)]
    return _heads(terms) | {one.entries for one in rows.listed}


@lru_cache(maxsize=64)
def _names_of_sides(rows: UsageTable) -> frozenset[str]:
    """Return the names of the fields that tell all input or all output."""
    return _heads(one.terms[0] for one in rows.rules if one.unit in SIDES)


def _heads(terms: Iterable[Term]) -> frozenset[str]:
    return frozenset(path[0] for term in terms for path in term)
