"""The possible readings of quantities whose parts exceed their totals. Each keeps something that the provider said.

Such a usage cannot be true as it stands. Each reading here could be: it adds up. Which of them is the dearest is for
the prices to say (`core.settlement`), and that one is charged: never less than the truth, whatever is wrong.
"""

from collections.abc import Iterator
from itertools import combinations

from pertoken.core.units import INSIDE
from pertoken.core.usage import QUANTITY_MAX, Contradiction, Quantities, leaves

STEPS_MAX = 500

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
        if _adds_up(kept, unit):  # the total is right, and what is left may overlap: cached audio may be dear
            yield kept, sure | {unit}
    yield {**one, unit: one[unit] + inside}, sure | {unit}


def _adds_up(quantities: Quantities, unit: str) -> bool:
    """Tell whether a unit and the parts of it add up, whatever the rest does."""
    try:
        leaves({name: quantities[name] for name in (unit, *INSIDE[unit]) if name in quantities})
    except Contradiction:
        return False
    return True


def _selections(parts: list[str]) -> Iterator[tuple[str, ...]]:
    sizes = range(1, len(parts) + 1) if len(parts) <= PARTS_MAX else (1, len(parts))
    for size in sizes:
        yield from combinations(parts, size)
