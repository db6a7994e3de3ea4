"""Reads a plan from a YAML file. Whatever is wrong is refused with its line and the reason.

plan: growth
version: 3
from: 2026-12-01
currency: USD
charges:
  - name: tokens in
    meter: {unit: input_tokens, where: {model: gpt-4o-mini}}
    model: unit
    price: "0.30"
    per: 1000000
"""

import re
from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import partial
from typing import TypeVar

import msgspec
import yaml

from pertoken.catalogs import yaml_trees
from pertoken.catalogs.plan_shapes import EVERY, FIELDS, ChargeShape, MeterShape, PlanShape, SelectedValues, TierShape
from pertoken.catalogs.shapes import wrong
from pertoken.catalogs.yaml_errors import reason
from pertoken.core.billing.meters import FIELDS as EVENT_FIELDS
from pertoken.core.billing.meters import TAG
from pertoken.core.billing.plan_book import PlanFile
from pertoken.core.billing.plans import (
    CALLS,
    COST,
    Aggregate,
    ChargeModel,
    Flat,
    Graduated,
    Markup,
    Matrix,
    MatrixRow,
    Meter,
    Package,
    Percentage,
    PerUnit,
    Plan,
    PlanCharge,
    PlanTier,
    Seat,
    Selector,
    Selectors,
    Volume,
)
from pertoken.core.currencies import check_currency
from pertoken.core.money import parse_price
from pertoken.core.periods import parse_time
from pertoken.core.texts import meant, why_no_name
from pertoken.core.units import DIMENSIONS, INSIDE
from pertoken.core.usage import QUANTITY_MAX

CHARGES_MAX = 2_000
VERSION_MAX = 10**9
SHARE_MAX = 1_000  # 100,000 %
COUNTED = (*DIMENSIONS, CALLS, COST)
_KNOWN_UNITS = f"; known: {', '.join(COUNTED)}"
_KNOWN_FIELDS = f"; known: {', '.join(EVENT_FIELDS)}, {TAG}NAME"

PlanPlace = tuple[str | int, ...]
T = TypeVar("T")


class NotAPlan(ValueError):
    """A file is not a plan; the message names the line and the reason."""


class _Wrong(ValueError):
    """A value is wrong, and where it is."""

    def __init__(self, place: PlanPlace, why: object) -> None:
        super().__init__(str(why))
        self.place = place


def read_plan_file(content: bytes) -> PlanFile:
    """Return the plan of a file, and the file. Raises NotAPlan."""
    try:
        tree = yaml_trees.as_text(yaml_trees.load(content))
    except yaml.YAMLError as error:
        raise NotAPlan(f"not valid yaml: {reason(error)}") from error
    except UnicodeDecodeError as error:
        raise NotAPlan(f"not UTF-8 from byte {error.start} on; save the file as UTF-8") from error
    try:
        shape = msgspec.convert(tree, PlanShape)
        return PlanFile(_plan(shape), content.decode("utf-8-sig"), msgspec.json.encode(shape).decode())
    except msgspec.ValidationError as error:
        place, what, unknown = wrong(error)
        shapes = (PlanShape, ChargeShape, MeterShape, TierShape)
        names = (FIELDS.keys(), *(shape.__struct_encode_fields__ for shape in shapes))
        near = "" if unknown is None else meant(unknown, {name for some in names for name in some})
        raise NotAPlan(_said(content, _steps(place), what + near)) from error
    except UnicodeDecodeError as error:
        raise NotAPlan("not UTF-8; save the file as UTF-8") from error
    except _Wrong as error:
        raise NotAPlan(_said(content, error.place, error)) from error


def read_plan(content: bytes) -> Plan:
    """Return the plan of a file. Raises NotAPlan."""
    return read_plan_file(content).plan


def read_body(body: str) -> Plan:
    """Return the plan of a body that `read_plan_file` made."""
    return _plan(msgspec.json.decode(body, type=PlanShape))


def _said(content: bytes, place: PlanPlace, why: object) -> str:
    shown = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in place).removeprefix(".")
    line = yaml_trees.line_of(yaml_trees.compose(content), place)
    return f"line {line}: {shown}: {why}" if shown else f"line {line}: {why}"


def _steps(place: str) -> PlanPlace:
    """Return the steps of a path as msgspec writes it: charges[0].price."""
    return tuple(int(step) if step.isdigit() else step for step in re.findall(r"[^.\[\]]+", place) if step != "?")


def _plan(said: PlanShape) -> Plan:
    name = _name(("plan",), said.plan, "the plan")
    if not 1 <= said.version <= VERSION_MAX:
        raise _Wrong(("version",), f"must be from 1 to {VERSION_MAX:,}: {said.version}")
    currency = _checked(("currency",), check_currency, said.currency)
    if not said.charges:
        raise _Wrong(("charges",), "a plan needs a charge")
    if len(said.charges) > CHARGES_MAX:
        raise _Wrong(("charges",), f"at most {CHARGES_MAX:,} charges, not {len(said.charges):,}")
    from_us = 0 if said.from_ is None else _checked(("from",), parse_time, said.from_)
    charges = tuple(_charge(one, ("charges", at), currency) for at, one in enumerate(said.charges))
    seen: dict[str, int] = {}
    for at, charge in enumerate(charges):
        if charge.name in seen:
            raise _Wrong(("charges", at, "name"), f"{charge.name!r} is the name of an earlier charge, too")
        seen[charge.name] = at
    commitment_picos = _amount(("commitment",), said.commitment, currency)
    return Plan(name, said.version, from_us, currency, charges, commitment_picos)


def _charge(said: ChargeShape, place: PlanPlace, currency: str) -> PlanCharge:
    name = _name((*place, "name"), said.name, "the charge")
    _check_fields(said, place)
    least_picos = 0 if said.least is None else _amount((*place, "least"), said.least, currency)
    most_picos = None if said.most is None else _amount((*place, "most"), said.most, currency)
    if most_picos is not None and most_picos < least_picos:
        raise _Wrong((*place, "most"), f"{said.most} is below `least`, {said.least}")
    meter = None if said.meter is None else _meter(said.meter, (*place, "meter"))
    model = _model(said, place, currency)
    if isinstance(model, Markup) and (meter is None or meter.of != COST):
        raise _Wrong((*place, "meter"), "a markup is on the provider's cost; write `unit: cost`")
    if isinstance(model, PerUnit | Matrix | Package | Graduated | Volume) and meter is not None and meter.of == COST:
        raise _Wrong((*place, "meter", "unit"), f"cost is charged by markup or percentage, not by {said.model}")
    included = 0 if said.included is None else _count((*place, "included"), said.included, least=0)
    return PlanCharge(name, model, meter, included, least_picos, most_picos)


def _check_fields(said: ChargeShape, place: PlanPlace) -> None:
    """Raise for a field that a model needs or does not know."""
    needed, allowed = FIELDS[said.model]
    given = {name for name in said.__struct_fields__ if getattr(said, name) is not None}
    for name in sorted(needed - given):
        raise _Wrong(place, f"a charge with model {said.model} needs `{name}`")
    for name in sorted(given - needed - allowed - EVERY):
        raise _Wrong((*place, name), f"a charge with model {said.model} has no `{name}`")
    if said.model == "flat" and said.meter is not None:
        raise _Wrong((*place, "meter"), "a flat charge counts nothing; leave `meter` out")
    if said.model == "seat" and (said.meter is None) == (said.seats is None):
        raise _Wrong(place, "a charge with model seat needs either `seats` or a `meter` that counts them")
    if said.model not in {"flat", "seat"} and said.meter is None:
        raise _Wrong(place, f"a charge with model {said.model} needs `meter`")


def _model(said: ChargeShape, place: PlanPlace, currency: str) -> ChargeModel:
    """Return the model of a charge whose fields are checked."""
    per = 1 if said.per is None else _count((*place, "per"), said.per)
    at = (*place, "price")
    match said.model:
        case "unit":
            return _per_unit(at, said.price, per, currency)
        case "matrix":
            return _matrix(said, place, per, currency)
        case "markup":
            return Markup(_share(at, said.price, least=Fraction(-1)))
        case "percentage":
            return _percentage(said, place, currency)
        case "package":
            return Package(_amount(at, said.price, currency), per)
        case "graduated":
            return Graduated(_tiers(said.tiers or [], (*place, "tiers"), per, currency))
        case "volume":
            return Volume(_tiers(said.tiers or [], (*place, "tiers"), per, currency))
        case "flat":
            return Flat(_amount(at, said.price, currency))
        case "seat":
            seats = None if said.seats is None else _count((*place, "seats"), said.seats, least=0)
            return Seat(_amount(at, said.price, currency), seats)


def _per_unit(place: PlanPlace, price: object, per: int, currency: str) -> PerUnit:
    picos = _amount(place, price, currency)
    if picos % per:
        raise _Wrong(
            place, f"{price} for {per:,} is finer than an amount is stored, 10^-12 USD or its like for each unit"
        )
    return PerUnit(picos, per)


def _matrix(said: ChargeShape, place: PlanPlace, per: int, currency: str) -> Matrix:
    if said.meter is not None and said.meter.aggregate in {"max", "latest", "unique"}:
        raise _Wrong((*place, "meter", "aggregate"), "a matrix is of each event; write `aggregate: sum` or `count`")
    rows = [
        MatrixRow(
            _where(row.where, (*place, "prices", at, "where")),
            _per_unit((*place, "prices", at, "price"), row.price, per, currency),
        )
        for at, row in enumerate(said.prices or [])
    ]
    if not rows or rows[-1].where:
        raise _Wrong((*place, "prices"), "the last row needs to be without `where`: a price for all that no row names")
    for at, row in enumerate(rows[:-1]):
        if not row.where:
            raise _Wrong((*place, "prices", at), "only the last row may be without `where`: no later row would apply")
    return Matrix(tuple(rows))


def _percentage(said: ChargeShape, place: PlanPlace, currency: str) -> Percentage:
    least_picos, most_picos = 0, None
    if said.least_per_event is not None:
        least_picos = _amount((*place, "least_per_event"), said.least_per_event, currency)
    if said.most_per_event is not None:
        most_picos = _amount((*place, "most_per_event"), said.most_per_event, currency)
        if most_picos < least_picos:
            raise _Wrong((*place, "most_per_event"), "is below `least_per_event`")
    if said.meter is not None and said.meter.field is not None and said.meter.aggregate != "sum":
        raise _Wrong((*place, "meter", "aggregate"), "a percentage is of each event's amount; write `aggregate: sum`")
    return Percentage(_share((*place, "price"), said.price), least_picos, most_picos)


def _tiers(said: Sequence[TierShape], place: PlanPlace, per: int, currency: str) -> tuple[PlanTier, ...]:
    tiers: list[PlanTier] = []
    below = 0
    for at, tier in enumerate(said):
        here = (*place, at)
        is_last = at == len(said) - 1
        if tier.up_to is None and not is_last:
            raise _Wrong(here, "only the last tier may be without `up_to`")
        if tier.up_to is not None:
            if is_last:
                raise _Wrong((*here, "up_to"), "the last tier has no `up_to`: what is above it would have no price")
            if not below < tier.up_to <= QUANTITY_MAX:
                raise _Wrong((*here, "up_to"), f"must be above {below:,}, where the tier before ends: {tier.up_to:,}")
            below = tier.up_to
        price = _amount((*here, "price"), tier.price, currency)
        flat_picos = _amount((*here, "flat"), tier.flat, currency)
        tiers.append(PlanTier(tier.up_to, PerUnit(price, per), flat_picos))
    if not tiers:
        raise _Wrong(place, "tiers need a tier")
    return tuple(tiers)


def _meter(said: MeterShape, place: PlanPlace) -> Meter:
    where = _where(said.where, (*place, "where"))
    if (said.unit is None) == (said.field is None):
        raise _Wrong(place, "a meter counts either a `unit` or a `field`; write one of them")
    if said.unit is None:
        if said.aggregate is None:
            raise _Wrong(place, "a field needs `aggregate`: count, sum, max, latest or unique")
        if said.without:
            raise _Wrong((*place, "without"), "only a unit has parts that can be left out")
        return Meter(_name((*place, "field"), said.field or "", "the field"), Aggregate(said.aggregate), where)
    if said.unit not in COUNTED:
        raise _Wrong((*place, "unit"), f"unknown unit {said.unit!r}{meant(said.unit, COUNTED) or _KNOWN_UNITS}")
    if said.aggregate not in {None, "sum"}:
        raise _Wrong((*place, "aggregate"), f"a unit is summed; for {said.aggregate} write `field: {said.unit}`")
    for at, unit in enumerate(said.without):
        if unit not in INSIDE.get(said.unit, ()):
            inside = ", ".join(INSIDE.get(said.unit, ())) or "nothing"
            raise _Wrong((*place, "without", at), f"{unit!r} is not inside {said.unit}; inside it: {inside}")
    return Meter(said.unit, None, where, tuple(said.without))


def _where(said: dict[str, SelectedValues], place: PlanPlace) -> Selectors:
    found = []
    for field, value in said.items():
        here = (*place, field)
        if field not in EVENT_FIELDS and not field.startswith(TAG):
            raise _Wrong(here, f"unknown field{meant(field, EVENT_FIELDS) or _KNOWN_FIELDS}")
        values = value if isinstance(value, list) else [value]
        if not values:
            raise _Wrong(here, "no event has one of no values; write a value")
        texts = [str(one).lower() if isinstance(one, bool) else str(one) for one in values]
        starts = tuple(sorted(text.removesuffix("*") for text in texts if text.endswith("*")))
        found.append(Selector(field, frozenset(text for text in texts if not text.endswith("*")), starts))
    return tuple(found)


def _share(place: PlanPlace, text: object, least: Fraction = Fraction(0)) -> Fraction:
    """Return a share: 0.25 is a quarter. Raises for one of -100 % or less, which would make money of nothing."""
    plain = str(text)
    if not re.fullmatch(r"-?[0-9]{1,4}(\.[0-9]{1,12})?", plain):
        raise _Wrong(place, f"must be a share such as '0.25' for 25 %, not {plain[:40]!r}")
    share = Fraction(plain)
    if not least <= share <= SHARE_MAX or share == -1:
        wanted = "above -1 (a share of -1 would charge nothing)" if least < 0 else "at least 0"
        raise _Wrong(place, f"must be {wanted} and at most {SHARE_MAX}: {plain}")
    return share


def _amount(place: PlanPlace, said: object, currency: str) -> int:
    return _checked(place, partial(parse_price, currency=currency), str(said))


def _checked(place: PlanPlace, check: Callable[[str], T], text: str) -> T:
    try:
        return check(text)
    except ValueError as error:
        raise _Wrong(place, error) from error


def _count(place: PlanPlace, number: int, *, least: int = 1) -> int:
    if not least <= number <= QUANTITY_MAX:
        raise _Wrong(place, f"must be from {least} to {QUANTITY_MAX:,}: {number:,}")
    return number


def _name(place: PlanPlace, name: str, what: str) -> str:
    why = why_no_name(name, what)
    if why is not None:
        raise _Wrong(place, why)
    return name
