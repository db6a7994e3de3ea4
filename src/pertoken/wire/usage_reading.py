"""Turns the JSON of a usage object into a reading: its quantities, how far to trust them, and the answer's model.

`usage_rules` says which field is which unit, and `usage_table` applies these rules. `usage_repair` finds what an object
that contradicts itself may mean.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from functools import partial
from itertools import islice, product
from math import ceil
from typing import Any, NamedTuple

import msgspec

from pertoken.core.units import DIMENSIONS, OUTPUT_UNITS, TOKEN_UNITS
from pertoken.core.usage import Completeness, Contradiction, Parts, Quantities, Reading, Used, leaves
from pertoken.wire import scan, usage_repair, usage_table, usage_words
from pertoken.wire.body import optional_text, tells_a_key_twice
from pertoken.wire.usage_repair import CountUsage
from pertoken.wire.usage_table import UsageTable

RAW_BYTES_MAX = 64 * 1024  # of a usage object that is kept; real ones have less than 2 KiB
DIGITS_MAX = 40  # a number with more digits is not a count
NO_COUNT = -1
SEARCH_SIZE = "search_context_size"
VERSIONS_MAX = 16  # of an object with repeated keys
MODELS_MAX = 16  # names of models that are kept from one answer

_TRAFFIC = ("extra_properties", "google", "traffic_type")

# For a call without tokens, one of these units is the complete usage.
WITHOUT_TOKENS = frozenset({"pages", "seconds", "images", "characters"})

PartsOf = Callable[[dict[str, Any]], Parts]

_any = msgspec.json.Decoder()
_MODEL_KEYS = (("model", b'"model"'), ("modelVersion", b'"modelVersion"'))
_listed = msgspec.json.Decoder(list[msgspec.Raw])
_NOTHING: dict[str, Decimal] = {}


class Provenance(NamedTuple):
    """What an answer says about itself, other than its usage."""

    model: str | None = None
    service_tier: str | None = None
    response_id: str | None = None
    speed: str | None = None
    region: str | None = None
    attributes: tuple[tuple[str, str], ...] = ()


def read_raw(
    raw: bytes,
    rows: UsageTable,
    origin: Provenance,
    count: CountUsage = usage_table.count,
    parts: PartsOf | None = None,
    *,
    partial: bool = False,
) -> Reading:
    """Return the reading of one usage object, given as JSON bytes.

    `count` turns the object into quantities or raises Contradiction. `parts` returns the usage of each model, if there
    were several. The reading is FINAL only if all input and all output are known and `partial` is False.
    """
    if raw.startswith(b"[") and (one := unlisted(raw)) is not raw:
        return read_raw(one, rows, origin, count, parts, partial=partial)._replace(raw=raw)
    try:
        usage = _any.decode(raw) if raw else None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return _read_odd(raw, f"usage cannot be read: {error}", _How(rows, origin, count, parts, partial))
    if usage is None:
        return missing(origin)
    if not isinstance(usage, dict):
        return doubt("usage is no object", raw, origin)
    if repeats_a_key(raw, usage):
        return _read_odd(raw, "usage has a key twice", _How(rows, origin, count, parts, partial))
    try:
        quantities = _count(count, rows, usage)
        leaves(quantities)
        told = usage_table.stated(rows, raw) if usage_table.states(rows, raw) else _NOTHING
    except Contradiction as contradiction:
        return _mended(raw, usage, str(contradiction), _How(rows, origin, count, parts, partial))
    seconds = told.get("seconds")
    if seconds is not None:
        quantities["seconds"] = ceil(seconds)
    origin = _as_served(usage, origin)
    if not quantities:
        return _with_fee(missing(origin)._replace(raw=raw, reported_cost=told.get("reported_cost")), told)
    model, tier, response_id, speed, region, attributes = origin
    completeness = Completeness.FINAL if not partial and _is_known(quantities) else Completeness.PARTIAL
    several, cost = () if parts is None else parts(usage), told.get("reported_cost")
    reading = Reading(
        quantities, completeness, model, tier, response_id, raw, None, speed, region, several, cost, None, (),
        attributes, seconds,
    )  # fmt: skip
    return _with_fee(reading, told) if told else reading


def _with_fee(reading: Reading, told: Mapping[str, Decimal]) -> Reading:
    """Return the reading with the fee in `told`, if there is one."""
    fee = told.get(usage_table.FEE)
    return reading if fee is None else reading._replace(reported_fee=fee)


def unlisted(raw: bytes) -> bytes:
    """Return the only object of a list, because some servers write usage as a list. Return all else unchanged."""
    if not raw.startswith(b"["):
        return raw
    try:
        listed = _listed.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return raw
    one = bytes(listed[0]) if len(listed) == 1 else b""
    return one if one.startswith(b"{") else raw


def unreadable(answer: bytes, key: str, read: Callable[[bytes], Reading]) -> Reading:
    """Return the reading of an answer that is not valid JSON: the last object after `key`, marked as doubtful."""
    found = scan.last_object(answer, key)
    return missing() if found is None else torn("the answer is not valid json", [read(found.raw)])


def doubt_if_twice(reading: Reading, answer: bytes, key: str, read: Callable[[bytes], Reading]) -> Reading:
    """Return the reading, marked as doubtful if an object of the answer repeats `key`: either value may count."""
    if answer.count(b'"%s"' % key.encode()) < 2:
        return reading
    told = _told_twice(answer, key)
    return torn(f"the answer has {key} twice", [reading, *(read(raw) for raw in told)]) if told else reading


def repeats_a_key(raw: bytes, usage: dict[str, Any]) -> bool:
    """Tell whether any object in the JSON of `usage` repeats a key. The decoder has kept only the last value."""
    if raw.count(b":") == _keys(usage):
        return False  # as many colons as decoded keys: no repeated key, and no text with a colon
    return tells_a_key_twice(raw)


def also_named(models: tuple[str, ...], model: object) -> tuple[str, ...]:
    """Return the models that a stream has named so far, with `model` if it is a new name."""
    if not isinstance(model, str) or not model or model in models or len(models) >= MODELS_MAX:
        return models
    return (*models, model)


def with_models(reading: Reading, models: tuple[str, ...]) -> Reading:
    """Return the reading with the models that the answer named."""
    if len(models) > 1:
        return reading._replace(models=models)
    return reading._replace(model=models[0]) if models and reading.model is None else reading


def with_models_told_twice(reading: Reading, answer: bytes) -> Reading:
    """Return the reading of a whole answer, with all models that one of its objects names under a repeated key."""
    if answer.count(b'"model') < 2:
        return reading
    models: tuple[str, ...] = ()
    for key, quoted in _MODEL_KEYS:
        for told in _told_twice(answer, key) if answer.count(quoted) > 1 else ():
            models = also_named(models, _any.decode(told))
    return with_models(reading, models)


def with_shown(reading: Reading, shown: Quantities) -> Reading:
    """Return the reading with the units that the answer shows, such as searches, if usage does not report them."""
    if not shown:
        return reading
    if reading.quantities is None:
        return reading._replace(quantities=dict(shown), completeness=Completeness.PARTIAL)
    whole, *others = [_shown(one, shown) for one in (Used(reading.quantities, reading.parts), *reading.alternatives)]
    return reading._replace(quantities=whole.quantities, parts=whole.parts, alternatives=tuple(others))


def _shown(used: Used, shown: Quantities) -> Used:
    """Add units that usage does not report to a use. If several models took part, the first one gets them."""
    untold = {unit: many for unit, many in shown.items() if unit not in used.quantities}
    parts = tuple((model, {**many, **(untold if at == 0 else {})}) for at, (model, many) in enumerate(used.parts))
    return used._replace(quantities={**untold, **used.quantities}, parts=parts)


def without_zeros(reading: Reading, text: Callable[[], str]) -> Reading:
    """Return the reading without its output if that is zero although the answer has text.

    If usage reports no input either, all its token counts are dropped. If the reading has alternatives, this applies
    to each of them.
    """
    told = reading.quantities
    if told is None or (told.get("output_tokens") != 0 and not reading.alternatives):
        return reading
    every = (Used(told, reading.parts), *reading.alternatives)
    why = reading.contradiction
    if not any(_has_zero(one) for one in every) or (why and usage_words.ONLY_TOTAL in why) or not text():
        return reading  # with only a total, the text is in that total
    first, *others = sorted((_without_zero(one) if _has_zero(one) else one for one in every), key=_is_empty)
    if why is not None:
        reading = reading._replace(contradiction=f"{why}; {_ZERO_BESIDE_TEXT}")
    return reading._replace(
        quantities=first.quantities or None,
        completeness=Completeness.PARTIAL if first.quantities else Completeness.MISSING,
        note=_ZERO_BESIDE_TEXT if why is None else None,
        parts=first.parts,
        alternatives=tuple(others) if first.quantities else (),
    )


def _has_zero(used: Used) -> bool:
    return used.quantities.get("output_tokens") == 0


def _without_zero(used: Used) -> Used:
    unknown = TOKEN_UNITS if not any(used.quantities.get(side) for side in _SIDES) else OUTPUT_UNITS
    return Used({unit: quantity for unit, quantity in used.quantities.items() if unit not in unknown})


def _is_empty(used: Used) -> bool:
    return not used.quantities


def torn(why: str, readings: Sequence[Reading]) -> Reading:
    """Return the reading of an answer that may mean any of `readings`, with the others as alternatives.

    A side (input or output) that only some of them report is copied to the others.
    """
    last = readings[-1]
    used = [
        one
        for reading in reversed(readings)
        if reading.quantities is not None
        for one in (Used(reading.quantities, reading.parts), *reading.alternatives)
    ]
    if not used:
        return doubt(why, last.raw, origin_of(last))
    filled = list({tuple(sorted(one.quantities.items())): one for one in _filled(used)}.values())
    filled.sort(key=lambda one: sum(one.quantities.get(side, 0) for side in _SIDES), reverse=True)
    costs = [reading.reported_cost for reading in readings if reading.reported_cost is not None]
    doubtful = [reading.doubtful_cost for reading in readings if reading.doubtful_cost is not None]
    fees = [reading.reported_fee for reading in readings if reading.reported_fee is not None]
    cut = any(one.completeness is Completeness.PARTIAL and _is_known(one.quantities or {}) for one in readings)
    return last._replace(
        quantities=filled[0].quantities,
        completeness=Completeness.FINAL if not cut and _is_known(filled[0].quantities) else Completeness.PARTIAL,
        raw=last.raw[:RAW_BYTES_MAX],
        contradiction=why,
        parts=filled[0].parts,
        reported_cost=max(costs, default=None),
        doubtful_cost=max(doubtful, default=None),
        reported_fee=max(fees, default=None),
        note=None,
        alternatives=tuple(filled[1:]),
    )


def doubt(why: str, raw: bytes, origin: Provenance = Provenance()) -> Reading:  # noqa: B008 - a constant
    """Return a reading without quantities for an object that cannot be used. The start of the raw object is kept."""
    model, tier, response_id, speed, region, attributes = origin
    raw = raw[:RAW_BYTES_MAX]
    return Reading(None, Completeness.FINAL, model, tier, response_id, raw, why, speed, region, attributes=attributes)


def missing(origin: Provenance = Provenance()) -> Reading:  # noqa: B008 - a constant
    """Return the reading of an answer without usage."""
    model, tier, response_id, speed, region, attributes = origin
    return Reading(
        None, Completeness.MISSING, model, tier, response_id, b"", None, speed, region, attributes=attributes
    )


def origin_of(reading: Reading) -> Provenance:
    """Return what a reading says about its answer, other than usage."""
    return Provenance(
        reading.model, reading.service_tier, reading.response_id, reading.speed, reading.region, reading.attributes
    )


_SIDES = ("input_tokens", "output_tokens")
_ZERO_BESIDE_TEXT = "usage says that no token was written, beside text"


class _How(NamedTuple):
    """The arguments of `read_raw` that say how to read a usage object."""

    rows: UsageTable
    origin: Provenance
    counted: CountUsage
    parts: PartsOf | None
    partial: bool


def _read_odd(raw: bytes, why: str, how: _How) -> Reading:
    """Return the reading of a usage object with repeated keys: it may mean any of its versions."""
    versions = _versions(raw)
    if not versions:
        return doubt(why, raw, how.origin)
    return torn(why, [_mended(raw, one, why, how) for one in versions])


def _count(count: CountUsage, rows: UsageTable, usage: dict[str, Any]) -> dict[str, int]:
    """Return the quantities of a usage object. A missing side is read from another API's field names.

    Raises Contradiction.
    """
    quantities = count(rows, usage)
    if quantities.get("input_tokens") and quantities.get("output_tokens"):
        details = usage_words.details(rows, usage)
        return {**details, **quantities} if details else quantities
    found = usage_words.other(rows, usage)
    if found is not None:
        quantities = usage_words.joined(rows, quantities, usage_table.count(*found))
    return usage_words.by_total(rows, usage, quantities)


def _mended(raw: bytes, usage: dict[str, Any], why: str, how: _How) -> Reading:
    """Return the reading of a usage object that contradicts itself."""
    origin = _as_served(usage, how.origin)
    mended = usage_repair.mend(how.rows, usage, partial(_count, how.counted))
    told: dict[str, Decimal] = {}
    decided, doubtful = mended.decided, None
    try:
        told = usage_table.stated(how.rows, raw)
    except Contradiction:
        decided, doubtful = False, usage_table.doubtful_cost(how.rows, raw)
    seconds = told.get("seconds")
    if seconds is not None:
        found = [one._replace(quantities={**one.quantities, "seconds": ceil(seconds)}) for one in mended.found]
        mended = mended._replace(found=tuple(found) or (usage_repair.Repaired({"seconds": ceil(seconds)}, usage),))
    if not mended.found:
        found_cost = told.get("reported_cost")
        return _with_fee(doubt(why, raw, origin)._replace(reported_cost=found_cost, doubtful_cost=doubtful), told)
    used = [Used(one.quantities, () if how.parts is None else how.parts(one.usage)) for one in mended.found]
    model, tier, response_id, speed, region, attributes = origin
    known = not how.partial and _is_known(used[0].quantities)
    reading = Reading(
        used[0].quantities,
        Completeness.FINAL if known else Completeness.PARTIAL,
        model,
        tier,
        response_id,
        raw[:RAW_BYTES_MAX],
        None if decided else why,
        speed,
        region,
        used[0].parts,
        told.get("reported_cost"),
        why if decided else None,
        tuple(one for one in used[1:] if not known or _is_known(one.quantities)),
        attributes,
        seconds,
        doubtful,
    )
    return _with_fee(reading, told)


def _filled(used: Sequence[Used]) -> list[Used]:
    """Return the readings so that each has input and output, if any of them has.

    A reading without a side becomes one reading for each value of that side in the others.
    """
    for side in _SIDES:
        knowing = [one.quantities for one in used if side in one.quantities]
        kind = side.partition("_")[0]
        filled: list[Used] = []
        for one in used:
            if side in one.quantities or not knowing:
                filled.append(one)
                continue
            for other in knowing:
                given = {unit: many for unit, many in other.items() if kind in DIMENSIONS[unit]}
                filled.append(Used({**one.quantities, **given}))
        used = filled
    return list(used)


def _is_known(quantities: Mapping[str, int]) -> bool:
    """Tell whether all input and all output are known, or the usage of a call without tokens."""
    return ("input_tokens" in quantities and "output_tokens" in quantities) or (
        not WITHOUT_TOKENS.isdisjoint(quantities) and not any(unit.endswith("_tokens") for unit in quantities)
    )


def _as_served(usage: Mapping[str, Any], origin: Provenance) -> Provenance:
    """Return `origin` with the tier, speed, region and search size that the usage object names.

    Anthropic's usage names tier, speed and region. Perplexity's names the size of the search context (its API
    reference, usage; 2026-11-27). Vertex's OpenAI-compatible endpoint names the type of traffic in `extra_properties`.
    """
    tier, speed = usage.get("service_tier"), usage.get("speed")
    region = usage.get("inference_geo") or usage.get("region")
    size = usage.get(SEARCH_SIZE)
    if tier is None and "extra_properties" in usage:
        tier = traffic_tier(usage_table.value_at(_TRAFFIC, usage))
    if tier is None and speed is None and region is None and size is None:
        return origin
    return origin._replace(
        service_tier=origin.service_tier or optional_text(tier),
        speed=origin.speed or optional_text(speed),
        region=origin.region or (None if region == "not_available" else optional_text(region)),
        attributes=((SEARCH_SIZE, size.lower()),) if isinstance(size, str) and size else origin.attributes,
    )


def traffic_tier(*said: object) -> str | None:
    """Return the tier that the first text among these values names. Google writes tiers and traffic types so."""
    tier = next((text for one in said if (text := optional_text(one))), None)
    if tier is None or tier.lower().endswith("unspecified"):
        return None
    return tier.lower().removeprefix("on_demand_")


class _Pairs(NamedTuple):
    """A JSON object as a list of pairs, so that repeated keys are kept."""

    pairs: list[tuple[str, Any]]


def _versions(raw: bytes) -> list[dict[str, Any]]:
    """Return the objects that a JSON object with repeated keys may mean; no objects for any other JSON."""
    try:
        read = json.loads(raw, object_pairs_hook=_Pairs, parse_int=_integer)
        return [one for one in _meant(read) if isinstance(one, dict)]
    except (ValueError, RecursionError):
        return []


def _integer(digits: str) -> int:
    return int(digits) if len(digits) < DIGITS_MAX else NO_COUNT


def _meant(value: Any) -> list[Any]:
    if not isinstance(value, _Pairs):
        return [[_meant(one)[0] for one in value]] if isinstance(value, list) else [value]
    told: dict[str, list[Any]] = {}
    for name, inner in value.pairs:
        told.setdefault(name, []).extend(_meant(inner))
    return [dict(zip(told, one, strict=True)) for one in islice(product(*told.values()), VERSIONS_MAX)]


def _told_twice(answer: bytes, key: str) -> list[bytes]:
    """Return all values of `key` in the objects that repeat it, each as JSON bytes."""
    told: list[Any] = []

    def look(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = [value for name, value in pairs if name == key]
        told.extend(found if len(found) > 1 else ())
        return dict(pairs)

    try:
        json.loads(answer, object_pairs_hook=look)
        return [msgspec.json.encode(one) for one in told]
    except (ValueError, OverflowError, RecursionError, msgspec.MsgspecError):
        return []  # the reader of the answer reports the fault


def _keys(usage: dict[str, Any]) -> int:
    """Return how many keys an object and all objects inside it have."""
    found = 0
    waiting: list[Any] = [usage]
    for value in waiting:  # the list grows during the loop
        if type(value) is dict:
            found += len(value)
            value = value.values()  # noqa: PLW2901 - the values of an object or the entries of a list
        for inner in value:
            if type(inner) is dict or type(inner) is list:
                waiting.append(inner)  # noqa: PERF401 - lists are rare, and a comprehension costs more than this loop
    return found
