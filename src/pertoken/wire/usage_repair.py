"""Repairs usage objects that contradict themselves: finds every reading that agrees with a part of the object.

If a number contradicts the others, a repair replaces it by the number that the others imply, or leaves it out. If the
provider's own total leaves one repair, that one is used. If only a part without its own price is too large, nothing is
in doubt. In all other cases every repair is a possible reading, and the dearest of them is charged.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from pertoken.core.readings import consistent
from pertoken.core.usage import Contradiction, Edits, leaves
from pertoken.wire.usage_table import UsageTable

STEPS_MAX = 200
READINGS_MAX = 64
_SIDES = frozenset({"input_tokens", "output_tokens"})

CountUsage = Callable[[UsageTable, dict[str, Any]], dict[str, int]]


class Repaired(NamedTuple):
    """One consistent reading, and the repaired usage object that gives it."""

    quantities: dict[str, int]
    usage: dict[str, Any]


class Mended(NamedTuple):
    """All readings, the probably dearest first. `decided`: the total or the lack of a price left nothing to guess."""

    found: tuple[Repaired, ...]
    decided: bool


def mend(rows: UsageTable, usage: dict[str, Any], count: CountUsage) -> Mended:
    """Return the readings of a usage object that contradicts itself; no readings if nothing in it can be used."""
    waiting, seen = [usage], [usage]
    found: list[Repaired] = []
    decided = True
    for _ in range(STEPS_MAX):
        if not waiting or len(found) >= READINGS_MAX:
            break
        one = waiting.pop()
        try:
            quantities = count(rows, one)
        except Contradiction as contradiction:
            decided = decided and contradiction.decided
            edited = [_edited(one, edits) for edits in contradiction.repairs]
            fresh = [other for other in edited if other not in seen]
            seen += fresh
            waiting += fresh
            continue
        readings, sure = _fitted(rows, one, quantities)
        decided = decided and sure
        found += [Repaired(reading, one) for reading in readings if reading]
    distinct = {tuple(sorted(one.quantities.items())): one for one in found}
    return Mended(tuple(sorted(distinct.values(), key=_weight, reverse=True)[:READINGS_MAX]), decided)


def _weight(one: Repaired) -> tuple[int, int, int]:
    known = sum(side in one.quantities for side in _SIDES)
    tokens = sum(one.quantities.get(side, 0) for side in _SIDES)
    return known, tokens, -one.quantities.get("cache_read_tokens", 0)


def _fitted(
    rows: UsageTable, usage: Mapping[str, Any], quantities: dict[str, int]
) -> tuple[list[dict[str, int]], bool]:
    """Return the readings of quantities whose parts may exceed their totals, and whether there is no doubt."""
    totals = [usage.get(path[0]) for path in rows.total]
    confirmed = quantities.keys() >= _SIDES and any(total is not None for total in totals)
    reasoned = _without_price(rows, quantities, confirmed=confirmed)
    if reasoned is not None:
        return reasoned, True
    readings = consistent(quantities, _SIDES if confirmed else frozenset())
    return readings, readings == [quantities]


def _without_price(rows: UsageTable, quantities: dict[str, int], *, confirmed: bool) -> list[dict[str, int]] | None:
    """Return the readings if only the reasoning exceeds the output, or None if that is not the fault.

    Reasoning usually costs what output costs. So there are two readings: one without reasoning, and one with as much
    reasoning as fits into the output, in case it has its own price. If providers may count reasoning outside the output
    and no total confirms the numbers, the only reading adds the reasoning to the output.
    """
    reasoning = quantities.get("reasoning_tokens")
    if reasoning is None or "output_tokens" not in quantities or _exceeded(quantities) != "output_tokens":
        return None
    without = {unit: quantity for unit, quantity in quantities.items() if unit != "reasoning_tokens"}
    if _exceeded(without) is not None:
        return None
    if not confirmed and any(side.unit == "output_tokens" for side in rows.besides):
        return [{**quantities, "output_tokens": quantities["output_tokens"] + reasoning}]
    room = leaves(without).get("output_tokens", 0)
    return [without, {**quantities, "reasoning_tokens": room}]


def _exceeded(quantities: Mapping[str, int]) -> str | None:
    """Return the unit that its parts exceed, or None if all parts fit."""
    try:
        leaves(quantities)
    except Contradiction as contradiction:
        return contradiction.unit
    return None


def _edited(usage: dict[str, Any], edits: Edits) -> dict[str, Any]:
    """Return a copy of a usage object with the edits applied. None in an edit sets the value to null."""
    edited: dict[str, Any] = dict(usage)
    for path, value in edits:
        inner: Any = edited
        key: Any
        for key in path[:-1]:
            held = inner[key] if isinstance(inner, list) else inner.get(key)
            inner[key] = list(held) if isinstance(held, list) else dict(held) if isinstance(held, dict) else {}
            inner = inner[key]
        inner[path[-1]] = value
    return edited
