"""What an answer is taken to have used where its provider said too little: never nothing, never more than it could."""

from collections.abc import Mapping

from pertoken.core import bounds
from pertoken.core.bounds import Counts, Family
from pertoken.core.facts import RequestFacts
from pertoken.core.rates import Rates
from pertoken.core.trust import Trust
from pertoken.core.units import INPUT_UNITS, INSIDE, OUTPUT_UNITS
from pertoken.core.usage import Completeness, Quantities, Reading, Used, leaves


def is_enough(reading: Reading) -> bool:
    """Tell whether an answer says all that was used."""
    return reading.completeness is Completeness.FINAL and reading.quantities is not None


def readings_of(reading: Reading) -> tuple[Used, ...]:
    """Return all that may be meant by what the provider said; nothing where it said nothing that can be used."""
    if reading.quantities is None:
        return ()
    return _with_costs((Used(reading.quantities, reading.parts), *reading.alternatives), reading)


def needs_input(reading: Reading) -> bool:
    """Tell whether the input must be counted: a reported input side is kept."""
    return any("input_tokens" not in one.quantities for one in readings_of(reading) or (Used({}),))


def with_counted(reading: Reading, counted: Mapping[str, int]) -> tuple[Used, ...]:
    """Return all that may be meant by what the provider said, with what was `counted` where it said too little."""
    readings = readings_of(reading) or _with_costs((Used({}),), reading)
    return tuple([one._replace(quantities=_at_least(one.quantities, counted), parts=()) for one in readings])


def output_used(counted: int, most: int, *, has_made: bool, has_outrun: bool) -> int:
    """Return the output of an answer that was `counted`: never free, and never more than it was allowed to make.

    A tokenizer that is not the provider's can count more than the cap, though the provider kept to it. What it counts
    above the bound is its error, and no budget may pay for that. A stream that was cut because it made too much did
    make it. Nobody can count a picture or a sound, which was made, by its bytes.
    """
    if has_made:
        return max(counted, most)
    return counted if has_outrun else min(counted, most)


def input_used(counts: Counts, family: Family, trust: Trust, most: int) -> int:
    """Return the counted input of a request, as far as that count is trusted, and at most what was held for it.

    Media and files may be all that was held for.
    """
    if counts.has_media:
        return most
    exact = family._replace(frame_tokens=3, message_tokens=3) if family.exact else family
    text = bounds.counted_bound(counts.tokens, exact, messages=counts.messages, names=counts.names, tools=False)
    return min(trust.estimate(text), most)


def input_unread(body_bytes: int, family: Family, most: int, *, tools: bool) -> int:
    """Return the input of a request that nobody can count now: as many tokens as its bytes can be."""
    return min(bounds.byte_bound(body_bytes, family, tools=tools), most)


def most_used(facts: RequestFacts, rates: tuple[Rates, ...], most: Quantities, why: str) -> Reading:
    """Return what an answer that could not be read is taken to say: all that is held for was used, in the dearest way.

    A hold counts each kind of input apart; in usage, input is the sum of all kinds.
    """
    times = facts.repeats
    used = {unit: many * times for unit, many in most.items() if many and unit not in OUTPUT_UNITS}
    used["input_tokens"] = sum(many for unit, many in used.items() if unit in INPUT_UNITS)
    used["output_tokens"] = most["output_tokens"] * times
    written: list[Quantities] = [{}]
    if _is_priced(rates, "cache_write_tokens"):
        written.append({"cache_write_tokens": most["input_tokens"] * times})
    if facts.long_cache and _is_priced(rates, "cache_write_1h_tokens"):
        written.append(dict.fromkeys(("cache_write_tokens", "cache_write_1h_tokens"), most["input_tokens"] * times))
    made: list[Quantities] = [{unit: many * times} for unit, many in most.items() if many and _is_made(unit)]
    if _is_priced(rates, "reasoning_tokens"):
        made.append({"reasoning_tokens": used["output_tokens"]})
    others = tuple(Used({**used, **kept, **kind}) for kept in written for kind in ({}, *made))[1:]
    return Reading(used, Completeness.ESTIMATED, note=why, alternatives=others)


def _with_costs(said: tuple[Used, ...], reading: Reading) -> tuple[Used, ...]:
    """Return what was used with the cost that was stated; where that is in doubt, with each that may be meant."""
    cost, doubtful = reading.reported_cost, reading.doubtful_cost
    if reading.reported_fee is not None:
        said = tuple(one._replace(fee=reading.reported_fee) for one in said)
    stated = said if cost is None else tuple(one._replace(stated=cost) for one in said)
    return stated if doubtful is None else (*stated, *(one._replace(stated=doubtful) for one in said))


def _at_least(reported: Quantities, counted: Mapping[str, int]) -> dict[str, int]:
    """Return what was reported, with what was counted where that is missing, or where it is more output than that."""
    quantities = dict(reported)
    for unit, tokens in counted.items():
        parts = sum(leaves({part: reported[part] for part in INSIDE[unit] if part in reported}).values())
        if unit not in reported:
            quantities[unit] = max(tokens, parts)
        elif unit == "output_tokens":
            quantities[unit] = max(tokens, reported[unit])
    return quantities


def _is_priced(rates: tuple[Rates, ...], unit: str) -> bool:
    return all(any(unit in tier.rows for tier in each.tiers) for each in rates)


def _is_made(unit: str) -> bool:
    return unit in OUTPUT_UNITS and unit != "output_tokens"
