"""Sound, pictures, video and long-lived cache writes that usage may count without saying so.

What was asked for, what was sent and what the answer shows are known. Where usage does not divide input or output by
kind, each reading that fits them is possible, and the dearest is charged.
"""

from pertoken.core.admission import Bound
from pertoken.core.rates import NoPrice, Rates
from pertoken.core.readings import divided, untold
from pertoken.core.units import DIMENSIONS, MODALITIES
from pertoken.core.usage import QUANTITY_MAX, Quantities, Reading, Used
from pertoken.services.call.relay import dialect
from pertoken.services.call.request import Request
from pertoken.wire import usage_table
from pertoken.wire.content import as_dict, parse

WRITTEN, LONG = "cache_write_tokens", "cache_write_1h_tokens"
UNTOLD = "usage does not say for how long the cache keeps what was written"


def may_be_undivided(request: Request, reading: Reading) -> bool:
    """Tell whether anything but text was asked for, was sent, or is in the answer."""
    return bool(reading.made or request.facts.has_media or request.facts.output_modalities)


def undivided(request: Request, bound: Bound, reading: Reading, used: Used, rates: Rates | NoPrice) -> tuple[Used, ...]:
    """Return what may be meant besides `used`, in which tokens of one kind are counted as any."""
    if used.parts:
        return ()
    most = _most(request, bound, reading)
    units = untold(used.quantities, most, reading.made)
    if not units:
        return ()
    tier = rates.at(used.quantities.get("input_tokens", 0)) if isinstance(rates, Rates) else None
    # What was sent may be billed as text; what was made has no other price than its own.
    possible = {
        unit: most[unit] for unit in units if "output" in DIMENSIONS[unit] or (tier is not None and tier.price(unit))
    }
    text = usage_table.plain(dialect(request), as_dict(parse(reading.raw)))
    return tuple(used._replace(quantities=one) for one in divided(used.quantities, possible, text))


def kept_longer(reading: Reading, readings: tuple[Used, ...]) -> tuple[Used, ...]:
    """Return what else may be meant where an hour of cache was asked for: all that was written is kept so long.

    Usage does not say, or it has zeros that do not add up to what was written.
    """
    return tuple(
        one._replace(quantities={**one.quantities, LONG: one.quantities[WRITTEN]}, parts=())
        for one in readings
        if one.quantities.get(WRITTEN) and not one.quantities.get(LONG) and not _is_told(reading, one.quantities)
    )


def _is_told(reading: Reading, quantities: Quantities) -> bool:
    """Tell whether usage says that all that was written is kept for a short time."""
    if LONG not in quantities:
        return False
    short = usage_table.value_at(("cache_creation", "ephemeral_5m_input_tokens"), parse(reading.raw))
    return bool(short == quantities[WRITTEN])


def _most(request: Request, bound: Bound, reading: Reading) -> dict[str, int]:
    """Return the most tokens of each kind: of input, what was held for; of output, any number."""
    sent = {unit: many for unit, many in bound.quantities.items() if _is_sent(unit) and many}
    kinds = sorted((request.facts.output_modalities | reading.made) & MODALITIES)
    return sent | {f"output_{kind}_tokens": QUANTITY_MAX for kind in kinds}


def _is_sent(unit: str) -> bool:
    return "input" in DIMENSIONS[unit] and not DIMENSIONS[unit].isdisjoint(MODALITIES)
