"""How long calls took: p50, p95 and p99 by any dimensions, from the counts of roll-ups."""

from collections.abc import Mapping, Sequence
from typing import Any

from pertoken.core.latency import ERROR_PERCENT, LatencyCounts, Timing, add_counts, calls_of, quantile_us
from pertoken.core.provider_errors import without_errors
from pertoken.core.reporting import attributes, latency_report, slices
from pertoken.ports.archive import SumsView

QUANTILES = {"p50_ms": 500, "p95_ms": 950, "p99_ms": 990}  # of a thousand calls


def latency(  # noqa: PLR0917 - what is asked
    archive: SumsView, since_us: int, until_us: int, by: Sequence[str], zone: str, where: Mapping[str, str]
) -> dict[str, Any]:
    """Return how long the calls of [since, until) took that the gateway sent, by the dimensions of `by`, and in all.

    Each quantile is within `error_percent` of the one of the times themselves. Raises EventsArchived where a range does
    not begin and end on whole quarters of an hour.
    """
    rows = _counts(archive, since_us, until_us, by, zone, where)
    total: LatencyCounts = {}
    for counts in rows.values():
        add_counts(total, counts)
    return {
        "rows": [{**dict(zip(by, values, strict=True)), **_fields(counts)} for values, counts in rows.items()],
        "total": _fields(total),
        "error_percent": ERROR_PERCENT,
        "timezone": zone,
    }


def _counts(  # noqa: PLR0917 - what is asked
    archive: SumsView, since_us: int, until_us: int, by: Sequence[str], zone: str, where: Mapping[str, str]
) -> dict[tuple[str, ...], LatencyCounts]:
    dimensions = attributes(by)
    pieces = slices(since_us, until_us, by, zone)
    rows = latency_report(((piece, archive.latencies(piece, dimensions, where)) for piece in pieces), by, zone)
    times = {values: without_errors(counts) for values, counts in rows.items()}
    return {values: counts for values, counts in times.items() if counts}


def _fields(counts: LatencyCounts) -> dict[str, Any]:
    return {name: _of(counts, kind) for name, kind in (("first_byte", Timing.FIRST_BYTE), ("total", Timing.TOTAL))}


def _of(counts: LatencyCounts, kind: Timing) -> dict[str, int | None]:
    found = {name: quantile_us(counts, kind, permille) for name, permille in QUANTILES.items()}
    told = {name: None if us is None else (us + 500) // 1_000 for name, us in found.items()}
    return {"calls": calls_of(counts, kind), **told}
