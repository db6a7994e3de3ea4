"""The form for a new budget, with a preview of what it would have refused."""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, NamedTuple

from pertoken.core.access import Action
from pertoken.core.axes import written
from pertoken.core.budgets import DEFAULT_AXIS, DIMENSIONS, STEPS, TAG_PREFIX, Axis, Budget, Mode
from pertoken.core.periods import Window
from pertoken.services.budgets import BadBudget, Wish, to_budget
from pertoken.services.keys import SeveralKeys, choose_key
from pertoken.services.preview import preview
from pertoken.web import shown
from pertoken.web.acting import act
from pertoken.web.page import Deed, Done, NotTaken, Page, PageContext, Visit
from pertoken.web.pages.budgets import address, doubled

SCOPES = ("team", "key", "customer", "user", "provider", "model")
EACH = ("", *DIMENSIONS)
TERMS = ("limit", "axis", "window", "mode", "timezone", "currency", "warn_percent", "before_refusal")
FIELDS = ("name", *TERMS, "each", *(f"scope_{name}" for name in SCOPES), "scope_tag")
LABELS = {"before_refusal": "before a refusal", "warn_percent": "warns from, percent", "timezone": "time zone"}
OPTIONS = {"axes": tuple(Axis), "windows": tuple(Window), "modes": tuple(Mode), "eaches": EACH, "scopes": SCOPES}
EMPTY: dict[str, str] = {
    **dict.fromkeys(FIELDS, ""),
    "axis": str(DEFAULT_AXIS),
    "window": "month",
    "mode": "hard",
    "currency": "USD",
    "timezone": "UTC",
    "before_refusal": ", ".join(STEPS),
}
GOOD = {
    "limit": "1",
    "name": "a name",
    **{name: EMPTY[name] for name in (*TERMS[1:], "each")},
    **dict.fromkeys(("scope_tag", *(f"scope_{name}" for name in SCOPES)), ""),
}  # valid values, to replace one field at a time


class Told(NamedTuple):
    """A preview in words."""

    sentence: str
    tone: str
    note: str


def show(visit: Visit) -> PageContext:
    """Return the form with the values so far, and the preview if it was requested."""
    start = {**EMPTY, "scope_team": visit.view.team or "", "timezone": visit.zone}
    values = filled(visit, start)
    told, wrong = foretold(visit, values, "") if "limit" in visit.query and visit.wrong is None else (None, visit.wrong)
    return {"values": values, "told": told, "wrong": wrong, "fields": FIELDS, "options": OPTIONS, "version": ""}


def filled(visit: Visit, start: Mapping[str, str]) -> dict[str, str]:
    """Return the values of the form's fields: the typed ones, else those of the address, else the defaults."""
    said = visit.typed or visit.query
    is_filled = "limit" in said  # then a missing field is empty: the form leaves empty fields out
    return {name: said.get(name, "" if is_filled and name != "name" else value) for name, value in start.items()}


def foretold(visit: Visit, values: Mapping[str, str], budget_id: str) -> tuple[Told | None, NotTaken | None]:
    """Return what the budget of the form would have refused, or why the budget is invalid."""
    try:
        budget = to_budget(_wish(visit, values), budget_id or "preview")
    except BadBudget as error:
        return None, NotTaken(str(error), wrong_field(visit, values, str(error)))
    found = preview(visit.opened.archive, budget, visit.now_us)
    if found.refusals is None:
        return Told(f"There is no preview: {found.unknown}.", "", "You can set the budget anyway."), None
    told, over = (
        found.refusals,
        "would have been over the limit" if budget.mode is Mode.SOFT else "would have been refused",
    )
    of = f"of {told.calls:,} calls that it counts in the last {found.days} days"
    if not told.refused:
        return Told(f"None {of} {over}.", "good", found.based_on), None
    keys = f"{_counted(len(told.keys), 'key')} " if told.keys else ""
    days = _counted(told.days, "day")
    each = f", for {_counted(told.values, 'value')} of {budget.each}" if budget.each else ""
    first = shown.day(told.first_us or 0, budget.zone)
    sentence = f"About {told.refused:,} {of} {over}: {keys}on {days}{each}, first on {first}."
    return Told(sentence, "warn", found.based_on), None


def wrong_field(visit: Visit, values: Mapping[str, str], why: str) -> str | None:
    """Return the wrong field: if a valid value replaces it, the error disappears or changes."""
    for name, value in GOOD.items():
        try:
            to_budget(_wish(visit, {**values, name: value}), "preview")
        except BadBudget as error:
            if str(error) == why:
                continue
        return name
    return None


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}" + ("" if number == 1 else "s")


def _wish(visit: Visit, values: Mapping[str, str]) -> Wish:
    """Return the budget that the form describes. Raises BadBudget."""
    scope = scope_of(values)
    if visit.view.team is not None:
        scope["team"] = visit.view.team
    if "key" in scope:
        try:
            key = choose_key(visit.opened.archive.list_keys(), scope["key"])
        except SeveralKeys as error:
            raise BadBudget(str(error)) from error
        if key is None:
            raise BadBudget(f"there is no key {scope['key']!r}")
        scope["key"] = key.key_id
    percent = values["warn_percent"].strip()
    if percent and not (percent.isascii() and percent.isdigit() and len(percent) < 4):
        raise BadBudget(f"not a share of the limit, in percent: {percent:.20}")
    return Wish(
        values["name"].strip(),
        values["limit"].strip(),
        values["axis"],
        values["window"],
        scope,
        values["each"] or None,
        values["mode"],
        values["timezone"].strip(),
        values["currency"].strip(),
        values["before_refusal"].strip() or "refuse",
        int(percent) if percent else None,
    )


def scope_of(values: Mapping[str, str]) -> dict[str, str]:
    """Return the scope in the form. Raises BadBudget."""
    scope = {name: values[f"scope_{name}"].strip() for name in SCOPES if values.get(f"scope_{name}", "").strip()}
    tag, has_value, value = values.get("scope_tag", "").partition("=")
    if tag.strip():
        if not has_value:
            raise BadBudget(f"{tag:.60} is not a tag; write name=value")
        scope[TAG_PREFIX + tag.strip()] = value.strip()
    return scope


def body_of(values: Mapping[str, str]) -> dict[str, Any]:
    """Return all fields of a budget, as a body for the control plane."""
    percent = values.get("warn_percent", "").strip()
    steps = values.get("before_refusal", "").strip()
    return {
        "limit": values.get("limit", "").strip(),
        "axis": values.get("axis", DEFAULT_AXIS),
        "window": values.get("window", "month"),
        "each": values.get("each") or None,
        "mode": values.get("mode", "hard"),
        "timezone": values.get("timezone", "").strip() or "UTC",
        "currency": values.get("currency", "").strip() or "USD",
        "warn_percent": int(percent) if percent.isascii() and percent.isdigit() else percent or None,
        "before_refusal": [] if steps in ("", "refuse") else [one.strip() for one in steps.split(",")],
    }


def values_of(budget: Budget) -> dict[str, str]:
    """Return a budget as values of the form."""
    scope = dict(budget.scope)
    tags = [f"{name.removeprefix(TAG_PREFIX)}={value}" for name, value in budget.scope if name.startswith(TAG_PREFIX)]
    return {
        "name": budget.name,
        "limit": str(written(budget.limit, budget)),
        "axis": str(budget.axis),
        "window": str(budget.window),
        "mode": str(budget.mode),
        "timezone": budget.zone,
        "currency": budget.currency,
        "warn_percent": "" if budget.warn_percent is None else str(budget.warn_percent),
        "before_refusal": ", ".join(budget.steps),
        "each": budget.each or "",
        **{f"scope_{name}": scope.get(name, "") for name in SCOPES},
        "scope_tag": tags[0] if tags else "",
    }


def version_of(budget: Budget | None) -> str:
    """Return a version of a budget's state, to notice changes; empty if there is no budget."""
    return "" if budget is None else blake2b(repr(budget).encode(), digest_size=8).hexdigest()


def put(visit: Visit, name: str, form: Mapping[str, str], scope: Mapping[str, str]) -> Any:
    """Set a budget through the control plane's route. Raises NotTaken with the field of this form."""
    try:
        return act(visit, "PUT", "/api/v1/budgets/{name}", name, {**body_of(form), "scope": scope})
    except NotTaken as wrong:
        field = (wrong.field or "").replace("scope.", "scope_").replace("tag:", "")
        raise NotTaken(str(wrong), field or wrong_field(visit, {**EMPTY, **form}, str(wrong))) from wrong


def make(visit: Visit, form: Mapping[str, str]) -> Done:
    """Set a new budget. This form does not change an existing budget of that name."""
    name = form.get("name", "").strip()
    try:
        scope = scope_of(form)
    except BadBudget as error:
        raise NotTaken(str(error), "scope_tag") from error
    team = scope.get("team", visit.view.team)
    if any((one.name, one.team) == (name, team) for one in visit.opened.archive.budgets()):
        raise NotTaken(f"the budget {name!r} already exists; open it to change it", "name")
    if not name:
        raise NotTaken("a budget needs a name", "name")
    made = put(visit, name, form, scope)
    budget = next(one for one in visit.opened.archive.budgets() if one.budget_id == made.id)
    said = f"The budget {budget.name} is set. It counts from the next call on."
    return Done(visit.link(address(budget, doubled(visit))), said)


PAGE = Page(
    "/budgets/new",
    "New budget",
    Action.BUDGETS_WRITE,
    show,
    "pages/new_budget.html",
    parent="/budgets",
    deeds=(Deed("make", Action.BUDGETS_WRITE, make),),
)
