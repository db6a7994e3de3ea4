"""Explore: any figure by any two dimensions, over time and as a table. The address contains the whole state."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from pertoken.core.access import Action
from pertoken.core.budgets import DIMENSIONS
from pertoken.core.money import format_amount
from pertoken.core.reporting import CALLS, COST, SOLD, UNCOUNTED
from pertoken.core.texts import tidy
from pertoken.ports.months import EventsArchived, FolderFailed
from pertoken.services.explore import METRICS, REFUSED, STEPS, Explored, Question, Track, explore
from pertoken.services.price_changes import price_changes
from pertoken.services.reports import Part
from pertoken.services.saved_views import list_views
from pertoken.web import chart, grid, shown
from pertoken.web.acting import act
from pertoken.web.asked import BY, STACKED, STEP_WORDS, TOPS, Exploring, api_of, command_of, read_view
from pertoken.web.chart import ALL, AREAS, BARS, LINES, OTHER, Chart, Drawn
from pertoken.web.grid import Cells, Column
from pertoken.web.page import Deed, Done, NotHere, Page, PageContext, Visit
from pertoken.web.pages.prices import address
from pertoken.web.shown import Figure

BARS_MAX = 62  # the most steps that are drawn as bars; more are drawn as areas
NONE = "(none)"
STATE = ("metric", "by", "then", "step", "top", "chart", "cumulative", "compare", "currency")
FORM_TAG = "tag"
PASSING = ("from", "q", "format", "of")  # parts of an address that are not part of a view


def show(visit: Visit) -> PageContext:
    """Return a chart, and a table of its groups."""
    view = read_view(visit)
    found = _ask(visit, view, visit.range.since_us, visit.range.until_us)
    before = _ask(visit, view, *visit.range.compared(visit.now_us), found.currency) if view.compares else None
    names = {key.key_id: key.name for key in visit.opened.archive.list_keys()} if "key" in view.by else {}
    whole = (found.total.total, None if before is None else before.total.total)
    drawn = _chart(visit, view, found, before, names)
    wants_chart = visit.query.get("of") == "chart" and "format" in visit.query
    return {
        "view": view,
        "metrics": [one for one in METRICS.values() if one.name != "cost" or visit.may(Action.COSTS_READ)],
        "steps": STEPS, "step_words": STEP_WORDS, "tops": TOPS, "by": view.choices, "dimensions": DIMENSIONS,
        "chart": drawn,
        "grid": _points_grid(visit, view, drawn) if wants_chart else _grid(visit, view, found, before, names),
        "total": _figure(view, found.total, found.currency),
        "change": "" if whole[1] is None else _change(view, whole[0], whole[1], found.currency),
        "compared": _compared(visit), "currency": found.currency if view.metric.is_money else "",
        "others": [one for one in found.currencies if one != found.currency] if view.metric.is_money else [],
        "views": list_views(visit.opened.saved_views, visit.principal),
        "filters": _filters(visit, view), "command": command_of(visit, view), "api": api_of(visit, view),
    }  # fmt: skip


def _ask(visit: Visit, view: Exploring, since_us: int, until_us: int, currency: str | None = None) -> Explored:
    part = Part(view.where, folders=visit.site.folders)
    asked = Question(
        view.metric, view.by, view.step, since_us, until_us, visit.zone, visit.now_us, part,
        currency or visit.query.get("currency"), view.top,
    )  # fmt: skip
    try:
        return explore(visit.opened.archive, asked)
    except (EventsArchived, FolderFailed) as error:
        raise NotHere(f"Part of this period is archived, so it cannot be shown in this way: {error}") from error


def _figure(view: Exploring, track: Track, currency: str) -> Figure:
    if not view.metric.is_money:
        return shown.count(track.total)
    return shown.amount(format_amount(track.total, currency) if _is_said(view, track) else None, currency)


def _is_said(view: Exploring, track: Track) -> bool:
    """Tell whether the figure is known: a price is only where some call was given one, a cost where any has a price."""
    if view.metric.name == "cost":
        return not _is_unpriced(track)
    return view.metric.name != "price" or bool(track.sums[SOLD] or track.total)


def _is_unpriced(track: Track) -> bool:
    return 0 < track.sums[CALLS] == track.sums[UNCOUNTED]


def _change(view: Exploring, now: int, before: int, currency: str) -> Figure:
    if not view.metric.is_money:
        return shown.change(now, before)
    return shown.change(*(Decimal(format_amount(one, currency)) for one in (now, before)))


def _compared(visit: Visit) -> str:
    since_us, until_us = visit.range.compared(visit.now_us)
    return f"{shown.day(since_us, visit.zone)} to {shown.day(until_us - 1, visit.zone)}"


def _name(view: Exploring, values: Sequence[str], keys: Mapping[str, str]) -> str:
    parts = [keys.get(value, value) if name == "key" else value for name, value in zip(view.by, values, strict=True)]
    return " / ".join(part or NONE for part in parts) or "all"


def _chart(
    visit: Visit, view: Exploring, found: Explored, before: Explored | None, keys: Mapping[str, str]
) -> Chart:  # fmt: skip
    top, other = found.top(view.top)
    names = [_name(view, one.values, keys) for one in top]
    drawn = [Drawn(name, _points(view, one), hue) for name, one, hue in zip(names, top, shown.hues(names), strict=True)]
    if other is not None:
        drawn.append(Drawn(f"other ({len(found.tracks) - len(top):,})", _points(view, other)))
    if before is not None:
        if view.drawn != STACKED and view.by:
            drawn.append(Drawn("all", _points(view, found.total), ALL))
        points = _points(view, before.total)[: len(found.spans)]
        drawn.append(
            Drawn("all, the time before", (*points, *[None] * (len(found.spans) - len(points))), is_dashed=True)
        )
    stacked = BARS if len(found.spans) <= BARS_MAX and not view.is_cumulative else AREAS
    return Chart(
        "explored", f"{view.metric.label} {STEP_WORDS[view.step]}", stacked if view.drawn == STACKED else LINES,
        found.spans, drawn, view.step, visit.zone, visit.now_us, found.currency if view.metric.is_money else "",
        "calls" if view.metric.column is None or "calls" in view.metric.label.lower() else "tokens",
        chart.price_marks(_changes(visit, view, top)),
    )  # fmt: skip


def _points(view: Exploring, track: Track) -> tuple[int, ...]:
    return track.cumulative().points if view.is_cumulative else track.points


def _points_grid(visit: Visit, view: Exploring, drawn: Chart) -> grid.Grid:
    """Return the points of the chart as rows for an export, one for each step and series."""
    kind = Cells.AMOUNT if view.metric.is_money else Cells.COUNT
    columns = [Column("start", "start", Cells.TIME), Column("series", "series", Cells.NAME), Column("figure", "", kind)]
    rows = [
        {
            "start": span.start_us, "series": one.name, "currency": drawn.currency,
            "figure": Decimal(format_amount(point, drawn.currency)) if view.metric.is_money else point,
        }
        for one in drawn.drawn
        for span, point in zip(drawn.spans, one.points, strict=True)
        if point is not None
    ]  # fmt: skip
    every = [*columns, Column("currency", "currency")] if view.metric.is_money else columns
    return grid.listed(visit, every, rows, sort="start", empty="", paged=False)


def _changes(visit: Visit, view: Exploring, top: Sequence[Track]) -> Any:
    """Return the changes of the providers' prices, if the chart is of cost by provider and model."""
    if view.metric.name != "cost" or {"provider", "model"} - {*view.by, *view.where}:
        return []
    found = [{**view.where, **dict(zip(view.by, one.values, strict=True))} for one in top]
    models = dict.fromkeys((one["provider"], one["model"]) for one in found)
    until_us = min(visit.range.until_us, visit.now_us)
    return price_changes(visit.site.prices(), models, visit.range.since_us, until_us)


def _grid(
    visit: Visit, view: Exploring, found: Explored, before: Explored | None, keys: Mapping[str, str]
) -> grid.Grid:  # fmt: skip
    then = {one.values: one.total for one in before.tracks} if before else {}
    hues = shown.hues(_name(view, one.values, keys) for one in found.tracks[: view.top])
    rows = [
        _row(view, one, found, then.get(one.values, 0), keys) | {"hue": hues[at] if at < len(hues) else OTHER}
        for at, one in enumerate(found.tracks)
    ]
    nobody = found.total._replace(values=("",) * len(view.by))
    total = _row(view, nobody, found, before.total.total if before else 0, {}) | dict.fromkeys(view.by)
    return grid.listed(
        visit, _columns(visit, view, found, before), rows, sort="-figure", total=total if rows else None,
        empty="Nothing was counted in this time with these filters.", command=command_of(visit, view),
        api=api_of(visit, view),
    )  # fmt: skip


def _row(view: Exploring, one: Track, found: Explored, before: int, keys: Mapping[str, str]) -> dict[str, Any]:
    values = dict(zip(view.by, one.values, strict=True))

    def figure(value: int) -> Decimal | int:
        return Decimal(format_amount(value, found.currency)) if view.metric.is_money else value

    calls = one.sums[CALLS]
    no_price = _is_unpriced(one)
    cost = Decimal(format_amount(one.sums[COST], found.currency)) if found.currency and not no_price else None
    return {
        **{name: (keys.get(value, value) if name == "key" else value) or NONE for name, value in values.items()},
        "all": "all", "values": values, "figure": figure(one.total) if _is_said(view, one) else None,
        "before": figure(before),
        "change": Decimal(one.total - before) / before if before else Decimal(0) if not one.total else None,
        "share": Decimal(one.total) / found.total.total if found.total.total else None, "calls": calls, "cost": cost,
        "each": cost / calls if calls and cost is not None else None, "currency": found.currency,
        "no_price": no_price and view.metric.name != "price",
    }  # fmt: skip


def _columns(visit: Visit, view: Exploring, found: Explored, before: Explored | None) -> list[Column]:
    def deeper(row: grid.GridRow) -> str | None:
        named = {name: value for name, value in row["values"].items() if value}
        if len(named) < len(row["values"]):
            return None
        rest = [name for name in BY if name not in {**named, **view.where}]
        if view.metric.name == REFUSED or not rest:
            return to_calls(row)
        return visit.here(by=rest[0], then=None, **{"from": None, "q": None, "sort": None}, **named)

    def to_calls(row: grid.GridRow) -> str | None:
        where = {**view.where, **row["values"]}
        if not visit.may(Action.CALLS_READ) or not all(where.values()) or not set(where) <= set(DIMENSIONS):
            return None
        return visit.link("/calls", **where)

    refused = view.metric.name == REFUSED
    columns = [
        Column(name, name, Cells.NAME, deeper, narrow=not at, beneath=at > 0, dot=not at)
        for at, name in enumerate(view.by)
    ]
    columns = columns or [Column("all", "all", Cells.NAME, narrow=True)]
    kind = Cells.AMOUNT if view.metric.is_money else Cells.COUNT
    columns.append(
        Column(
            "figure",
            view.metric.label.lower(),
            kind,
            None if refused else lambda row: _to_price(visit, view, row) or to_calls(row),
            narrow=True,
        )
    )
    if before is not None:
        columns += [Column("before", "before", kind), Column("change", "change", Cells.RISE)]
    columns.append(Column("share", "share", Cells.SHARE))
    if view.metric.name != "calls" and not refused:
        columns.append(Column("calls", "calls", Cells.COUNT, to_calls))
    if found.currency and visit.may(Action.COSTS_READ) and not refused:
        columns += [] if view.metric.name == "cost" else [Column("cost", "cost", Cells.AMOUNT)]
        columns.append(Column("each", "cost a call", Cells.AMOUNT))
    return columns


def _to_price(visit: Visit, view: Exploring, row: grid.GridRow) -> str | None:
    """Return where the price of a row's model is stated that has none."""
    provider, model = ({**view.where, **row["values"]}.get(name) for name in ("provider", "model"))
    if not (row["no_price"] and provider and model and visit.may(Action.PRICES_READ)):
        return None
    return address(visit, provider, model)


def _filters(visit: Visit, view: Exploring) -> list[tuple[str, str, str]]:
    """Return each filter with the address that removes it."""
    named = {key.key_id: key.name for key in visit.opened.archive.list_keys()} if "key" in view.where else {}
    return [
        (
            name,
            named.get(value, value) if name == "key" else value,
            visit.here(**{name: None, FORM_TAG: None, "from": None}),
        )
        for name, value in view.where.items()
    ]


def save(visit: Visit, form: Mapping[str, str]) -> Done:
    """Save the state of the address under a name."""
    query = urlencode({name: value for name, value in visit.query.items() if name not in PASSING})
    body = {"name": tidy(form.get("name", "")), "query": query, "shared": form.get("shared") == "1"}
    act(visit, "POST", "/api/v1/views", body=body)
    return Done(visit.here(), f"The view {body['name']} was saved.")


def remove(visit: Visit, form: Mapping[str, str]) -> Done:
    """Remove a view."""
    gone = act(visit, "DELETE", "/api/v1/views/{id}", form.get("view_id", ""))
    return Done(visit.here(), f"The view {gone.name} was removed.")


PAGE = Page(
    "/explore",
    "Explore",
    Action.USAGE_READ,
    show,
    "pages/explore.html",
    "Observe",
    deeds=(Deed("save", Action.VIEWS_WRITE, save), Deed("remove", Action.VIEWS_WRITE, remove)),
)
