"""Overview: what was spent, by whom, and what needs attention."""

from decimal import Decimal
from typing import Any

from pertoken.core.access import Action
from pertoken.services.reports import usage
from pertoken.web import shown
from pertoken.web.page import Context, Page, Visit


def show(visit: Visit) -> Context:
    """Return the figures of the range beside those of the range before."""
    now = _sums(visit, visit.range.since_us, visit.range.until_us)
    before = _sums(visit, *visit.range.before)
    by_day = usage(visit.opened.archive, visit.range.since_us, visit.range.until_us, ("day",), visit.zone)["rows"]
    return {
        "now": now,
        "before": before,
        "cost": shown.amount(now["cost"], now["currency"]),
        "cost_points": [float(row["cost"]) for row in by_day],
        "call_points": [row["calls"] for row in by_day],
        "change": shown.change(Decimal(now["cost"]), Decimal(before["cost"])),
        "calls": shown.count(now["calls"]),
        "cached": shown.share(now["cache_read_tokens"], now["input_tokens"]),
        "failed": shown.share(now["failed_calls"], now["calls"]),
    }


def _sums(visit: Visit, since_us: int, until_us: int) -> dict[str, Any]:
    total: dict[str, Any] = usage(visit.opened.archive, since_us, until_us, (), visit.zone)["total"]
    return total


PAGE = Page("/", "Overview", Action.USAGE_READ, show, "pages/overview.html", "Observe")
