"""How one answer should behave, as the headers of its request say."""

from collections.abc import Mapping
from typing import Any, NamedTuple, TypeVar

import msgspec

FAULTS = (
    "http_500", "http_429", "stall", "cut_midstream", "no_usage", "garbage_usage", "wrong_model", "double_usage",
    "exceed_max_tokens", "slow_first_byte", "close_before_headers",
)  # fmt: skip
TOKENS_MAX = 1_000_000

T = TypeVar("T")


class Behaviour(NamedTuple):
    """What the headers ask for. `fault_times` limits a fault to the first calls with the same body ("http_500*2")."""

    latency_ms: int = 0
    chunk_ms: int = 0
    output_tokens: int | None = None
    cached_tokens: int = 0
    service_tier: str | None = None
    fault: str | None = None
    fault_times: int | None = None
    count_percent: int = 100  # the reported input, in percent of the real count
    byte_percent: int | None = None  # if set, the input is this percentage of the texts' bytes
    cost: Mapping[str, Any] = {}  # the cost that the usage object states, in the provider's own field


class BadBehaviour(ValueError):
    """A header has an unknown or invalid value."""


def read(headers: Mapping[str, str]) -> Behaviour:
    """Return the behaviour that `headers` ask for. Raises BadBehaviour."""
    if not any(name.startswith("x-sim-") for name in headers):
        return _PLAIN
    fault, _, times = headers.get("x-sim-fault", "").partition("*")
    if fault and fault not in FAULTS:
        raise BadBehaviour(f"unknown fault {fault!r}; known: {', '.join(FAULTS)}")
    return Behaviour(
        _count(headers, "x-sim-latency-ms", 0),
        _count(headers, "x-sim-chunk-ms", 0),
        _count(headers, "x-sim-output-tokens", None),
        _count(headers, "x-sim-cached-tokens", 0),
        headers.get("x-sim-service-tier"),
        fault or None,
        int(times) if times.isdigit() else None,
        _count(headers, "x-sim-count-percent", 100),
        _count(headers, "x-sim-byte-percent", None),
        _cost(headers.get("x-sim-cost", "")),
    )


def _cost(text: str) -> dict[str, Any]:
    """Return the fields of a stated cost. Raises BadBehaviour.

    "0.016" is OpenRouter's field `cost`; "cost_in_usd_ticks=160" and "cost.total_cost=0.016" name another field.
    """
    if not text:
        return {}
    path, _, amount = text.rpartition("=")
    try:
        is_amount = type(msgspec.json.decode(amount)) in {int, float, str}
    except msgspec.DecodeError:
        is_amount = False
    if not is_amount:
        raise BadBehaviour(f"x-sim-cost must be an amount, or FIELD=AMOUNT: {text!r}")
    stated: Any = msgspec.Raw(amount.encode())  # keeps all digits
    for name in reversed((path or "cost").split(".")):
        stated = {name: stated}
    return dict(stated)


def _count(headers: Mapping[str, str], name: str, default: T) -> int | T:
    text = headers.get(name)
    if text is None:
        return default
    if not text.isdigit() or int(text) > TOKENS_MAX:
        raise BadBehaviour(f"{name} must be a whole number up to {TOKENS_MAX}: {text!r}")
    return int(text)


_PLAIN = Behaviour()
