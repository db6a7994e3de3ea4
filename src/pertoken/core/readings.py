"""The possible readings of quantities whose parts exceed their totals. Each keeps something that the provider said.

Such a usage cannot be true as it stands. Each reading here could be: it adds up. Which of them is the dearest is for
the prices to say (`core.settlement`), and that one is charged: never less than the truth, whatever is wrong.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import combinations, product

from pertoken.core.units import INPUT_UNITS, INSIDE, OUTPUT_UNITS
from pertoken.core.usage import QUANTITY_MAX, Contradiction, Quantities, leaves

STEPS_MAX = 500
UNDIVIDED = "usage does not say what of it is sound, pictures or video"

PARTS_MAX = 4  # of which every selection is tried; of more, each one and all of them

State = tuple[dict[str, int], frozenset[str]]


def consistent(quantities: Quantities, fixed: frozenset[str] = frozenset()) -> list[dict[str, int]]:
    """Return all readings of `quantities` that add up, the likely dearest first; totals in `fixed` stay as they are.

    Where parts are more than their total, they may stand beside it, or the total is all of them and some of them are
    not what they are said to be. Where the total is sure, some part is less than was said, or is no such part.
    """
    waiting: list[State] = [(dict(quantities), fixed)]
    found: list[dict[str, int]] = []
    for _ in range(STEPS_MAX):
        if not waiting:
            break
        one, sure = waiting.pop()
        try:
            leaves(one)
        except Contradiction as contradiction:
            waiting += _mended(one, sure, contradiction.unit or "", contradiction.excess)
            continue
        if one not in found and all(quantity <= QUANTITY_MAX for quantity in one.values()):
            found.append(one)
    return sorted(found, key=_weight, reverse=True)


def untold(quantities: Quantities, units: Iterable[str], made: frozenset[str]) -> list[str]:
    """Return those of `units` that usage does not tell; it tells no zero of what the answer shows, which was `made`."""
    shown = {f"output_{kind}_tokens" for kind in made}
    return [unit for unit in units if not quantities.get(unit) and (unit not in quantities or unit in shown)]


def divided(quantities: Quantities, most: Mapping[str, int], text: Mapping[str, int]) -> list[dict[str, int]]:
    """Return the readings in which tokens of a side that usage does not divide are sound, pictures or video.

    They are all those of the side that lie in no part, and are not told to be `text`; of each unit at most so many.
    """
    try:
        free = leaves(quantities)
    except Contradiction:
        return []
    sides: list[list[dict[str, int]]] = []
    for side, units in (("input_tokens", INPUT_UNITS), ("output_tokens", OUTPUT_UNITS)):
        room = free.get(side, 0) - text.get(side, 0)
        kinds = [unit for unit in most if unit in units] if room > 0 else []
        sides.append([{}, *({unit: min(room, most[unit])} for unit in kinds)])
    ways = [{**one, **other} for one, other in product(*sides)]
    return [{**quantities, **way} for way in ways if way and all(way.values())]


def _weight(quantities: Quantities) -> tuple[int, int]:
    """Return how dear a reading is likely to be: more tokens, and fewer of them cached."""
    tokens = quantities.get("input_tokens", 0) + quantities.get("output_tokens", 0)
    return tokens, -quantities.get("cache_read_tokens", 0)


def _mended(one: dict[str, int], sure: frozenset[str], unit: str, excess: int) -> Iterator[State]:
    parts = [inner for inner in INSIDE[unit] if one.get(inner)]
    if unit in sure:
        for part in parts:
            yield {name: quantity for name, quantity in one.items() if name != part}, sure
            if one[part] > excess:
                yield {**one, part: one[part] - excess}, sure | {part}
        return
    inside = one[unit] + excess  # all that the parts make
    for dropped in _selections(parts):
        kept = {name: quantity for name, quantity in one.items() if name not in dropped}
        yield {**kept, unit: max(one[unit], inside)}, sure | {unit}
    yield {**one, unit: one[unit] + inside}, sure | {unit}


def _selections(parts: list[str]) -> Iterator[tuple[str, ...]]:
    sizes = range(1, len(parts) + 1) if len(parts) <= PARTS_MAX else (1, len(parts))
    for size in sizes:
        yield from combinations(parts, size)
