"""Sound, pictures, video and long-lived cache writes that usage may count without saying so.

What was asked for, what was sent and what the answer shows are known. Where usage does not divide input or output by
kind, each reading that fits them is possible, and the dearest is charged.
"""

from collections.abc import Iterable, Mapping
from itertools import product

from pertoken.core.facts import RequestFacts
from pertoken.core.rates import NoPrice, Rates
from pertoken.core.units import DIMENSIONS, INPUT_UNITS, MODALITIES, OUTPUT_UNITS
from pertoken.core.usage import QUANTITY_MAX, Contradiction, Quantities, Reading, Used, leaves

WRITTEN, LONG = "cache_write_tokens", "cache_write_1h_tokens"
UNDIVIDED = "usage does not say what of it is sound, pictures or video"
UNTOLD = "usage does not say for how long the cache keeps what was written"


def may_be_undivided(facts: RequestFacts, reading: Reading) -> bool:
    """Tell whether anything but text was asked for, was sent, or is in the answer."""
    return bool(reading.made or facts.has_media or facts.output_modalities)


def undivided(
    used: Used, most: Mapping[str, int], made: frozenset[str], rates: Rates | NoPrice, text: Mapping[str, int]
) -> tuple[Used, ...]:
    """Return what may be meant besides `used`, in which tokens of one kind are counted as any.

    `most` are the most tokens of each kind, `text` the tokens of each side that usage tells to be text.
    """
    if used.parts:
        return ()
    units = untold(used.quantities, most, made)
    if not units:
        return ()
    tier = rates.at(used.quantities.get("input_tokens", 0)) if isinstance(rates, Rates) else None
    # What was sent may be billed as text; what was made has no other price than its own.
    possible = {
        unit: most[unit] for unit in units if "output" in DIMENSIONS[unit] or (tier is not None and tier.price(unit))
    }
    return tuple([used._replace(quantities=one) for one in divided(used.quantities, possible, text)])


def most_of_each(held: Quantities, facts: RequestFacts, made: frozenset[str]) -> dict[str, int]:
    """Return the most tokens of each kind: of input, what was `held` for; of output, any number."""
    sent = {unit: many for unit, many in held.items() if _is_sent(unit) and many}
    kinds = sorted((facts.output_modalities | made) & MODALITIES)
    return sent | {f"output_{kind}_tokens": QUANTITY_MAX for kind in kinds}


def tells_no_hour(reading: Reading) -> bool:
    """Tell whether usage says in any reading that nothing is kept for an hour: what it says of less matters then."""
    if reading.quantities is None:
        return False
    return reading.quantities.get(LONG) == 0 or any(one.quantities.get(LONG) == 0 for one in reading.alternatives)


def kept_longer(readings: tuple[Used, ...], short: int | None) -> tuple[Used, ...]:
    """Return what else may be meant where an hour of cache was asked for: all that was written is kept so long.

    Usage does not say, or it has zeros that do not add up to what was written. `short`: how many tokens it says are
    kept for a short time.
    """
    return tuple(
        [
            one._replace(quantities={**one.quantities, LONG: one.quantities[WRITTEN]}, parts=())
            for one in readings
            if one.quantities.get(WRITTEN) and not one.quantities.get(LONG) and not _is_told(one.quantities, short)
        ]
    )


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


def _is_sent(unit: str) -> bool:
    return "input" in DIMENSIONS[unit] and not DIMENSIONS[unit].isdisjoint(MODALITIES)


def _is_told(quantities: Quantities, short: int | None) -> bool:
    """Tell whether usage says that all that was written is kept for a short time."""
    return LONG in quantities and short == quantities[WRITTEN]
