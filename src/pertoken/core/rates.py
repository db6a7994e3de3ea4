"""The prices in force for one model: what each unit of a call costs, by context tier, with every factor applied."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from pertoken.core.money import divide_half_even
from pertoken.core.prices import ALL_TOKENS, EVERYTHING, PriceRow
from pertoken.core.units import CONTAINERS, DIMENSIONS, MODALITIES, TOKEN_UNITS

UNBOUNDED = 2**63
FREE = "~free"  # ends the price id of a line within a free quota

# In place of a price id, where no row made the amount: the provider's own statement, what was held, the dearest rates,
# and the most of both, where another model was served than was asked for; and a seller's fee beside the model's price.
REPORTED, HELD, DEAREST, ANOTHER, FEE = "reported", "held", "dearest", "another", "fee"
WITHOUT_ROWS = frozenset({REPORTED, HELD, DEAREST, ANOTHER, FEE})


class PriceStep(NamedTuple):
    """The price of what lies above `above`, until the next step."""

    above: int
    row: PriceRow


@dataclass(frozen=True, slots=True, eq=False)
class Price:
    """What one unit costs in one call: a row, the factors on it, and how the row's price is applied."""

    row: PriceRow
    factors: tuple[PriceRow, ...]
    steps: tuple[PriceStep, ...]  # marginal ones, lowest first
    amount_picos: int  # for `per`, with the factors
    per: int
    price_id: str  # of all rows that made it: row and marginal steps first, then factors behind an asterisk each

    def charged(self, quantity: int) -> int:
        """Return how many are charged when `quantity` are used."""
        return max(quantity, self.row.minimum) if quantity else 0

    def amount(self, quantity: int) -> int:
        """Return the picos of `quantity`, rounded half to even at the end."""
        if not self.steps:
            amount_picos, rest = divmod(quantity * self.amount_picos, self.per)
            # Only prices finer than a pico a unit get here: per hour, per thousand, with a factor.
            return amount_picos if not rest else divide_half_even(quantity * self.amount_picos, self.per)
        numerator, denominator = 0, 1
        for low, high, row in self.bands():
            within = min(quantity, high) - low
            if within > 0:
                numerator = numerator * row.per + within * row.amount_picos * denominator
                denominator *= row.per
        for factor in self.factors:
            numerator *= factor.amount_picos
            denominator *= factor.per
        return divide_half_even(numerator, denominator)

    def bands(self) -> Iterator[tuple[int, int, PriceRow]]:
        """Yield (from, to, row) of the row and each marginal step."""
        rows = [(0, self.row), *self.steps]
        for at, (above, row) in enumerate(rows):
            yield above, rows[at + 1][0] if at + 1 < len(rows) else UNBOUNDED, row


@dataclass(frozen=True, slots=True, eq=False)
class Tier:
    """The prices of calls whose whole input is above a number of tokens. Remembers what it answered."""

    above: int
    rows: Mapping[str, PriceRow]
    steps: Mapping[str, tuple[PriceStep, ...]]
    factors: tuple[PriceRow, ...]
    _memory: dict[str, Price | None] = field(default_factory=dict)

    def price(self, unit: str) -> Price | None:
        """Return the price of a leaf: its own row, else the nearest container's that covers it; None: none is known."""
        try:
            return self._memory[unit]
        except KeyError:
            found = self._memory[unit] = self._find(unit)
            return found

    def all_rows(self) -> list[PriceRow]:
        """Return every row and factor that prices anything here."""
        steps = [step.row for of_unit in self.steps.values() for step in of_unit]
        return [*self.rows.values(), *steps, *self.factors]

    def _find(self, unit: str) -> Price | None:
        row = self.rows.get(unit)
        if row is None:
            containers = (self.rows[other] for other in CONTAINERS[unit] if other in self.rows)
            row = next((one for one in containers if _covers(one, unit)), None)
        if row is None:
            return None
        return make_price(row, factors_on(unit, row, self.factors), self.steps.get(row.unit, ()))


@dataclass(frozen=True, slots=True, eq=False)
class Rates:
    """The prices in force for one model, from `valid_from_us` until `valid_to_us`. Equal only to itself."""

    provider: str
    model: str
    currency: str
    valid_from_us: int
    valid_to_us: int
    tiers: tuple[Tier, ...]  # highest first; the last is above 0

    def at(self, input_total: int) -> Tier:
        """Return the prices of a call with `input_total` input tokens."""
        for tier in self.tiers:
            if input_total > tier.above:
                return tier
        return self.tiers[-1]


class NoPrice(NamedTuple):
    """Why a model has no price in force."""

    reason: str
    valid_from_us: int
    valid_to_us: int


def row_ids(price_id: str) -> list[str]:
    """Return the ids of all rows behind the id that a rated line keeps."""
    return [] if price_id in WITHOUT_ROWS else price_id.removesuffix(FREE).replace("+", "*").split("*")


def price_of(price_id: str, rows: Mapping[str, PriceRow]) -> Price:
    """Return the price behind the id that a rated line keeps, from `rows` by their own ids."""
    first, *factor_ids = price_id.removesuffix(FREE).split("*")
    row_id, *step_ids = first.split("+")
    row, factors = rows[row_id], tuple(rows[one] for one in factor_ids)
    steps = tuple(PriceStep(rows[one].input_above or 0, rows[one]) for one in step_ids)
    return make_price(row, factors, steps)


def make_price(row: PriceRow, factors: tuple[PriceRow, ...], steps: tuple[PriceStep, ...] = ()) -> Price:
    """Return the price of a row with the factors on it."""
    amount_picos, per = row.amount_picos, row.per
    for factor in factors:
        amount_picos *= factor.amount_picos
        per *= factor.per
    rows = "+".join([row.price_id, *(step.row.price_id for step in steps)])
    ids = "*".join([rows, *(factor.price_id for factor in factors)])
    return Price(row, factors, steps, amount_picos, per, ids)


def factors_on(unit: str, row: PriceRow, factors: Iterable[PriceRow]) -> tuple[PriceRow, ...]:
    """Return the factors on `unit` at the price of `row`, but for those whose condition the row itself prices."""
    stated = set(row.conditions)
    return tuple(one for one in factors if applies(one, unit) and not stated.intersection(one.conditions))


def applies(factor: PriceRow, unit: str) -> bool:
    """Tell whether a factor is for `unit`."""
    if factor.unit == ALL_TOKENS:
        return unit in TOKEN_UNITS
    return factor.unit in (EVERYTHING, unit) or factor.unit in CONTAINERS[unit]


def _covers(row: PriceRow, unit: str) -> bool:
    """Tell whether a row prices a unit inside its own: sound, pictures and video only where it names them."""
    if unit in row.covers:
        return True
    return EVERYTHING in row.covers and MODALITIES.isdisjoint(DIMENSIONS[unit] - DIMENSIONS[row.unit])
