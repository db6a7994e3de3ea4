"""Prices as rows, with the dates when they apply and when they were added.

A row states one price: an amount of money for a number of one unit, at one provider, for the model names it matches,
from an instant until another, under conditions that must all hold. A row may also be a factor, which multiplies the
prices of other rows: "batch is half", "this region is a tenth dearer". Rows are never changed: a correction is a newer
row, and a withdrawn row is kept as superseded.
"""

import hashlib
import re
from enum import StrEnum
from typing import NamedTuple

from pertoken.core.conditions import Conditions
from pertoken.core.periods import Window
from pertoken.core.units import TOKEN_UNITS

SNAPSHOT_SUFFIX = re.compile(r"[-@](\d{4}-\d{2}-\d{2}|\d{8}|\d{6}|\d{4}|latest)$")

ALL_TOKENS = "tokens"  # the unit of a factor on every kind of token
EVERYTHING = "*"  # the unit of a factor on everything; in `covers`: all units inside, but for other modalities


class Match(StrEnum):
    """How a row's model pattern is held against the name a call uses."""

    EQUALS = "equals"
    SNAPSHOT = "snapshot"  # the name itself, or the name and a date
    PREFIX = "prefix"
    RULE = "rule"  # a tree of clauses, as price data sets bring it


class Source(StrEnum):
    """Where a row comes from, the most trusted first."""

    OPERATOR = "operator"
    REVIEWED = "reviewed"  # our own rules, which correct or complete the lists
    HISTORY = "history"
    GENAI = "genai"
    LITELLM = "litellm"


TRUST = {source: rank for rank, source in enumerate(reversed(Source))}


class Quota(NamedTuple):
    """So many of a unit are free in each window, for all models of a group together."""

    quantity: int
    window: Window
    group: str


class PriceRow(NamedTuple):
    """One dated price, or one dated factor on prices."""

    price_id: str
    provider: str
    model: str
    match: Match
    unit: str  # of a factor also ALL_TOKENS or EVERYTHING
    amount_picos: int  # for `per` of the unit; of a factor, the factor is amount_picos / per
    per: int
    currency: str  # of a factor, empty
    valid_from_us: int  # 0: since ever
    valid_to_us: int  # exclusive; FOREVER_US: open
    recorded_at_us: int
    source: Source
    evidence: str  # citation, and how sure it is
    input_above: int | None = None  # context tier: holds when total input is strictly greater
    conditions: Conditions = ()  # all must hold
    rule: "Clause | None" = None  # with Match.RULE
    covers: tuple[str, ...] = (EVERYTHING,)  # units inside this one that it prices where they have no row of their own
    marginal: bool = False  # `input_above` counts this unit alone, and only what lies above it has this price
    minimum: int = 0  # the least quantity that is charged once the unit is used
    is_factor: bool = False
    stacks: bool = True  # False: a factor that no other one may join
    quota: Quota | None = None
    superseded_at_us: int | None = None  # when it was withdrawn, or a newer row took its place

    @property
    def sells(self) -> bool:
        """Whether it says that a model is sold: what is charged beside tokens with every model says it of none."""
        return not self.is_factor and (bool(self.model) or self.unit in TOKEN_UNITS)


_IDENTIFYING = [
    (at, name, PriceRow._field_defaults.get(name))
    for at, name in enumerate(PriceRow._fields)
    if name not in ("price_id", "recorded_at_us", "evidence", "superseded_at_us")
]


def price_id(row: PriceRow) -> str:
    """Return the id of a row from its content: the same price stated twice is the same row.

    Fields at their default are left out, so that a new field does not give old rows new ids.
    """
    content = repr([(name, row[at]) for at, name, default in _IDENTIFYING if row[at] != default])
    return f"pr_{hashlib.blake2b(content.encode(), digest_size=8).hexdigest()}"


class Clause(NamedTuple):
    """One test of a model name: `op` is equals, starts_with, ends_with, contains, regex, or, and."""

    op: str
    text: str = ""
    parts: "tuple[Clause, ...]" = ()

    def matches(self, name: str) -> bool:
        """Tell whether `name` (lower case) satisfies the clause."""
        match self.op:
            case "or":
                return any(part.matches(name) for part in self.parts)
            case "and":
                return all(part.matches(name) for part in self.parts)
            case "equals":
                return name == self.text
            case "starts_with":
                return name.startswith(self.text)
            case "ends_with":
                return name.endswith(self.text)
            case "contains":
                return self.text in name
            case "regex":
                return re.search(self.text, name) is not None
        raise AssertionError(self.op)
