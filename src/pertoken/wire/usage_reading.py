"""From a usage object, as it came, to a reading: what it says, how far it can be believed, and what it was part of.

Which field is which unit is the tables' business (`usage_rules`, read by `usage_table`).
"""

import json
from collections.abc import Callable, Mapping
from math import ceil
from typing import Any, NamedTuple

import msgspec

from pertoken.core.usage import Completeness, Contradiction, Reading, leaves
from pertoken.wire import scan, usage_table
from pertoken.wire.body import optional_text
from pertoken.wire.usage_table import Table

RAW_BYTES_MAX = 64 * 1024  # of a usage object that is kept; real ones have less than 2 KiB

# A call that made no tokens is known in full by one of these.
WITHOUT_TOKENS = frozenset({"pages", "seconds", "images", "characters"})

Count = Callable[[Table, dict[str, Any]], dict[str, int]]

_any = msgspec.json.Decoder()


class Origin(NamedTuple):
    """What an answer says of itself beside its usage."""

    model: str | None = None
    service_tier: str | None = None
    response_id: str | None = None
    speed: str | None = None
    region: str | None = None


def read_raw(
    raw: bytes, rows: Table, origin: Origin, count: Count = usage_table.count, *, partial: bool = False
) -> Reading:
    """Return the reading of one usage object as it came; `count` turns it into quantities or raises Contradiction.

    FINAL only when all input and all output are known and the answer is not `partial`.
    """
    try:
        usage = _any.decode(raw) if raw else None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return doubt(f"usage cannot be read: {error}", raw, origin)
    if usage is None:
        return missing(origin)
    if not isinstance(usage, dict):
        return doubt("usage is no object", raw, origin)
    if repeats_a_key(raw, usage):
        return doubt("usage has a key twice", raw, origin)
    origin = _as_served(usage, origin)
    cost = seconds = None
    try:
        quantities = count(rows, usage)
        leaves(quantities)
        if rows.stated:
            told = usage_table.stated(rows, raw)
            if told:
                cost, seconds = told.get("reported_cost"), told.get("seconds")
        if seconds is not None:
            quantities["seconds"] = ceil(seconds)
    except Contradiction as contradiction:
        return doubt(str(contradiction), raw, origin)
    if not quantities:
        return missing(origin)._replace(raw=raw, reported_cost=cost)
    known = ("input_tokens" in quantities and "output_tokens" in quantities) or (
        not WITHOUT_TOKENS.isdisjoint(quantities) and _has_no_tokens(quantities)
    )
    completeness = Completeness.FINAL if known and not partial else Completeness.PARTIAL
    model, tier, response_id, speed, region = origin
    return Reading(quantities, completeness, model, tier, response_id, raw, None, speed, region, (), cost, seconds)


def unreadable(answer: bytes, key: str) -> Reading:
    """Return the reading of an answer that is no JSON: what stands behind `key` is kept, and never believed."""
    found = scan.last_object(answer, key)
    return missing() if found is None else doubt("the answer is not valid json", found.raw)


def doubt_if_twice(reading: Reading, answer: bytes, key: str) -> Reading:
    """Return the reading of a JSON answer, in doubt if one of its objects has `key` twice: which counts is unknown."""
    if answer.count(b'"%s"' % key.encode()) < 2 or not _told_twice(answer, key):
        return reading
    return doubt(f"the answer has {key} twice", reading.raw, origin_of(reading))


def repeats_a_key(raw: bytes, usage: dict[str, Any]) -> bool:
    """Tell whether any object in the JSON of `usage` has a key twice: the decoder has kept only the last of them."""
    if raw.count(b":") == _keys(usage):
        return False  # each key has its colon: with as many, there is neither another key nor a text with a colon
    repeated = False

    def look(pairs: list[tuple[str, Any]]) -> None:
        nonlocal repeated
        repeated = repeated or len({name for name, _ in pairs}) < len(pairs)

    try:
        json.loads(raw, object_pairs_hook=look)
    except (ValueError, RecursionError):
        return True  # the decoder has read it; another that cannot is reason enough for doubt
    return repeated


def doubt(why: str, raw: bytes, origin: Origin = Origin()) -> Reading:  # noqa: B008 - a constant
    """Return a reading that cannot be believed: the raw object is kept, nothing is clamped."""
    model, tier, response_id, speed, region = origin
    return Reading(None, Completeness.FINAL, model, tier, response_id, raw[:RAW_BYTES_MAX], why, speed, region)


def missing(origin: Origin = Origin()) -> Reading:  # noqa: B008 - a constant
    """Return a reading of an answer without usage."""
    model, tier, response_id, speed, region = origin
    return Reading(None, Completeness.MISSING, model, tier, response_id, b"", None, speed, region)


def origin_of(reading: Reading) -> Origin:
    """Return what an earlier event said of the answer."""
    return Origin(reading.model, reading.service_tier, reading.response_id, reading.speed, reading.region)


def _as_served(usage: Mapping[str, Any], origin: Origin) -> Origin:
    """Return `origin` with tier, speed and region where the usage object names them, as Anthropic's does."""
    tier, speed = usage.get("service_tier"), usage.get("speed")
    region = usage.get("inference_geo") or usage.get("region")
    if tier is None and speed is None and region is None:
        return origin
    return origin._replace(
        service_tier=origin.service_tier or optional_text(tier),
        speed=origin.speed or optional_text(speed),
        region=origin.region or (None if region == "not_available" else optional_text(region)),
    )


def _told_twice(answer: bytes, key: str) -> bool:
    twice = False

    def look(pairs: list[tuple[str, Any]]) -> None:
        nonlocal twice
        twice = twice or sum(name == key for name, _ in pairs) > 1

    try:
        json.loads(answer, object_pairs_hook=look)
    except (ValueError, RecursionError):
        return False  # whoever reads it says what is wrong
    return twice


def _has_no_tokens(quantities: Mapping[str, int]) -> bool:
    return not any(unit.endswith("_tokens") for unit in quantities)


def _keys(usage: dict[str, Any]) -> int:
    """Return how many keys an object has, with those of the objects inside it."""
    found = 0
    waiting: list[Any] = [usage]
    for value in waiting:  # which grows on the way
        if type(value) is dict:
            found += len(value)
            value = value.values()  # noqa: PLW2901 - an object's values, a list's entries
        for inner in value:
            if type(inner) is dict or type(inner) is list:
                waiting.append(inner)  # noqa: PERF401 - lists are rare, and a comprehension costs more than this loop
    return found
