"""The playground: the browser makes one call through the gateway, with a virtual key that is not stored."""

from decimal import Decimal
from typing import Any

from pertoken.core.access import Action
from pertoken.services.explain import explain
from pertoken.services.reports import usage
from pertoken.web import shown
from pertoken.web.budget_bars import figure
from pertoken.web.page import Page, PageContext, Visit, place

MODELS_MAX = 50


def show(visit: Visit) -> PageContext:
    """Return the form; if the address names a call, also the result of that call."""
    range_ = visit.range
    rows = usage(visit.opened.archive, range_.since_us, range_.until_us, ("model",), range_.zone)["rows"]
    call_id = visit.query.get("call", "")
    return {
        "models": [row["model"] for row in rows if row["model"]][:MODELS_MAX],
        "model": visit.query.get("model", ""),
        "call_id": call_id,
        "call": _settled(visit, call_id) if call_id and visit.may(Action.CALLS_READ) else None,
        "is_refused": bool(call_id) and visit.opened.archive.refused_call(call_id) is not None,
        "call_address": visit.link(place("/calls", call_id)) if call_id else "",
    }


def _settled(visit: Visit, call_id: str) -> dict[str, Any] | None:
    """Return the cost and hold of a call, and what its budgets have left; None if the visitor may not see it."""
    found = explain(visit.opened.archive, call_id)
    if found is None or not found.get("attempts"):
        return None
    hold = found["hold"] or {}
    usage_ = found["attempts"][-1]["usage"]
    return {
        "currency": found["currency"],
        "cost": shown.amount(found["cost"], found["currency"]),
        "held": shown.amount(hold.get("held"), found["currency"]),
        "used": shown.share(Decimal(found["cost"]), Decimal(hold["held"])) if hold.get("held") else None,
        "input": shown.count(usage_.get("input_tokens", 0)),
        "output": shown.count(usage_.get("output_tokens", 0)),
        "budgets": [
            (
                shown.name(one["name"]),
                visit.link(place("/budgets", one["id"])),
                figure(one["remaining"], one["currency"]),
                one["currency"] or one["axis"],
            )
            for one in found["budgets"]
        ],
    }


PAGE = Page("/playground", "Playground", Action.CALLS_READ, show, "pages/playground.html", "Operate")
