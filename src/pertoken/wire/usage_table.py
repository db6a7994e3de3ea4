"""Reading usage objects by table: each API's table says which fields add up to which unit."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from pertoken.core.usage import QUANTITY_MAX, Completeness, Contradiction, Reading, leaves


class Rule(NamedTuple):
    """`unit` is the sum of the numbers at `paths`; a path is a tuple of keys."""

    unit: str
    paths: tuple[tuple[str, ...], ...]


def table(rules: Mapping[str, Sequence[str]]) -> tuple[Rule, ...]:
    """Return rules from {unit: [dotted path, ...]}."""
    return tuple(Rule(unit, tuple(tuple(path.split(".")) for path in paths)) for unit, paths in rules.items())


def read(rules: tuple[Rule, ...], usage: Mapping[str, Any]) -> dict[str, int]:
    """Return the inclusive quantities of a usage object; a unit none of whose fields is there is left out.

    Raises Contradiction where a field is not a count.
    """
    quantities: dict[str, int] = {}
    for unit, paths in rules:
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
            quantities[unit] = quantities.get(unit, 0) + value
    return quantities


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
    return Reading(None, Completeness.FINAL, model, service_tier, response_id, raw, why)


def missing(model: str | None = None, response_id: str | None = None) -> Reading:
    """Return a reading of an answer without usage."""
    return Reading(None, Completeness.MISSING, model, None, response_id)


def _whole(value: object, path: tuple[str, ...]) -> int:
    """Accept 12.0 as 12, as some servers write counts; refuse all else."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    raise Contradiction(f"{'.'.join(path)} is no count: {value!r}")
