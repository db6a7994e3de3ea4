"""Reads the operator's own prices from a YAML file: contracts, discounts, deployments, other currencies.

    currency: EUR
    prices:
      - {provider: openai, model: gpt-4o, from: 2026-01-01, to: 2027-01-01, input: "2.2", output: "8.8", note: offer 47}
      - provider: azure
        prefix: our-gpt4-                       # or `regex:`; `model:` is the name, with or without a date at its end
        input: "2"
        tiers: [{above: 200000, input: "4"}]    # or `at_least: 200000`, if the tier includes this number
        when: {service_tier: flex, time: "mon-fri 09:00-18:00 Europe/Berlin"}
        units: {web_searches: {amount: "8", per: 1000, free: 5000/month/searches}}
    factors:
      - {provider: openai, factor: "0.9", note: a tenth off all tokens}

`input`, `output`, `cache_read`, `cache_write`, `cache_write_1h`, `reasoning` are per million tokens.
"""

import re
from collections.abc import Iterator
from math import gcd

import msgspec
import yaml

from pertoken.catalogs import yaml_trees
from pertoken.catalogs.shapes import wrong
from pertoken.catalogs.yaml_errors import reason
from pertoken.core.conditions import TIME, Conditions, NotACondition, time_window
from pertoken.core.currencies import check_currency
from pertoken.core.money import HALF, NotAnAmount, parse_price
from pertoken.core.periods import FOREVER_US, NotATime, Window, parse_time
from pertoken.core.prices import ALL_TOKENS, EVERYTHING, Clause, Match, PriceRow, Quota, Source, price_id
from pertoken.core.texts import meant, why_no_name
from pertoken.core.units import DIMENSIONS
from pertoken.core.usage import QUANTITY_MAX

TOKEN_FIELDS = {
    "input": "input_tokens",
    "output": "output_tokens",
    "cache_read": "cache_read_tokens",
    "cache_write": "cache_write_tokens",
    "cache_write_1h": "cache_write_1h_tokens",
    "reasoning": "reasoning_tokens",
}


class NotAContract(ValueError):
    """The file is not in the format that this module describes."""


class Unit(msgspec.Struct, forbid_unknown_fields=True):
    """A price that is not per million tokens."""

    amount: str
    per: int = 1
    minimum: int = 0
    free: str | None = None  # quantity/window/group


class ContractTier(msgspec.Struct, forbid_unknown_fields=True):
    """Other prices for calls with more input than a limit."""

    above: int | None = None
    at_least: int | None = None
    marginal: bool = False
    input: str | None = None
    output: str | None = None
    cache_read: str | None = None
    cache_write: str | None = None
    cache_write_1h: str | None = None
    reasoning: str | None = None


class _Entry(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    provider: str
    model: str | None = None
    prefix: str | None = None
    regex: str | None = None
    from_: str | None = msgspec.field(default=None, name="from")
    to: str | None = None
    when: dict[str, str | bool] = {}
    note: str = ""


class ContractPrice(_Entry, forbid_unknown_fields=True, kw_only=True):
    """The prices of some models."""

    currency: str | None = None
    input: str | None = None
    output: str | None = None
    cache_read: str | None = None
    cache_write: str | None = None
    cache_write_1h: str | None = None
    reasoning: str | None = None
    covers: list[str] = msgspec.field(default_factory=lambda: [EVERYTHING])
    tiers: list[ContractTier] = []
    units: dict[str, Unit] = {}


class Factor(_Entry, forbid_unknown_fields=True, kw_only=True):
    """A factor on the prices of some models."""

    factor: str
    unit: str = ALL_TOKENS
    stacks: bool = True


class Contract(msgspec.Struct, forbid_unknown_fields=True):
    """The whole file."""

    currency: str = "USD"
    prices: list[ContractPrice] = []
    factors: list[Factor] = []


def read(content: bytes, recorded_at_us: int) -> list[PriceRow]:
    """Return the file's prices as rows recorded at `recorded_at_us`. Raises NotAContract, which names the place."""
    try:
        tree = yaml_trees.load(content)
        contract = msgspec.convert(yaml_trees.as_text(tree), Contract, strict=False)
    except yaml.YAMLError as error:
        raise NotAContract(f"not valid yaml: {reason(error)}") from error
    except UnicodeDecodeError as error:
        raise NotAContract(f"not UTF-8 from byte {error.start} on; save the file as UTF-8") from error
    except msgspec.ValidationError as error:
        raise NotAContract(_shape(error)) from error
    rows: list[PriceRow] = []
    entries: list[tuple[str, ContractPrice | Factor]] = [
        *((f"prices[{at}]", price) for at, price in enumerate(contract.prices)),
        *((f"factors[{at}]", factor) for at, factor in enumerate(contract.factors)),
    ]
    for where, entry in entries:
        try:
            template = _template(entry, recorded_at_us)
            found = (
                _factor_rows(template, entry)
                if isinstance(entry, Factor)
                else _price_rows(template._replace(currency=entry.currency or contract.currency), entry)
            )
            rows += [row._replace(price_id=price_id(row)) for row in found]
        except (NotAnAmount, NotATime, NotACondition, ValueError) as error:
            raise NotAContract(f"{where}: {error}") from error
    if not rows:
        raise NotAContract("the file states no price")
    return rows


def _shape(error: msgspec.ValidationError) -> str:
    """Return the message for a value of the wrong shape: its place, the fault, and a suggestion for a misspelt name."""
    place, what, unknown = wrong(error)
    fields = [
        field for one in (Contract, ContractPrice, Factor, ContractTier, Unit) for field in msgspec.structs.fields(one)
    ]
    near = "" if unknown is None else meant(unknown, {field.encode_name for field in fields})
    return f"{place}: {what}{near}" if place else f"{what}{near}"


def _template(entry: ContractPrice | Factor, recorded_at_us: int) -> PriceRow:
    names = [entry.model, entry.prefix, entry.regex]
    if sum(name is not None for name in names) > 1 or (isinstance(entry, ContractPrice) and not any(names)):
        raise ValueError("name the models by one of model, prefix, regex")
    if entry.regex is not None:
        _check_pattern(entry.regex)
    match = Match.SNAPSHOT if entry.model else Match.RULE if entry.regex else Match.PREFIX
    for what, name in (("the provider", entry.provider), ("the model", entry.model or entry.prefix)):
        why = why_no_name(name, what) if name is not None else None
        if why is not None:
            raise ValueError(why)
    start_us = parse_time(entry.from_) if entry.from_ else 0
    end_us = parse_time(entry.to) if entry.to else FOREVER_US
    if start_us >= end_us:
        raise ValueError(f"`to` {entry.to} must be after `from` {entry.from_}")
    return PriceRow(
        "", entry.provider, entry.model or entry.prefix or entry.regex or "", match, "", 0, 10**6, "", start_us, end_us,
        recorded_at_us, Source.OPERATOR, entry.note or "contract", None, _conditions(entry.when),
        Clause("regex", entry.regex) if entry.regex else None,
    )  # fmt: skip


def _check_pattern(pattern: str) -> None:
    """Raise ValueError if a pattern is not a regular expression."""
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"`regex` is not a regular expression: {error}") from error


def _price_rows(template: PriceRow, price: ContractPrice) -> Iterator[PriceRow]:
    for unit in price.covers:
        if unit != EVERYTHING and unit not in DIMENSIONS:
            raise ValueError(f"`covers` has the unknown unit {unit!r}{meant(unit, DIMENSIONS)}")
    template = template._replace(covers=tuple(price.covers), currency=check_currency(template.currency))
    for field, unit in TOKEN_FIELDS.items():
        amount = getattr(price, field)
        if amount is not None:
            yield template._replace(unit=unit, amount_picos=parse_price(amount, template.currency))
        for tier in price.tiers:
            amount = getattr(tier, field)
            if amount is not None:
                picos = parse_price(amount, template.currency)
                yield template._replace(unit=unit, amount_picos=picos, input_above=_above(tier), marginal=tier.marginal)
    for unit, stated in price.units.items():
        if unit not in DIMENSIONS:
            raise ValueError(f"unknown unit {unit!r}; known: {', '.join(DIMENSIONS)}")
        yield template._replace(
            unit=unit,
            amount_picos=parse_price(stated.amount, template.currency),
            per=_count(stated.per, "per"),
            minimum=_count(stated.minimum, "minimum", least=0),
            quota=None if stated.free is None else _quota(stated.free),
        )


def _factor_rows(template: PriceRow, factor: Factor) -> Iterator[PriceRow]:
    if factor.unit not in (ALL_TOKENS, EVERYTHING) and factor.unit not in DIMENSIONS:
        raise ValueError(f"unknown unit {factor.unit!r}; known: {ALL_TOKENS}, {EVERYTHING}, {', '.join(DIMENSIONS)}")
    try:
        picos = parse_price(factor.factor)
    except NotAnAmount as error:
        wanted = "a decimal number between 0 and a million, such as 0.9"
        raise ValueError(f"factor must be {wanted}, not {factor.factor[:40]!r}") from error
    common = gcd(picos, HALF)
    numerator, denominator = picos // common, HALF // common
    if numerator >= 10**12:
        raise ValueError(f"factor must be between 0 and a million with at most six digits: {factor.factor!r}")
    yield template._replace(
        unit=factor.unit, amount_picos=numerator, per=denominator, is_factor=True, stacks=factor.stacks
    )


def _above(tier: ContractTier) -> int:
    if (tier.above is None) == (tier.at_least is None):
        raise ValueError("a tier needs `above` or `at_least` a number of input tokens: write one of them")
    return _count(tier.above if tier.above is not None else (tier.at_least or 0) - 1, "above")


def _count(number: int, name: str, least: int = 1) -> int:
    if number < least:
        raise ValueError(f"{name} must be {'positive' if least else 'at least 0'}: {number}")
    if number > QUANTITY_MAX:
        raise ValueError(f"{name} must be at most {QUANTITY_MAX}")
    return number


def _conditions(when: dict[str, str | bool]) -> Conditions:
    said = {key: str(value).lower() if key != TIME else str(value) for key, value in when.items()}
    if TIME in said:
        time_window(said[TIME])
    return tuple(sorted(said.items()))


def _quota(text: str) -> Quota:
    try:
        quantity, window, group = text.split("/", 2)
        if not re.fullmatch("[0-9]{1,13}", quantity) or not group.strip():
            raise ValueError("no count, or no group")
        return Quota(_count(int(quantity), "free"), Window(window), group)
    except ValueError as error:
        raise ValueError(f"free is quantity/window/group, such as 5000/month/searches, not {text!r}") from error
