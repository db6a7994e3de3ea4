"""Providers: their errors and latency, and whether their counts agree with pertoken's."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from pertoken.core.access import Action
from pertoken.core.periods import DAY_US, format_time
from pertoken.core.provider_errors import ErrorKind
from pertoken.ports.months import EventsArchived
from pertoken.services.explore import METRICS, Question, explore
from pertoken.services.provider_errors import provider_errors
from pertoken.services.served import BY, AllServed, ServedBy, served
from pertoken.web import grid, shown
from pertoken.web.chart import BARS, OTHER, Chart, Drawn
from pertoken.web.grid import Cells, Column
from pertoken.web.page import NotHere, Page, PageContext, Visit
from pertoken.web.shown import HUES, Figure

TOP = 6
QUANTILES = ("p50_ms", "p95_ms", "p99_ms")
NONE = "(none)"
WORDS = {
    ErrorKind.NOT_SENT: "not sent: the request could not be made as the provider needs it",
    ErrorKind.UNREACHABLE: "no connection",
    ErrorKind.TIMED_OUT: "timed out",
    ErrorKind.BROKE_OFF: "the answer broke off, or could not be read",
    ErrorKind.CUT: "cut: the stream made more than was held for it",
    ErrorKind.RATE_LIMITED: "rate limited (429)",
    ErrorKind.DENIED: "denied (401, 403)",
    ErrorKind.REJECTED: "rejected (other 4xx)",
    ErrorKind.SERVER_ERROR: "server error (5xx)",
}


def show(visit: Visit) -> PageContext:
    """Return the providers' figures by model, and their failures by day. Raises NotHere."""
    may_doubt = visit.may(Action.COUNTS_READ) and visit.view.is_whole
    doubts = visit.opened.archive.doubts() if may_doubt else []
    since_us, until_us = visit.range.since_us, visit.range.until_us
    try:
        found = served(visit.opened.archive, since_us, until_us, visit.zone, doubts)
    except EventsArchived as error:
        message = "Part of this period is archived: begin and end on whole quarters of an hour"
        raise NotHere(f"{message} ({error}).") from error
    total = found.total.figures
    names = list(dict.fromkeys(one.provider for one in found.rows))[:HUES]
    hues = dict(zip(names, shown.hues(names), strict=True))
    return {
        "calls": shown.count(total["calls"]), "failed": shown.share(total["failed_calls"], total["calls"]),
        "failed_calls": shown.count(total["failed_calls"]),
        "estimated": shown.share(total["estimated_calls"], total["calls"]),
        "first_byte": found.total.first_byte, "took_all": found.total.total,
        "by_day": [_chart(visit, "failed", "Failed calls", hues), _chart(visit, "calls", "Calls", hues)],
        "errors": _errors(visit),
        "grid": _grid(visit, found, may_doubt=may_doubt), "doubts": doubts, "may_doubt": may_doubt,
    }  # fmt: skip


class _Errors(NamedTuple):
    """The attempts that failed in one way, and who failed most of them."""

    kind: str
    attempts: Figure
    provider: Figure
    model: Figure
    of_those: Figure


def _errors(visit: Visit) -> list[_Errors]:
    """Return the attempts that providers failed, by kind, the most frequent first."""
    found = provider_errors(visit.opened.archive, visit.range.since_us, visit.range.until_us, BY, visit.zone, {})
    attempts: dict[ErrorKind, list[tuple[int, str, str]]] = {}
    for (provider, model), kinds in found.items():
        for kind, number in kinds.items():
            attempts.setdefault(kind, []).append((number, provider, model))
    rows = sorted(((sum(one[0] for one in of), kind, max(of)) for kind, of in attempts.items()), reverse=True)
    return [
        _Errors(WORDS[kind], shown.count(all_of), shown.name(provider), shown.name(model), shown.count(most))
        for all_of, kind, (most, provider, model) in rows
    ]


def _chart(visit: Visit, metric: str, title: str, hues: Mapping[str, int]) -> Chart:
    step = visit.range.step("hour" if visit.range.until_us - visit.range.since_us <= 2 * DAY_US else "day")
    question = Question(
        METRICS[metric], ("provider",), step, visit.range.since_us, visit.range.until_us, visit.zone, visit.now_us
    )
    found = explore(visit.opened.archive, question)
    top, other = found.top(TOP)
    drawn = [Drawn(one.values[0] or NONE, one.points, hues.get(one.values[0], OTHER)) for one in top]
    if other is not None:
        drawn.append(Drawn(f"other ({len(found.tracks) - TOP})", other.points))
    empty = "No call failed in this time." if metric == "failed" else "There was no call in this time."
    return Chart(
        metric, title, BARS, found.spans, drawn, step, visit.zone, visit.now_us, unit="calls", low=True, empty=empty
    )


def _grid(visit: Visit, found: AllServed, *, may_doubt: bool) -> grid.Grid:
    rows = [_row(one) for one in found.rows]
    span = f"--since {format_time(visit.range.since_us)} --until {format_time(visit.range.until_us)}"
    return grid.listed(
        visit, _columns(visit, may_doubt=may_doubt), rows, sort="-calls",
        total=_row(found.total) | {"provider": None, "model": None} if rows else None,
        empty="No provider was called in this time.",
        command=f"pertoken latency --by provider,model {span} --tz {visit.zone}",
    )  # fmt: skip


def _row(one: ServedBy) -> dict[str, Any]:
    figures = one.figures
    times = {
        f"{name}_{quantile}": None if found[quantile] is None else found[quantile] * 1_000
        for name, found in (("first", one.first_byte), ("total", one.total))
        for quantile in QUANTILES
    }
    calls = figures["calls"]
    return {
        "provider": one.provider or NONE, "model": one.model or NONE, "of": (one.provider, one.model), "calls": calls,
        "failed": figures["failed_calls"], "hung_up": figures["hung_up_calls"],
        "failed_share": Decimal(figures["failed_calls"]) / calls if calls else None,
        "estimated": Decimal(figures["estimated_calls"]) / calls if calls else None,
        "timed": one.total["calls"], **times,
        "counts": None if one.doubt is None else f"{one.doubt.reported_tokens:,} for {one.doubt.counted_tokens:,}",
    }  # fmt: skip


def _columns(visit: Visit, *, may_doubt: bool) -> list[Column]:
    def to_provider(row: grid.GridRow) -> str | None:
        return visit.link("/explore", by="model", metric="calls", provider=row["of"][0]) if row["of"][0] else None

    def to_model(row: grid.GridRow) -> str | None:
        provider, model = row["of"]
        if not (provider and model):
            return None
        return visit.link("/explore", by="key", metric="calls", provider=provider, model=model)

    def to_failed(row: grid.GridRow) -> str | None:
        provider, model = row["of"]
        if not (row["failed"] and provider and model and visit.may(Action.CALLS_READ)):
            return None
        return visit.link("/calls", status="failed", provider=provider, model=model)

    columns = [
        Column("provider", "provider", Cells.NAME, to_provider, beneath=True),
        Column("model", "model", Cells.NAME, to_model, narrow=True),
        Column("calls", "calls", Cells.COUNT),
        Column("failed", "failed", Cells.COUNT, to_failed, narrow=True),
        Column("failed_share", "of calls", Cells.PERCENT),
        Column("hung_up", "hung up", Cells.COUNT, hidden=True),
        Column("estimated", "estimated", Cells.PERCENT),
        Column("timed", "timed", Cells.COUNT, hidden=True),
    ]
    for name, words in (("first", "first byte"), ("total", "total")):
        columns += [
            Column(f"{name}_{quantile}", f"{words} {quantile[:3]}" if not at else quantile[:3], Cells.TOOK)
            for at, quantile in enumerate(QUANTILES)
        ]
    return [*columns, Column("counts", "reported for counted", Cells.TEXT, hidden=True)] if may_doubt else columns


PAGE = Page("/providers", "Providers", Action.CALLS_READ, show, "pages/providers.html", "Operate")
