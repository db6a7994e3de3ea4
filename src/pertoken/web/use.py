"""The usage of one key, team or customer in the range: figures, days, a breakdown, and its newest calls."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple
from urllib.parse import urlencode

from pertoken.core.access import Action
from pertoken.core.calls import marks
from pertoken.core.events import Event, EventStatus
from pertoken.core.money import format_amount
from pertoken.core.periods import DAY_US, days, format_time
from pertoken.core.reporting import SUMS
from pertoken.ports.events import Posted, Search
from pertoken.services.reports import Part, groups, together, usage
from pertoken.web import shown
from pertoken.web.page import Visit, place
from pertoken.web.shown import Figure

ROWS = 12  # rows of one table; the rest becomes one more row
CALLS = 10
BAR_HEIGHT = 72
DAYS_MAX = 120  # bars


class Bar(NamedTuple):
    """One day, as a bar."""

    x: float
    height: float
    width: float
    tip: str
    address: str | None


class UsedPiece(NamedTuple):
    """One value of a dimension, with its usage."""

    name: Figure
    address: str | None
    calls: Figure
    tokens: Figure
    amount: Figure
    share: float


class Spent(NamedTuple):
    """The usage of one value of a dimension, in one currency."""

    calls: int
    tokens: int
    cost: Decimal | None  # None: no call has a price
    price: Decimal | None  # the amount charged to the customer; None: nothing was charged
    currency: str
    no_price: bool = False


UNUSED = (Spent(0, 0, Decimal(0), None, "USD"),)  # the figures of a value without usage in the range


class Use(NamedTuple):
    """The usage in the range."""

    sees_cost: bool
    currency: str
    cost: Figure  # the price, for a visitor who may not see the cost
    others: str  # the amounts in other currencies: also 30.40 USD
    change: Figure
    calls: Figure
    tokens: Figure
    cached: Figure
    failed: Figure
    bars: Sequence[Bar]
    pieces: Mapping[str, Sequence[UsedPiece]]  # by dimension
    api: str

    @property
    def word(self) -> str:
        """What the amounts are: costs or prices."""
        return "Spent" if self.sees_cost else "Charged"


def of(visit: Visit, where: Mapping[str, str], by: Sequence[str]) -> Use:
    """Return the usage that matches `where`, by each dimension of `by`."""
    archive, range_, part = visit.opened.archive, visit.range, Part(where)
    report = usage(archive, range_.since_us, range_.until_us, (), range_.zone, part)
    total = together(report)
    before = _in_currency(usage(archive, *range_.before, (), range_.zone, part), total["currency"])
    span = {"since": format_time(range_.since_us), "until": format_time(range_.until_us)}
    return Use(
        visit.may(Action.COSTS_READ),
        total["currency"],
        _figure(visit, total),
        also(visit, report, total["currency"]),
        shown.change(_amount(visit, total) or Decimal(0), _amount(visit, before) or Decimal(0)),
        shown.count(total["calls"]),
        shown.count(total["input_tokens"] + total["output_tokens"]),
        shown.share(total["cache_read_tokens"], total["input_tokens"]),
        shown.share(total["failed_calls"], total["calls"]),
        _bars(visit, where),
        {dimension: _pieces(visit, where, dimension, total) for dimension in by},
        f"/api/v1/usage?{urlencode({**span, **where, 'by': ','.join(by)})}",
    )


def also(visit: Visit, report: Mapping[str, Any], currency: str) -> str:
    """Say what a report comes to in other currencies than this one; empty where there is none."""
    others = [(_amount(visit, one), one["currency"]) for one in report["totals"] if one["currency"] != currency]
    amounts = [f"{shown.amount(amount).text} {other}" for amount, other in others if amount is not None]
    return f"also {', '.join(amounts)}" if amounts else ""


def _in_currency(report: Mapping[str, Any], currency: str) -> Mapping[str, Any]:
    """Return the total in one currency; nothing where there is none."""
    return next((one for one in report["totals"] if one["currency"] == currency), {"cost": "0", "price": "0"})


def by_value(visit: Visit, dimension: str) -> dict[str, list[Spent]]:
    """Return the usage of each value of a dimension, one row for each currency. There may be very many values."""
    range_ = visit.range
    rows: dict[str, list[Spent]] = {}
    for row in groups(visit.opened.archive, range_.since_us, range_.until_us, (dimension,), range_.zone):
        sums = dict(zip(SUMS, row.sums, strict=True))
        no_price = 0 < sums["calls"] == sums["uncounted_calls"]
        is_sold = sums["sold_calls"] or sums["price_picos"]
        rows.setdefault(row.values[0], []).append(
            Spent(
                sums["calls"],
                sums["input_tokens"] + sums["output_tokens"],
                None if no_price else Decimal(format_amount(sums["cost_picos"], row.currency)),
                Decimal(format_amount(sums["price_picos"], row.currency)) if is_sold else None,
                row.currency,
                no_price,
            )
        )
    return rows


def _amount(visit: Visit, row: Mapping[str, Any]) -> Decimal | None:
    text = row["cost"] if visit.may(Action.COSTS_READ) else row["price"]
    return None if text is None else Decimal(text)


def _figure(visit: Visit, row: Mapping[str, Any]) -> Figure:
    """Return what a row cost, or that nothing of it has a price; for who may not see costs, what was charged."""
    known = shown.amount(_amount(visit, row), row["currency"])
    return shown.unpriced(known, row["calls"], row["uncounted_calls"]) if visit.may(Action.COSTS_READ) else known


def _bars(visit: Visit, where: Mapping[str, str]) -> list[Bar]:
    """Return the days of the range as bars, scaled to the dearest day; none for a long range."""
    range_ = visit.range
    if not _is_short(visit):
        return []
    spans = list(days(range_.since_us, range_.until_us, range_.zone))
    rows = usage(visit.opened.archive, range_.since_us, range_.until_us, ("day",), range_.zone, Part(where))["rows"]
    found = {row["day"]: row for row in reversed(rows)}
    amounts = [_amount(visit, row) or Decimal(0) for row in found.values()]
    most = max(amounts, default=Decimal(0))
    bars = []
    for at, (start_us, end_us) in enumerate(spans):
        row = found.get(shown.iso_day(start_us, range_.zone))
        amount = (_amount(visit, row) or Decimal(0)) if row else Decimal(0)
        height = float(amount / most) * BAR_HEIGHT if most > 0 else 0.0
        tip = f"{shown.day(start_us, range_.zone)}: {shown.amount(amount).text}, {row['calls'] if row else 0:,} calls"
        span = {"since": format_time(start_us), "until": format_time(end_us)}
        address = visit.link("/calls", range=None, **span, **where) if visit.may(Action.CALLS_READ) else None
        width = 1000 / len(spans)
        bars.append(
            Bar(
                round(at * width, 2), round(max(height, 1.0 if amount else 0.0), 2), round(width * 0.8, 2), tip, address
            )
        )
    return bars


def _is_short(visit: Visit) -> bool:
    return visit.range.until_us - visit.range.since_us <= DAYS_MAX * DAY_US


def _pieces(visit: Visit, where: Mapping[str, str], dimension: str, total: Mapping[str, Any]) -> list[UsedPiece]:
    """Return the dearest values of a dimension, and the rest as one row."""
    range_ = visit.range
    rows = usage(visit.opened.archive, range_.since_us, range_.until_us, (dimension,), range_.zone, Part(where))["rows"]
    names = {key.key_id: key.name for key in visit.opened.archive.list_keys()} if dimension == "key" else {}
    whole = _amount(visit, total) or Decimal(0)
    found = [_piece(visit, row, dimension, names, whole) for row in rows[:ROWS]]
    rest = rows[ROWS:]
    if rest and len({row["currency"] for row in rows}) == 1:
        amount = sum((_amount(visit, row) or Decimal(0) for row in rest), Decimal(0))
        tokens = sum(row["input_tokens"] + row["output_tokens"] for row in rest)
        calls = sum(row["calls"] for row in rest)
        name = Figure(f"{len(rest):,} others", f"{len(rest):,} others")
        share = float(amount / whole) if whole else 0.0
        found.append(UsedPiece(name, None, shown.count(calls), shown.count(tokens), shown.amount(amount), share))
    return found


def _piece(visit: Visit, row: Mapping[str, Any], dimension: str, names: Mapping[str, str], whole: Decimal) -> UsedPiece:
    value, amount = row[dimension], _amount(visit, row)
    pages = {"key": "/keys", "team": "/teams", "customer": "/customers"}
    address = visit.link(place(pages[dimension], value)) if value and dimension in pages else None
    return UsedPiece(
        shown.name(names.get(value, value), f"no {dimension}"),
        address or (visit.link("/calls", **{dimension: value}) if value and visit.may(Action.CALLS_READ) else None),
        shown.count(row["calls"]),
        shown.count(row["input_tokens"] + row["output_tokens"]),
        _figure(visit, row),
        float(amount / whole) if amount and whole else 0.0,
    )


def newest(visit: Visit, where: Mapping[str, str], limit: int = CALLS) -> list[Posted]:
    """Return the newest calls that are in the database, whatever the range."""
    return visit.opened.archive.search_events(Search(where, 0, visit.now_us + 1, None, limit))


def call_rows(visit: Visit, posted: Sequence[Posted]) -> list[dict[str, Any]]:
    """Return calls as rows of a short table."""
    rows = []
    for one in posted:
        event, of_ = one.event, one.event.attribution
        rows.append(
            {
                "address": visit.link(place("/calls", event.event_id)) if visit.may(Action.CALLS_READ) else None,
                "at": shown.time(event.occurred_at_us, visit.zone, visit.now_us),
                "status": marks(event)[0],
                "model": shown.name(of_.model),
                "conversation": of_.conversation,
                "cost": _of_call(visit, event),
            }
        )
    return rows


def _of_call(visit: Visit, event: Event) -> Figure:
    if not visit.may(Action.COSTS_READ):
        return shown.picos(event.price_picos, event.currency)
    no_price = event.status is EventStatus.UNPRICED and not event.lines
    return shown.NO_PRICE if no_price else shown.picos(event.cost_picos, event.currency)
