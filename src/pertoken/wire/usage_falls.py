"""Streams that report usage more than once. Usage may grow or stay; a later, smaller figure is not believed.

If a unit or the stated cost is less than in an earlier event, the earlier usage, the later usage and the most of each
unit are all possible readings. The dearest of them is charged. A standard tier does not replace one with its own price.
"""

from collections.abc import Sequence

from pertoken.core.conditions import STANDARD_TIERS
from pertoken.core.readings import consistent
from pertoken.core.usage import Completeness, Contradiction, Quantities, Reading, Used, leaves
from pertoken.wire import usage_reading

ALTERNATIVES_MAX = 16  # of one stream; the reading with the most of each unit is always kept

_DISCOUNTED = "cache_read_"  # fewer tokens of these units mean a higher cost


def follow(before: Reading, now: Reading) -> Reading:
    """Return the reading of a stream that reported `before` and then `now`."""
    tier = kept_tier(before.service_tier, now.service_tier)
    if tier != now.service_tier:
        now = now._replace(service_tier=tier)
    if before.doubtful_cost is not None and before.doubtful_cost > (now.doubtful_cost or 0):
        now = now._replace(doubtful_cost=before.doubtful_cost, contradiction=now.contradiction or before.contradiction)
    if before.reported_fee is not None and now.reported_cost is None:
        now = now._replace(reported_fee=max(before.reported_fee, now.reported_fee or before.reported_fee))
    if before.quantities is None and before.reported_cost is None:
        return now
    if before.quantities == now.quantities and before.reported_cost == now.reported_cost and not before.alternatives:
        return now
    fallen = _fallen(before, now)
    if not fallen:
        return now
    why = f"usage fell: {', '.join(fallen)}"
    return _both(before, now, f"{now.contradiction}; {why}" if now.contradiction else why)


def kept_tier(before: str | None, now: str | None) -> str | None:
    """Return the tier of a stream. A standard or missing tier does not replace an earlier one with its own price."""
    is_standard = now is None or now.lower() in STANDARD_TIERS
    return before if is_standard and before is not None else now


def _fallen(before: Reading, now: Reading) -> list[str]:
    said = [] if before.quantities is None else [before.quantities, *(one.quantities for one in before.alternatives)]
    units = dict.fromkeys(unit for one in said for unit in _less(one, now.quantities or {}))
    names = [f"the {unit.removesuffix('_tokens').replace('_', ' ')}" for unit in units]
    cost = before.reported_cost
    if cost is not None and (now.reported_cost is None or now.reported_cost < cost):
        names.append("the stated cost")
    return names


def _less(before: Quantities, now: Quantities) -> list[str]:
    """Return the units that fell. Each unit is compared without the parts that `before` reports.

    If cached tokens grow while input stays the same, the input at the full price has fallen.
    """
    try:
        old, new = leaves(before), leaves({unit: now[unit] for unit in before if unit in now})
    except Contradiction:
        return [unit for unit, quantity in before.items() if now.get(unit, 0) < quantity]
    return [unit for unit, quantity in old.items() if new.get(unit, 0) < quantity]


def _both(before: Reading, now: Reading, why: str) -> Reading:
    if before.quantities is None and now.quantities is None:
        return now._replace(reported_cost=before.reported_cost)
    said = [one for one in (before, now) if one.quantities is not None]
    every = [used for one in said for used in (Used(one.quantities or {}), *one.alternatives)]
    most = [now._replace(quantities=one, parts=(), alternatives=()) for one in _most(every)]
    both = usage_reading.torn(why, [before, *most, now])
    is_final = Completeness.FINAL in (both.completeness, now.completeness)
    completeness = Completeness.FINAL if is_final else both.completeness
    if now.quantities is None:
        completeness = before.completeness
    return both._replace(
        completeness=completeness,
        model=now.model or before.model,
        raw=now.raw or before.raw,
        alternatives=both.alternatives[:ALTERNATIVES_MAX],
    )


def _most(every: Sequence[Used]) -> list[dict[str, int]]:
    """Return readings with the most of each unit, but the fewest tokens read from a cache."""
    most: dict[str, int] = {}
    for quantities, *_ in every:
        for unit, quantity in quantities.items():
            choose = min if unit.startswith(_DISCOUNTED) else max
            most[unit] = choose(most.get(unit, quantity), quantity)
    return consistent(most)[:ALTERNATIVES_MAX]
