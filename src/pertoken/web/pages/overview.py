"""Overview: what was spent, by whom, and what needs attention."""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from itertools import accumulate
from typing import NamedTuple

from pertoken.core.access import Action
from pertoken.core.money import format_amount
from pertoken.core.movers import Cause, Consumed, Mover
from pertoken.core.periods import DAY_US, Window, bounds
from pertoken.services.explore import METRICS, Explored, Question, explore
from pertoken.services.movers import find_movers
from pertoken.services.price_changes import price_changes
from pertoken.services.spending import Day, Figures, Spending
from pertoken.web import attention, chart, shown
from pertoken.web.budget_bars import budget_bars
from pertoken.web.chart import BARS, Chart, Drawn
from pertoken.web.page import Page, PageContext, Visit
from pertoken.web.ranges import days_before, month_before, quarter
from pertoken.web.shown import Figure

TOP = 5  # models that the chart shows separately
BUDGETS_SHOWN = 5
DAYS = 30  # points of a sparkline
WEEK = 7
DAYS_MAX = 200  # the most days that are read at once; a longer range is summed separately
NONE = "(none)"


class KeyFigure(NamedTuple):
    """One key figure with its period, and the earlier value for comparison."""

    label: str
    value: Figure
    note: str
    points: Sequence[float]
    tone: str = ""
    address: str | None = None


class MoverRow(NamedTuple):
    """One line of What moved."""

    dimension: str
    name: str
    cause: str
    before: Figure
    now: Figure
    change: Figure
    tone: str
    address: str | None


class FigureLine(NamedTuple):
    """One line of a list of figures."""

    label: str
    value: Figure
    note: str = ""
    address: str | None = None


class Shares(NamedTuple):
    """The figures of the range, and those of the preceding period for comparison."""

    metric: str  # cost; price, if the visitor may not see costs; calls, if there is no price either
    currency: str
    now: Figures
    before: Figures
    refused: int

    @property
    def column(self) -> str:
        """The name of the metric in the figures."""
        return self.metric if self.metric == "calls" else f"{self.metric}_picos"


def show(visit: Visit) -> PageContext:
    """Return the figures of the range, of today and of this month, each with the preceding period."""
    archive = visit.opened.archive
    metric, found = _spent(visit)
    currency = found.currency or "USD"
    refused_lately = archive.refused_counts(_days_ago(visit, WEEK - 1), visit.now_us)
    refused = sum(archive.refused_counts(visit.range.since_us, visit.range.until_us).values())
    spending = _read_days(visit, currency)
    now = spending.of(visit.range.since_us, visit.range.until_us)
    shares = Shares(metric, currency, now, spending.of(*visit.range.compared(visit.now_us)), refused)
    may_budgets = visit.may(Action.BUDGETS_READ)
    budgets = budget_bars(visit, attention.refused_budgets(refused_lately)) if may_budgets else []
    return {
        "keys": list(_keys(visit, shares, spending)),
        "chart": _chart(visit, metric, found), "links": _links(visit, found),
        "others": [one for one in found.currencies if one != currency] if metric != "calls" else [],
        "budgets": budgets[:BUDGETS_SHOWN], "more_budgets": len(budgets) - BUDGETS_SHOWN, "may_budgets": may_budgets,
        "moved": _moved(visit, currency) if metric == "cost" else None, "currency": currency, "metric": metric,
        "notices": attention.notices(visit, budgets, refused_lately, now),
        "tokens": list(_tokens(visit, shares)), "quality": list(_quality(visit, shares)),
    }  # fmt: skip


def _spent(visit: Visit) -> tuple[str, Explored]:
    """Return a chart by model, with the metric that the visitor may see and that has values."""

    def ask(metric: str) -> Explored:
        question = Question(
            METRICS[metric], ("provider", "model"), _step(visit), visit.range.since_us, visit.range.until_us,
            visit.zone, visit.now_us, currency=visit.query.get("currency"),
        )  # fmt: skip
        return explore(visit.opened.archive, question)

    if visit.may(Action.COSTS_READ):
        return "cost", ask("cost")
    found = ask("price")
    return ("price", found) if found.total.total else ("calls", ask("calls"))


def _step(visit: Visit) -> str:
    return visit.range.step("hour" if visit.range.until_us - visit.range.since_us <= 2 * DAY_US else "day")


def _days_ago(visit: Visit, days: int) -> int:
    return days_before(bounds(Window.DAY, visit.now_us, visit.zone)[0], days, visit.zone)


def _read_days(visit: Visit, currency: str) -> Spending:
    """Read all days that the page needs: the range, the period before it, this month and last month."""
    month_us = bounds(Window.MONTH, visit.now_us, visit.zone)[0]
    before_us = bounds(Window.MONTH, month_us - 1, visit.zone)[0]
    since_us = min(before_us, _days_ago(visit, DAYS - 1))
    if bounds(Window.DAY, visit.range.since_us, visit.zone)[0] == visit.range.since_us:
        since_us = min(since_us, max(visit.range.compared(visit.now_us)[0], visit.now_us - DAYS_MAX * DAY_US))
    since_us = bounds(Window.DAY, since_us, visit.zone)[0]
    end_us = bounds(Window.DAY, visit.now_us, visit.zone)[1]
    return Spending(visit.opened.archive, since_us, end_us, visit.zone, currency)


def _keys(visit: Visit, of: Shares, spending: Spending) -> Iterator[KeyFigure]:
    yield _today(visit, of, spending)
    yield _month(visit, of, spending)
    over, lately = visit.range.label.lower(), _in_range(visit, spending.days)
    calls = of.now["calls"]
    failed = f"{shown.share(of.now['failed_calls'], calls)} failed, " if calls else ""
    yield KeyFigure(
        f"Calls, {over}", shown.count(calls), f"{failed}{shown.count(of.refused)} refused",
        [float(day.figures["calls"]) for day in lately],
        address=visit.link("/calls") if visit.may(Action.CALLS_READ) else None,
    )  # fmt: skip
    yield KeyFigure(
        f"Input from cache, {over}", shown.share(of.now["cache_read_tokens"], of.now["input_tokens"]),
        _points(of.now, of.before), [float(_cached(day.figures) or 0) for day in lately],
    )  # fmt: skip


def _in_range(visit: Visit, days: Sequence[Day]) -> Sequence[Day]:
    """Return the days of the range that were read; for a range of one day, the days up to it."""
    until = [day for day in days if day.start_us < visit.range.until_us]
    within = [day for day in until if day.start_us >= visit.range.since_us]
    return within if len(within) != 1 else until[-DAYS:]


def _today(visit: Visit, of: Shares, spending: Spending) -> KeyFigure:
    today_us, end_us = bounds(Window.DAY, visit.now_us, visit.zone)
    before_us = days_before(today_us, WEEK, visit.zone)
    until_us = max(before_us, quarter(days_before(visit.now_us, WEEK, visit.zone)))
    word = f"last {chart.local(before_us, visit.zone):%A}, up to {chart.local(until_us, visit.zone):%H:%M}"
    points = [_amount(of, day.figures) for day in spending.days[-DAYS:]]
    return _spending(of, "today", spending.of(today_us, end_us), (word, spending.of(before_us, until_us)), points)


def _month(visit: Visit, of: Shares, spending: Spending) -> KeyFigure:
    month_us = bounds(Window.MONTH, visit.now_us, visit.zone)[0]
    before_us = bounds(Window.MONTH, month_us - 1, visit.zone)[0]
    until_us = max(before_us, month_before(visit.now_us, visit.zone))
    last = chart.local(max(before_us, until_us - 1), visit.zone)
    word = f"1 to {last.day} {last:%B}" if last.day > 1 else f"1 {last:%B}"
    at = f"{chart.local(until_us, visit.zone):%H:%M}"
    word += "" if at == "00:00" else f", up to {at}"  # midnight: to the end of the last day
    points = accumulate((_amount(of, day.figures) for day in spending.days if day.start_us >= month_us), initial=0.0)
    end_us = bounds(Window.DAY, visit.now_us, visit.zone)[1]
    label = f"in {chart.local(month_us, visit.zone):%B}"
    then = (word, spending.of(before_us, until_us))
    return _spending(of, label, spending.of(month_us, end_us), then, list(points))


def _spending(of: Shares, when: str, now: Figures, then: tuple[str, Figures], points: Sequence[float]) -> KeyFigure:
    word, before = then
    if of.metric == "calls":
        change = shown.change(now["calls"], before["calls"])
        return KeyFigure(f"Calls {when}", shown.count(now["calls"]), f"{change} against {word}", points)
    figures = [Decimal(format_amount(one[of.column], of.currency)) for one in (now, before)]
    rise = figures[0] - figures[1]
    tone = "" if not rise or not figures[1] else "bad" if rise > 0 else "good"
    value = shown.amount(figures[0], of.currency)
    return KeyFigure(f"Spent {when}, {of.currency}", value, f"{shown.change(*figures)} against {word}", points, tone)


def _amount(of: Shares, figures: Figures) -> float:
    """Return the metric of some figures as a float, for drawing."""
    return float(figures[of.column])


def _cached(figures: Figures) -> Decimal | None:
    return Decimal(figures["cache_read_tokens"]) / figures["input_tokens"] if figures["input_tokens"] else None


def _points(now: Figures, before: Figures) -> str:
    share, was = _cached(now), _cached(before)
    if share is None or was is None:
        return "of all input tokens"
    points = (share - was) * 100
    sign = "▲" if points > 0 else "▼"
    return f"{sign} {abs(points):.1f} points against the time before" if points else "as in the time before"


def _chart(visit: Visit, metric: str, found: Explored) -> Chart:
    top, other = found.top(TOP)
    names = _names(found)
    drawn = [
        Drawn(names[one.values], one.points, hue)
        for one, hue in zip(top, shown.hues(one.values[1] for one in top), strict=True)
    ]
    if other is not None:
        drawn.append(Drawn(f"other ({len(found.tracks) - TOP})", other.points))
    models = [(one.values[0], one.values[1]) for one in top]
    until_us = min(visit.range.until_us, visit.now_us)
    changes = price_changes(visit.site.prices(), models, visit.range.since_us, until_us)
    title = "Calls by model" if metric == "calls" else "Spend by model"
    return Chart(
        "spend", title, BARS, found.spans, drawn, _step(visit), visit.zone, visit.now_us,
        "" if metric == "calls" else found.currency, "calls", chart.price_marks(changes) if metric == "cost" else (),
    )  # fmt: skip


def _names(found: Explored) -> dict[tuple[str, ...], str]:
    """Return the names of the models, with the provider if several sell a model of the same name."""
    models = [one.values[1] for one in found.tracks]
    return {
        one.values: f"{one.values[1] or NONE} · {one.values[0]}"
        if models.count(one.values[1]) > 1
        else one.values[1] or NONE
        for one in found.tracks[:TOP]
    }


def _links(visit: Visit, found: Explored) -> dict[str, str]:
    return {
        name: visit.link("/explore", by="key" if visit.may(Action.KEYS_READ) else "provider", model=values[1])
        for values, name in _names(found).items()
        if values[1]
    }


def _moved(visit: Visit, currency: str) -> PageContext:
    since_us, until_us = _days_ago(visit, WEEK - 1), bounds(Window.DAY, visit.now_us, visit.zone)[1]
    before = days_before(since_us, WEEK, visit.zone), quarter(days_before(visit.now_us, WEEK, visit.zone))
    found = find_movers(visit.opened.archive, visit.site.prices(), before, (since_us, until_us), visit.zone, currency)
    keys = {key.key_id: key.name for key in visit.opened.archive.list_keys()} if visit.may(Action.KEYS_READ) else {}
    rows = [_mover_row(visit, one, currency, keys.get(one.name, one.name)) for one in found.movers]
    return {"rows": rows, "total": _mover_row(visit, found.total, currency, "all")}


def _mover_row(visit: Visit, mover: Mover, currency: str, name: str) -> MoverRow:
    change = Decimal(format_amount(mover.change_picos, currency))
    made = shown.amount(change, currency)
    causes = ", ".join(f"{cause} {_signed(part, currency)}" for cause, part in mover.parts.items() if part)
    cause = "cost" if not mover.dimension else str(mover.cause)
    before, now = (_cause_figure(one, cause, currency) for one in (mover.before, mover.now))
    address = None
    if mover.dimension:
        by = "key" if mover.dimension == "model" else "model"
        address = visit.link("/explore", by=by, range="7d", **{mover.dimension: mover.name})
    return MoverRow(
        mover.dimension, name, cause, before, now, Figure(f"+{made.text}" if change > 0 else made.text, causes),
        "bad" if change > 0 else "good" if change < 0 else "", address,
    )  # fmt: skip


def _cause_figure(of: Consumed, cause: str, currency: str) -> Figure:
    """Return the figure that shows how a cause changed."""
    cost = Decimal(format_amount(of.cost_picos, currency))
    if cause == Cause.CALLS:
        return shown.count(of.calls)
    if cause == Cause.MODELS:
        return _per(cost, of.calls, currency, "a call")
    if cause == Cause.TOKENS:
        return shown.count(of.tokens // of.calls if of.calls else None)
    if cause == Cause.CACHED:
        return shown.share(of.cache_read_tokens, of.input_tokens)
    if cause == Cause.PRICE:
        return _per(cost * 10**6, of.tokens, currency, "a million tokens")
    return shown.amount(cost, currency)


def _per(cost: Decimal, number: int, currency: str, what: str) -> Figure:
    if not number:
        return shown.amount(None)
    made = shown.amount(cost / number, currency)
    return Figure(made.text, f"{made.whole} {what}")


def _signed(picos: int, currency: str) -> str:
    text = shown.amount(format_amount(picos, currency), currency).text
    return f"+{text}" if picos > 0 else text


def _tokens(visit: Visit, of: Shares) -> Iterator[FigureLine]:
    """Yield the tokens of each class; input is split into cache reads, cache writes and the rest."""
    now = of.now
    whole = now["input_tokens"] + now["output_tokens"]
    fresh = now["input_tokens"] - now["cache_read_tokens"] - now["cache_write_tokens"]
    for label, tokens, metric in (
        ("Input, not cached", fresh, "input"),
        ("Input, read from cache", now["cache_read_tokens"], "cached"),
        ("Input, written to cache", now["cache_write_tokens"], "cache-write"),
        ("Output", now["output_tokens"], "output"),
    ):
        address = visit.link("/explore", metric=metric, by="model")
        yield FigureLine(label, shown.count(tokens), shown.share(tokens, whole).text, address)
    note = f"{shown.share(now['reasoning_tokens'], now['output_tokens'])} of output"
    address = visit.link("/explore", metric="reasoning", by="model")
    yield FigureLine("Reasoning, within output", shown.count(now["reasoning_tokens"]), note, address)


def _quality(visit: Visit, of: Shares) -> Iterator[FigureLine]:
    """Yield the number of calls that failed or whose cost is not known exactly, by kind."""
    now, calls = of.now, of.now["calls"]
    for label, number, metric in (
        ("Failed at the provider", now["failed_calls"], "failed"),
        ("Client hung up", now["hung_up_calls"], "hung-up"),
        ("Usage estimated", now["estimated_calls"], "estimated"),
        ("Without a price", now["unpriced_calls"], "unpriced"),
    ):
        address = visit.link("/explore", metric=metric, by="model")
        yield FigureLine(label, shown.count(number), shown.share(number, calls).text, address)
    refused = shown.share(of.refused, calls + of.refused).text
    address = visit.link("/explore", metric="refused", by="reason")
    yield FigureLine(
        "Refused before sent", shown.count(of.refused), refused, address if visit.may(Action.KEYS_READ) else None
    )


PAGE = Page("/", "Overview", Action.USAGE_READ, show, "pages/overview.html", "Observe")
