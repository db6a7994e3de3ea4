"""Anthropic's usage object, with iterations of several models, and cache writes that are reported only by lifetime.

https://docs.anthropic.com/en/api/messages, as read on 2026-11-23.
"""

from typing import Any

from pertoken.core.usage import Contradiction, Edits
from pertoken.wire import usage_table
from pertoken.wire.body import optional_text
from pertoken.wire.content import as_dict, as_list
from pertoken.wire.usage_repair import CountUsage
from pertoken.wire.usage_table import UsageTable

_TOTALS = {"cache_write_1h_tokens": "cache_write_tokens", "reasoning_tokens": "output_tokens"}


def count(rows: UsageTable, usage: dict[str, Any]) -> dict[str, int]:
    """Return the quantities of a usage object. If it has `iterations`, return their sum.

    The numbers at the top level do not include compaction. Raises Contradiction if the iterations have fewer tokens
    than the top level.
    """
    quantities = _told(rows, usage)
    iterations = as_list(usage.get("iterations"))
    if not iterations:
        return quantities
    summed: dict[str, int] = {}
    for at, iteration in enumerate(iterations):
        try:
            found = _told(rows, as_dict(iteration))
        except Contradiction as contradiction:
            raise contradiction.inside("iterations", at) from None
        for unit, quantity in found.items():
            summed[unit] = summed.get(unit, 0) + quantity
    for unit in ("input_tokens", "output_tokens"):
        if summed.get(unit, 0) < quantities.get(unit, 0):
            why = f"the iterations' {unit} {summed.get(unit, 0)} are fewer than all, {quantities[unit]}"
            whole: Edits = tuple(((key,), None) for key in usage if key != "iterations")
            raise Contradiction(why, (((("iterations",), None),), whole))
    told_for_all = ["reasoning_tokens", "web_searches"]
    if summed.get("cache_write_tokens") == quantities.get("cache_write_tokens"):
        told_for_all.append("cache_write_1h_tokens")  # only the top level may split the writes by lifetime
    for unit in told_for_all:
        if unit in quantities:
            summed.setdefault(unit, quantities[unit])
    return summed


def _told(rows: UsageTable, usage: dict[str, Any]) -> dict[str, int]:
    """Return the quantities of one usage object. If it gives cache writes only by lifetime, sum these."""
    if usage.get("cache_creation_input_tokens") is None and usage.get("cache_creation"):
        ages = [many for many in as_dict(usage["cache_creation"]).values() if type(many) is int and many > 0]
        usage = {**usage, "cache_creation_input_tokens": sum(ages)} if ages else usage
    return usage_table.count(rows, usage)


def by_model(
    rows: UsageTable, usage: dict[str, Any], model: str | None, counted: CountUsage = count
) -> dict[str, dict[str, int]]:
    """Return the quantities of each model that took part. An iteration without a model belongs to the answer's model.

    Quantities that only the top level reports, such as searches, go to the answer's model as far as they fit.
    Raises Contradiction.
    """
    found: dict[str, dict[str, int]] = {}
    for iteration in map(as_dict, as_list(usage.get("iterations"))):
        sums = found.setdefault(optional_text(iteration.get("model")) or model or "", {})
        for unit, quantity in _told(rows, iteration).items():
            sums[unit] = sums.get(unit, 0) + quantity
    for unit, quantity in counted(rows, usage).items() if len(found) > 1 else ():
        _give(unit, quantity, [found[one] for one in sorted(found, key=lambda name: name != (model or ""))])
    return found


def _give(unit: str, quantity: int, parts: list[dict[str, int]]) -> None:
    """Add the rest of `quantity` to the parts in order. No part gets more than fits into its own total."""
    left = quantity - sum(part.get(unit, 0) for part in parts)
    for part in parts:
        total = _TOTALS.get(unit)
        given = left if total is None else min(left, part.get(total, 0) - part.get(unit, 0))
        if given > 0:
            part[unit] = part.get(unit, 0) + given
            left -= given


def count_contained(rows: UsageTable, usage: dict[str, Any]) -> dict[str, int]:
    """Return the quantities of a message that names a container, with one billed code session.

    Usage does not report the session (Anthropic API reference, code execution tool; 2026-11-27). Raises Contradiction.
    """
    quantities = count(rows, usage)
    return {**quantities, "code_sessions": 1} if quantities else quantities
