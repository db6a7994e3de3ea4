"""How providers served: calls and how they ended, how long they took, and where their counts differ from ours."""

from collections.abc import Mapping
from operator import add
from typing import Any, NamedTuple

from pertoken.core.reporting import NOTHING, SUMS, Sums
from pertoken.core.trust import Doubt
from pertoken.ports.archive import UseView
from pertoken.services.latency import latency
from pertoken.services.reports import groups

BY = ("provider", "model")
Times = Mapping[str, Any]  # calls, p50_ms, p95_ms, p99_ms


class ServedBy(NamedTuple):
    """What one provider did with one model."""

    provider: str
    model: str
    figures: Mapping[str, int]  # by the names in SUMS
    first_byte: Times  # of the calls that the gateway sent
    total: Times
    doubt: Doubt | None  # the disagreement of counts that is in force


class AllServed(NamedTuple):
    """All of them, the most called first, and together."""

    rows: list[ServedBy]
    total: ServedBy


def served(archive: UseView, since_us: int, until_us: int, zone: str, doubts: list[Doubt]) -> AllServed:
    """Return how the calls of [since, until) were served. Raises EventsArchived as a report of latency does."""
    sums: dict[tuple[str, ...], Sums] = {}
    for row in groups(archive, since_us, until_us, BY, zone):
        sums[row.values] = tuple(map(add, sums.get(row.values, NOTHING), row.sums))
    times = latency(archive, since_us, until_us, BY, zone, {})
    of_kind = {(row["provider"], row["model"]): row for row in times["rows"]}
    doubted = {(one.provider, one.model): one for one in doubts}
    none = {"first_byte": _UNTIMED, "total": _UNTIMED}
    rows = []
    for (provider, model), found in sums.items():
        took = of_kind.get((provider, model), none)
        rows.append(
            ServedBy(provider, model, _named(found), took["first_byte"], took["total"], doubted.get((provider, model)))
        )
    whole = NOTHING
    for found in sums.values():
        whole = tuple(map(add, whole, found))
    took = times["total"]
    total = ServedBy("", "", _named(whole), took["first_byte"], took["total"], None)
    return AllServed(sorted(rows, key=lambda one: (-one.figures["calls"], one.provider, one.model)), total)


_UNTIMED: Times = {"calls": 0, "p50_ms": None, "p95_ms": None, "p99_ms": None}


def _named(sums: Sums) -> dict[str, int]:
    return dict(zip(SUMS, sums, strict=True))
