"""Reading usage objects by table: each API's table says which fields add up to which unit."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from pertoken.core.usage import QUANTITY_MAX, Completeness, Contradiction, Reading, leaves
from pertoken.wire import scan

RAW_BYTES_MAX = 64 * 1024  # of a usage object that is kept; real ones have less than 2 KiB

_any = msgspec.json.Decoder()

Path = tuple[str, ...]


class Rule(NamedTuple):
    """`unit` is the sum of terms; a term is the first number found at one of its paths, a path a tuple of keys."""

    unit: str
    terms: tuple[tuple[Path, ...], ...]


class Origin(NamedTuple):
    """What an answer says of itself beside its usage."""

    model: str | None = None
    service_tier: str | None = None
    response_id: str | None = None


def table(rules: Mapping[str, Sequence[str]]) -> tuple[Rule, ...]:
    """Return rules from {unit: [term, ...]}; a term is a dotted path, or several with "|" between: the first counts."""
    return tuple(
        Rule(unit, tuple(tuple(tuple(path.split(".")) for path in term.split("|")) for term in terms))
        for unit, terms in rules.items()
    )


def read(rules: tuple[Rule, ...], usage: Mapping[str, Any]) -> dict[str, int]:
    """Return the inclusive quantities of a usage object; a unit none of whose fields is there is left out.

    Raises Contradiction where a field is not a count.
    """
    quantities: dict[str, int] = {}
    for unit, terms in rules:
        for term in terms:
            quantity = _first(term, usage)
            if quantity is not None:
                quantities[unit] = quantities.get(unit, 0) + quantity
    return quantities


def read_raw(
    raw: bytes, count: Callable[[dict[str, Any]], dict[str, int]], origin: Origin, *, partial: bool = False
) -> Reading:
    """Return the reading of one usage object as it came; `count` turns it into quantities or raises Contradiction.

    FINAL only when all input and all output are known and the answer is not `partial`.
    """
    try:
        usage = _any.decode(raw) if raw else None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return doubt(f"usage cannot be read: {error}", raw=raw, **origin._asdict())
    if usage is None:
        return missing(origin.model, origin.response_id)._replace(service_tier=origin.service_tier)
    if not isinstance(usage, dict):
        return doubt("usage is no object", raw=raw, **origin._asdict())
    try:
        quantities = count(usage)
    except Contradiction as contradiction:
        return doubt(str(contradiction), raw=raw, **origin._asdict())
    if not quantities:
        return missing(origin.model, origin.response_id)._replace(service_tier=origin.service_tier, raw=raw)
    known = "input_tokens" in quantities and "output_tokens" in quantities
    completeness = Completeness.FINAL if known and not partial else Completeness.PARTIAL
    return believe(quantities, completeness=completeness, raw=raw, **origin._asdict())


def unreadable(answer: bytes, key: str) -> Reading:
    """Return the reading of an answer that is no JSON: what stands behind `key` is kept, and never believed."""
    found = scan.last_object(answer, key)
    return missing() if found is None else doubt("the answer is not valid json", raw=found.raw)


def check_total(usage: Mapping[str, Any], name: str, parts: int) -> None:
    """Raise Contradiction where the provider's own total is not the sum of its parts."""
    total = _first(((name,),), usage)
    if total is not None and total != parts:
        raise Contradiction(f"{name} {total} is not the sum of its parts, {parts}")


def believe(
    quantities: dict[str, int],
    *,
    completeness: Completeness,
    raw: bytes,
    model: str | None = None,
    service_tier: str | None = None,
    response_id: str | None = None,
) -> Reading:
    """Return a reading of `quantities`, contradictory where a part exceeds its total."""
    try:
        leaves(quantities)
    except Contradiction as contradiction:
        return doubt(str(contradiction), raw=raw, model=model, service_tier=service_tier, response_id=response_id)
    return Reading(quantities, completeness, model, service_tier, response_id, raw)


def doubt(
    why: str,
    *,
    raw: bytes,
    model: str | None = None,
    service_tier: str | None = None,
    response_id: str | None = None,
) -> Reading:
    """Return a reading that cannot be believed: the raw object is kept, nothing is clamped."""
    return Reading(None, Completeness.FINAL, model, service_tier, response_id, raw[:RAW_BYTES_MAX], why)


def missing(model: str | None = None, response_id: str | None = None) -> Reading:
    """Return a reading of an answer without usage."""
    return Reading(None, Completeness.MISSING, model, None, response_id)


def _first(paths: Sequence[Path], usage: Mapping[str, Any]) -> int | None:
    """Return the number at the first of `paths` that holds one; null is absent."""
    for path in paths:
        value: Any = usage
        for key in path:
            value = value.get(key) if isinstance(value, dict) else None
            if value is None:
                break
        if value is None:
            continue
        if type(value) is not int:
            value = _whole(value, path)
        if not 0 <= value <= QUANTITY_MAX:
            raise Contradiction(f"{'.'.join(path)} is no count: {value}")
        return int(value)
    return None


def _whole(value: object, path: Path) -> int:
    """Accept 12.0 as 12, as some servers write counts; refuse all else."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    raise Contradiction(f"{'.'.join(path)} is no count: {value!r:.80}")
