"""Decides what one answer costs: the dearest reading of what is known about it, and how certain that is.

Guesses are marked on the event: usage that pertoken counted is `estimated`, and usage that contradicts itself is
`contradictory`.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from pertoken.core.charging import Charge, Served, find_rates
from pertoken.core.conditions import Conditions, Context, context
from pertoken.core.estimates import readings_of
from pertoken.core.events import EventStatus, Lines
from pertoken.core.facts import RequestFacts
from pertoken.core.price_book import PriceBook
from pertoken.core.provisional import HeldFor, charge_surely
from pertoken.core.rating import REQUESTS
from pertoken.core.untold import UNDIVIDED, UNTOLD, kept_longer, may_be_undivided, most_of_each, undivided
from pertoken.core.usage import Completeness, Quantities, Reading, Used

NO_USAGE = "the answer carried no usage"


class KnownUse:
    """What is known of what one answer used.

    The values here are classes with fields of their own, and not tuples: each call makes one, and compiled that costs
    least.
    """

    __slots__ = ("estimated", "facts", "failure", "reading", "short", "text")

    def __init__(
        self,
        facts: RequestFacts,
        reading: Reading,
        estimated: tuple[Used, ...] | None = None,
        *,
        failure: str | None = None,
        text: Mapping[str, int] = {},
        short: int | None = None,
    ) -> None:
        self.facts: Final[RequestFacts] = facts  # what was asked for
        self.reading: Final[Reading] = reading  # what its provider said
        self.estimated: Final[tuple[Used, ...] | None] = estimated  # what is taken where the provider said too little
        self.failure: Final[str | None] = failure  # why the answer broke off
        self.text: Final[Mapping[str, int]] = text  # how many tokens of each side usage tells to be text
        self.short: Final[int | None] = short  # how many tokens usage tells to be kept in a cache for a short time


class DearestMeant:
    """The dearest of what may be meant."""

    __slots__ = ("charge", "differ", "model_served", "used")

    def __init__(self, charge: Charge, used: Used, model_served: str | None, differ: str | None = None) -> None:
        self.charge: Final[Charge] = charge
        self.used: Final[Used] = used
        self.model_served: Final[str | None] = model_served
        # Where the answer names several models, which do not cost the same: what it names.
        self.differ: Final[str | None] = differ


class Settlement:
    """What one answer costs, and how far that is known."""

    __slots__ = ("charge", "completeness", "model_served", "quantities", "reason", "status", "used")

    def __init__(
        self,
        chosen: DearestMeant,
        quantities: Quantities,
        status: EventStatus,
        completeness: Completeness,
        reason: str | None,
    ) -> None:
        self.charge: Final[Charge] = chosen.charge
        self.used: Final[Used] = chosen.used  # as it is charged
        self.model_served: Final[str | None] = chosen.model_served
        self.quantities: Final[Quantities] = quantities  # of the event: what was used, with the requests charged
        self.status: Final[EventStatus] = status
        self.completeness: Final[Completeness] = completeness
        self.reason: Final[str | None] = reason  # why it is not known better


def settlement(book: PriceBook, served: Served, known: KnownUse, cover: HeldFor) -> Settlement:
    """Return what an answer costs: the dearest that may be meant, how far it can be trusted, and why not further."""
    facts, reading = known.facts, known.reading
    readings, completeness, reason = _meant(known)
    longer = kept_longer(readings, known.short) if facts.long_cache else ()
    chosen = charge_dearest(book, served, (*readings, *longer), cover)
    if any(chosen.used is one for one in longer):
        completeness, reason = Completeness.ESTIMATED, reason or UNTOLD
    if may_be_undivided(facts, reading):
        dearer = _divided(book, served, known, chosen, cover)
        if dearer.charge.cost_picos > chosen.charge.cost_picos:
            chosen = DearestMeant(dearer.charge, dearer.used, dearer.model_served, chosen.differ)
            completeness = Completeness.ESTIMATED
            reason = reason or UNDIVIDED
    if chosen.differ is not None:
        reason = f"{chosen.differ}; {reason}" if reason else chosen.differ
    charged = chosen.charge
    why = (charged.reason if charged.status is not EventStatus.PRICED else None) or reason
    return Settlement(
        chosen,
        _with_requests(chosen.used.quantities, charged.book_lines or charged.lines),
        _status(reading, chosen, is_stated_charged=book.charges_as_stated(served.provider)),
        completeness,
        why or charged.reason,
    )


def _meant(known: KnownUse) -> tuple[tuple[Used, ...], Completeness, str | None]:
    """Return all that may be meant, how far it can be trusted, and why not further."""
    reading = known.reading
    reason, completeness, readings = reading.contradiction or reading.note, reading.completeness, known.estimated
    if readings is None:
        readings = readings_of(reading)
    else:
        completeness = Completeness.ESTIMATED
        reason = reason or (NO_USAGE if known.failure is None else known.failure)
    assert readings
    if completeness is not Completeness.FINAL:
        readings = tuple([one._replace(parts=()) for one in readings])
    return readings, completeness, reason


def _divided(book: PriceBook, served: Served, known: KnownUse, chosen: DearestMeant, cover: HeldFor) -> DearestMeant:
    """Return the dearest of `chosen` and what else it may mean, where it does not divide its tokens by kind."""
    as_chosen = served._replace(model_served=chosen.model_served, named=())
    made = known.reading.made
    most = most_of_each(cover.quantities, known.facts, made)
    other = undivided(chosen.used, most, made, find_rates(book, as_chosen)[0], known.text)
    return charge_dearest(book, as_chosen, (chosen.used, *other), cover) if other else chosen


def charge_dearest(book: PriceBook, served: Served, readings: Sequence[Used], cover: HeldFor | None) -> DearestMeant:
    """Return the dearest of several readings of one use, by any of the models named, all of which may be meant.

    Raises usage.Contradiction.
    """
    if len(readings) == 1 and not served.named:  # nearly always
        return DearestMeant(charge_surely(book, served, readings[0], cover), readings[0], served.model_served)
    found = [
        DearestMeant(charge_surely(book, served._replace(model_served=name), one, cover), one, name)
        for name in served.named or (served.model_served,)
        for one in readings
    ]
    costs = [one.charge.cost_picos for one in found]
    dearest = found[costs.index(max(costs))]
    of_names = {one.charge.cost_picos for one in found if one.used is dearest.used}
    differ = f"the answer names {' and '.join(served.named)}" if len(of_names) > 1 else None
    return DearestMeant(dearest.charge, dearest.used, dearest.model_served, differ)


def context_served(facts: RequestFacts, reading: Reading) -> Context:
    """Return the context as served; what the answer does not say is as it was asked for."""
    return context(
        reading.service_tier or facts.service_tier,
        speed=reading.speed or facts.speed,
        region=reading.region or facts.region,
        attributes=_attributes(facts, reading),
    )


def _attributes(facts: RequestFacts, reading: Reading) -> Conditions:
    """Return what a price may depend on besides: as the answer tells it, else as it was asked for."""
    if not reading.attributes:
        return facts.attributes
    return tuple(sorted({**dict(facts.attributes), **dict(reading.attributes)}.items()))


def _status(reading: Reading, chosen: DearestMeant, *, is_stated_charged: bool) -> EventStatus:
    """Return whether the event has a cost: one that is a guess at contradictory numbers is marked as that."""
    charged = chosen.charge
    is_doubted = reading.doubtful_cost is not None and is_stated_charged
    is_guess = reading.contradiction is not None and reading.quantities is not None and not charged.is_stated
    return (
        EventStatus.CONTRADICTORY
        if (is_guess or is_doubted or chosen.differ is not None) and charged.status is EventStatus.PRICED
        else charged.status
    )


def _with_requests(quantities: Quantities, lines: Lines) -> Quantities:
    """Return what was used, with the requests that are charged: a call is one, whatever its usage says."""
    requests = sum(quantity for unit, quantity, *_ in lines if unit == REQUESTS)
    return {**quantities, REQUESTS: requests} if requests and REQUESTS not in quantities else quantities
