"""Usage of one attempt: inclusive quantities by unit, and the disjoint leaves that are priced."""

from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache
from itertools import combinations
from typing import NamedTuple

from pertoken.core.units import DIMENSIONS, INNER_FIRST, INSIDE

Quantities = Mapping[str, int]
Parts = tuple[tuple[str, Quantities], ...]  # (model, what it used)

QUANTITY_MAX = 10**12  # a trillion tokens in one call is no call


class Completeness(StrEnum):
    """How far a usage record can be trusted."""

    FINAL = "final"  # the provider's last word
    PARTIAL = "partial"  # the provider's word before the answer was complete
    ESTIMATED = "estimated"  # counted here, because the provider gave no usage
    MISSING = "missing"  # nothing is known yet


Edits = tuple[tuple[tuple[str | int, ...], int | None], ...]  # (path in a usage object, what would stand there)


class Contradiction(ValueError):
    """A usage record contradicts itself: a part above its total, or a quantity that is no count.

    `repairs` say what each number would have to be, were all others true; `decided`: the provider's own total leaves
    but one. Of quantities, `unit` is the total that is exceeded, by `excess`.
    """

    def __init__(
        self,
        message: str,
        repairs: tuple[Edits, ...] = (),
        *,
        decided: bool = False,
        unit: str | None = None,
        excess: int = 0,
    ) -> None:
        super().__init__(message)
        self.repairs = repairs
        self.decided = decided
        self.unit = unit
        self.excess = excess

    def inside(self, *path: str | int) -> "Contradiction":
        """Return the contradiction of an object in which this one's stands at `path`."""
        repairs = tuple(tuple(((*path, *at), value) for at, value in edits) for edits in self.repairs)
        return Contradiction(str(self), repairs, decided=self.decided, unit=self.unit, excess=self.excess)


class Used(NamedTuple):
    """What one attempt used, or one reading of it."""

    quantities: Quantities
    parts: Parts = ()  # where several models took part: what each of them used
    stated: Decimal | None = None  # the cost that the provider states, in US dollars
    fee: Decimal | None = None  # what the provider says it took beside that, or beside the price of the model


class Reading(NamedTuple):
    """What a provider's answer says about one attempt."""

    quantities: Quantities | None  # inclusive; only what is known; an explicit zero is a zero
    completeness: Completeness
    model: str | None = None  # as served
    service_tier: str | None = None  # as served
    response_id: str | None = None
    raw: bytes = b""  # the provider's own usage object, as it came
    contradiction: str | None = None  # why the usage object cannot be true; `quantities` are then a guess, if any
    speed: str | None = None  # as served
    region: str | None = None  # as served: where inference ran, if that has a price of its own
    parts: "Parts" = ()  # where several models took part: what each of them used
    reported_cost: Decimal | None = None  # in USD, as the provider states it
    note: str | None = None  # what did not add up, where the provider's total or the lack of a price decides it
    alternatives: "tuple[Used, ...]" = ()  # what may be meant just as well: what is charged is the dearest of all
    attributes: tuple[tuple[str, str], ...] = ()  # as served: other conditions of prices
    seconds: Decimal | None = None  # of sound, exactly; `quantities` has them rounded up to whole ones
    doubtful_cost: Decimal | None = None  # in USD: what may be meant where no cost is stated as it should be
    models: tuple[str, ...] = ()  # where the answer names several as the one that served: all of them
    made: frozenset[str] = frozenset()  # what the answer shows beside text: "audio", "image", "video"
    reported_fee: Decimal | None = None  # in USD: what a seller takes beside the price, which it does not state


def leaves(quantities: Quantities) -> dict[str, int]:
    """Return the disjoint leaves of inclusive `quantities`, zero leaves left out.

    A leaf is a unit's quantity without what lies inside it. Raises Contradiction when a part exceeds its total.
    """
    result: dict[str, int] = {}
    for unit, inside in _walk(tuple(quantities)):
        quantity = quantities[unit]
        for inner in inside:
            quantity -= result.get(inner, 0)
        if quantity < 0:
            overlapping = _with_overlap(quantities, unit, -quantity)
            if overlapping is not None:
                return leaves(overlapping)
            parts = ", ".join(f"{inner} {quantities[inner]}" for inner in INSIDE[unit] if inner in quantities)
            why = f"{unit} {quantities[unit]} is less than its parts: {parts}"
            raise Contradiction(why, unit=unit, excess=-quantity)
        if quantity:
            result[unit] = quantity
    return result


def _with_overlap(quantities: Quantities, unit: str, excess: int) -> Quantities | None:
    """Return `quantities` with the overlap of two parts that was not reported, None where there is no such pair.

    Of 100 input tokens 60 are audio and 50 are cached: at least 10 are both. No more is assumed.
    """
    parts = [inner for inner in INSIDE[unit] if inner in quantities]
    for one, other in combinations(parts, 2):
        both = _UNIT_OF.get(DIMENSIONS[one] | DIMENSIONS[other])
        new = both not in (None, one, other) and both not in quantities
        if new and excess <= min(quantities[one], quantities[other]):
            return {**quantities, str(both): excess}
    return None


_UNIT_OF = {dimensions: unit for unit, dimensions in DIMENSIONS.items()}


@lru_cache(maxsize=1024)
def _walk(units: tuple[str, ...]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Return `units` with those inside each, inner ones first; the same few combinations come with every call."""
    return tuple((unit, tuple(one for one in INSIDE[unit] if one in units)) for unit in INNER_FIRST if unit in units)


def tokens_total(quantities: Quantities) -> int:
    """Return all tokens of a call, input and output: what a budget on tokens counts."""
    return quantities.get("input_tokens", 0) + quantities.get("output_tokens", 0)
