"""Sums of usage by any dimensions, from hourly roll-ups."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from pertoken.core.budgets import Attribution, is_dimension
from pertoken.core.ledger import Event, EventStatus
from pertoken.core.periods import US_PER_SECOND, Window, bounds, load_zone

SUMS = (
    "calls", "unpriced_calls", "input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens",
    "reasoning_tokens", "cost_picos", "price_picos",
)  # fmt: skip

TIME_DIMENSIONS = {"hour": Window.HOUR, "day": Window.DAY, "week": Window.WEEK, "month": Window.MONTH}
_FORMATS = {"day": "%Y-%m-%d", "week": "%G-W%V", "month": "%Y-%m"}


class Rollup(NamedTuple):
    """The sums of one hour, one attribution and one currency, in the order of SUMS."""

    hour_us: int
    attribution: Attribution
    currency: str
    sums: tuple[int, ...]


class Group(NamedTuple):
    """One row of a report: the values it is grouped by, and its sums in the order of SUMS."""

    values: tuple[str, ...]
    currency: str
    sums: tuple[int, ...]


def event_sums(event: Event) -> tuple[int, ...]:
    """Return what one event adds to its roll-up, in the order of SUMS."""
    quantities = event.quantities
    unpriced = int(event.status is not EventStatus.PRICED)
    return (
        1 if event.corrects is None else 0,
        unpriced if event.corrects is None else unpriced - event.was_unpriced,
        quantities.get("input_tokens", 0),
        quantities.get("cache_read_tokens", 0),
        quantities.get("cache_write_tokens", 0),
        quantities.get("output_tokens", 0),
        quantities.get("reasoning_tokens", 0),
        event.cost_picos,
        event.price_picos,
    )


def is_report_dimension(name: str) -> bool:
    """Tell whether a report can be grouped by `name`."""
    return name in TIME_DIMENSIONS or is_dimension(name)


def group(rollups: Iterable[Rollup], by: Sequence[str], zone: str) -> list[Group]:
    """Return the sums of `rollups` by the dimensions of `by`; absent values are the empty text.

    Times come first in order, then the dearest rows. Raises KeyError for no dimension.
    """
    totals: dict[tuple[tuple[str, ...], str], list[int]] = {}
    for rollup in rollups:
        values = tuple(_value(rollup, dimension, zone) for dimension in by)
        row = totals.setdefault((values, rollup.currency), [0] * len(SUMS))
        for at, amount in enumerate(rollup.sums):
            row[at] += amount
    times = [at for at, dimension in enumerate(by) if dimension in TIME_DIMENSIONS]
    groups = [Group(values, currency, tuple(sums)) for (values, currency), sums in totals.items()]
    return sorted(groups, key=lambda row: ([row.values[at] for at in times], -row.sums[7], row.values))


def is_whole_hour_zone(zone: str, at_us: int) -> bool:
    """Tell whether the days of `zone` begin on whole hours of UTC, so that hourly sums can say them."""
    offset = datetime.fromtimestamp(at_us // US_PER_SECOND, UTC).astimezone(load_zone(zone)).utcoffset()
    assert offset is not None
    return offset.total_seconds() % 3600 == 0


def _value(rollup: Rollup, dimension: str, zone: str) -> str:
    window = TIME_DIMENSIONS.get(dimension)
    if window is None:
        return rollup.attribution.value(dimension) or ""
    start_us, _ = bounds(window, rollup.hour_us, zone)
    local = datetime.fromtimestamp(start_us // US_PER_SECOND, UTC).astimezone(load_zone(zone))
    return local.isoformat() if dimension == "hour" else local.strftime(_FORMATS[dimension])  # RFC 3339
