"""One budget: its current and past windows, its open holds, and forms that change and remove it."""

import shlex
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from pertoken.core.access import Action
from pertoken.core.axes import AXES, currency_in
from pertoken.core.budgets import Budget, CounterKey
from pertoken.core.holds import Hold
from pertoken.core.money import format_amount
from pertoken.core.periods import FOREVER_US, format_time
from pertoken.services.budgets import BadBudget, choose_budget
from pertoken.services.standing import WindowSum, holds_on, standings, window_sums
from pertoken.services.standing import values_of as counted
from pertoken.web import grid, shown
from pertoken.web.acting import act
from pertoken.web.grid import Cells, Column
from pertoken.web.page import Deed, Done, NotHere, NotTaken, Page, PageContext, Visit, place
from pertoken.web.pages import new_budget
from pertoken.web.pages.budgets import (
    address,
    doubled,
    is_soft,
    line,
    part,
    quantity,
    scope_words,
    unit_of,
    window_words,
)

HOLDS_SHOWN = 100


def show(visit: Visit) -> PageContext:
    """Return one budget. Raises NotHere."""
    budget = _find(visit)
    archive = visit.opened.archive
    standing = next(one for one in standings(archive, visit.now_us) if one.budget.budget_id == budget.budget_id)
    names = {key.key_id: key.name for key in archive.list_keys()}
    holds = holds_on(archive, budget)
    return {
        "budget": budget,
        "unit": unit_of(budget),
        "each_words": window_words(budget),
        "soft": is_soft(budget),
        "line": line(visit, standing, names, doubled(visit)),
        "standing": standing,
        "what": scope_words(budget, names),
        "windows": [_window_row(visit, budget, one) for one in window_sums(archive, budget, visit.now_us)],
        "grid": _values(visit, budget, names) if budget.each else None,
        "holds": [_hold_row(visit, hold, key, names) for hold, key in holds[:HOLDS_SHOWN]],
        "holds_found": len(holds),
        "may_write": _may_change(visit, budget),
        **_form(visit, budget),
    }


def _find(visit: Visit) -> Budget:
    try:
        found = choose_budget(visit.opened.archive.budgets(), visit.name)
    except BadBudget as error:
        raise NotHere(f"{error}. Open it from the list of budgets.") from error
    if found is None:
        raise NotHere(f"There is no budget {visit.name}, or it is not yours to see.")
    return found


def _may_change(visit: Visit, budget: Budget) -> bool:
    """Tell whether the visitor may change it: a team owner may not change a budget that an admin has set."""
    return visit.may(Action.BUDGETS_WRITE) and visit.view.team in (None, budget.set_by)


def _window_row(visit: Visit, budget: Budget, one: WindowSum) -> dict[str, Any]:
    is_whole = one.end_us >= FOREVER_US
    return {
        "at": "the beginning" if is_whole else shown.time(one.start_us, budget.zone).text,
        "is_now": one.start_us <= visit.now_us < one.end_us,
        "spent": quantity(budget, one.spent),
        "held": quantity(budget, one.held),
        "values": one.values,
        "share": part(one.spent, budget.limit),
        "percent": shown.share(one.spent, budget.limit),
        "calls": None
        if is_whole
        else visit.link("/calls", since=format_time(one.start_us), until=format_time(one.end_us), **_filters(budget)),
    }


def _filters(budget: Budget) -> dict[str, str]:
    """Return the filters that show the calls of a budget, as far as filters can express them."""
    return {name: value for name, value in budget.scope if ":" not in name}


def _values(visit: Visit, budget: Budget, names: Mapping[str, str]) -> grid.Grid:
    """Return the counters of a budget for each value, as a table."""
    dimension = budget.each or ""
    rows = [
        {
            "value": names.get(value, value),
            "id": value,
            "spent": _plain(budget, spent),
            "held": _plain(budget, held),
            "left": _plain(budget, max(0, budget.limit - spent - held)),
            "used": part(spent + held, budget.limit),
            "currency": currency_in(budget) or "",
        }
        for value, spent, held in counted(visit.opened.archive, budget, visit.now_us)
    ]
    kind = Cells.AMOUNT if AXES[budget.axis].is_money else Cells.COUNT
    columns = [
        Column("value", dimension.removeprefix("tag:"), Cells.NAME, _to_calls(visit, dimension), narrow=True),
        Column("used", "used", Cells.SHARE, narrow=True),
        Column("spent", "spent", kind),
        Column("held", "held", kind),
        Column("left", "left", kind),
    ]
    return grid.listed(
        visit,
        columns,
        rows,
        sort="-used",
        empty=f"No {dimension} has used anything in this window.",
        command=f"pertoken budget status {shlex.quote(budget.name)}",
        api=place("/api/v1/budgets", budget.name),
    )


def _to_calls(visit: Visit, dimension: str) -> Any:
    if ":" in dimension:
        return None
    return lambda row: visit.link("/calls", **{dimension: row["id"]})


def _plain(budget: Budget, value: int) -> Decimal | int:
    return Decimal(format_amount(value, budget.currency)) if AXES[budget.axis].is_money else value


def _hold_row(visit: Visit, hold: Hold, key: CounterKey, names: Mapping[str, str]) -> dict[str, Any]:
    of = hold.attribution
    return {
        "address": visit.link(place("/calls", hold.hold_id)),
        "call": shown.identity(hold.hold_id),
        "key": shown.name(names.get(of.key or "", of.key)),
        "model": shown.name(of.model),
        "value": key.each,
        "at": shown.time(hold.opened_at_us, visit.zone, visit.now_us),
        "expires": shown.time(hold.expires_at_us, visit.zone),
        "held": shown.amount(Decimal(format_amount(hold.amount_picos, hold.currency)), hold.currency),
        "currency": hold.currency,
        "tokens": shown.count(hold.tokens),
        "late": hold.expires_at_us < visit.now_us,
    }


def _form(visit: Visit, budget: Budget) -> PageContext:
    """Return the form with the current or the typed values, and with changes that somebody else made meanwhile."""
    now = new_budget.values_of(budget)
    values = new_budget.filled(visit, now)
    version = new_budget.version_of(budget)
    said = visit.typed or visit.query
    based_on = said.get("version", version)
    told, wrong = None, visit.wrong
    if "limit" in visit.query and wrong is None:
        told, wrong = new_budget.foretold(visit, values, budget.budget_id)
    both = [
        (new_budget.LABELS.get(name, name), now[name] or shown.UNKNOWN, values[name] or shown.UNKNOWN)
        for name in new_budget.TERMS
        if now[name] != values[name]
    ]
    return {
        "values": values,
        "told": told,
        "wrong": wrong,
        "lost_to_another": wrong is not None and wrong.field == "version",
        "options": new_budget.OPTIONS,
        "fields": new_budget.TERMS,
        "version": version,
        "is_stale": based_on != version,
        "both": both,
        "asked": "limit" in said,
        "sent_version": version if visit.typed else based_on,
    }


def change(visit: Visit, form: Mapping[str, str]) -> Done:
    """Change all fields at once, unless somebody changed the budget after the form was opened."""
    budget = _find(visit)
    if form.get("version") != new_budget.version_of(budget):
        message = "somebody changed this budget after you opened the form; compare both, then send it again"
        raise NotTaken(message, "version")
    form = {**dict(form), "each": budget.each or ""}
    made = new_budget.put(visit, budget.name, form, dict(budget.scope))
    changed = next(one for one in visit.opened.archive.budgets() if one.budget_id == made.id)
    said = f"The budget {budget.name} is changed, from the next call on."
    return Done(visit.link(address(changed, doubled(visit))), said)


def remove(visit: Visit, form: Mapping[str, str]) -> Done:
    """Remove the budget, if its name was typed."""
    budget = _find(visit)
    if form.get("typed_name", "").strip() != budget.name:
        raise NotTaken(f"type the name of the budget to remove it: {budget.name}", "typed_name")
    act(visit, "DELETE", "/api/v1/budgets/{name}", budget.budget_id)
    return Done(visit.link("/budgets"), f"The budget {budget.name} was removed. It no longer refuses calls.")


PAGE = Page(
    "/budgets/{name}",
    "Budget",
    Action.BUDGETS_READ,
    show,
    "pages/budget.html",
    parent="/budgets",
    deeds=(Deed("change", Action.BUDGETS_WRITE, change), Deed("remove", Action.BUDGETS_WRITE, remove)),
)
