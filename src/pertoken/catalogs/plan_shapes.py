"""The shape of a plan file, as it is written in YAML; `plan_files` reads it and says what the fields mean."""

from typing import Literal

import msgspec

Decimals = str | int  # a YAML number with a point is inexact: it is refused, with what to write
ModelName = Literal["unit", "matrix", "markup", "percentage", "package", "graduated", "volume", "flat", "seat"]
SelectedValues = str | int | bool | list[str | int | bool]


class MeterShape(msgspec.Struct, forbid_unknown_fields=True):
    """What is counted."""

    unit: str | None = None
    field: str | None = None
    aggregate: Literal["count", "sum", "max", "latest", "unique"] | None = None
    where: dict[str, SelectedValues] = {}
    without: list[str] = []


class TierShape(msgspec.Struct, forbid_unknown_fields=True):
    """A tier; the last one has no `up_to`."""

    price: Decimals
    up_to: int | None = None
    flat: Decimals = "0"


class MatrixShape(msgspec.Struct, forbid_unknown_fields=True):
    """A row of a matrix; the last one has no `where`."""

    price: Decimals
    where: dict[str, SelectedValues] = {}


class ChargeShape(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """One charge. Which fields it has depends on its model."""

    name: str
    model: ModelName
    meter: MeterShape | None = None
    price: Decimals | None = None
    per: int | None = None
    prices: list[MatrixShape] | None = None
    tiers: list[TierShape] | None = None
    included: int | None = None
    seats: int | None = None
    least: Decimals | None = None
    most: Decimals | None = None
    least_per_event: Decimals | None = None
    most_per_event: Decimals | None = None


class PlanShape(msgspec.Struct, forbid_unknown_fields=True):
    """The whole file."""

    plan: str
    version: int
    charges: list[ChargeShape]
    currency: str
    from_: str | None = msgspec.field(default=None, name="from")
    prepaid: Literal[False] = False
    commitment: Decimals = "0"


# model -> the fields that it needs, and those that it may have beside them and beside name, model, meter, least, most
FIELDS: dict[str, tuple[frozenset[str], frozenset[str]]] = {
    "unit": (frozenset({"price"}), frozenset({"per", "included"})),
    "matrix": (frozenset({"prices"}), frozenset({"per"})),
    "markup": (frozenset({"price"}), frozenset()),
    "percentage": (frozenset({"price"}), frozenset({"least_per_event", "most_per_event"})),
    "package": (frozenset({"price", "per"}), frozenset({"included"})),
    "graduated": (frozenset({"tiers"}), frozenset({"per", "included"})),
    "volume": (frozenset({"tiers"}), frozenset({"per", "included"})),
    "flat": (frozenset({"price"}), frozenset()),
    "seat": (frozenset({"price"}), frozenset({"seats", "included"})),
}
EVERY = frozenset({"name", "model", "meter", "least", "most"})
