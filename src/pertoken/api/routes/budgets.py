"""Budgets as a resource, and their state."""

from typing import Annotated, Any

import msgspec

from pertoken.api.fields import DecimalText, Instant, PageQuery, Text, page
from pertoken.api.problem import ApiRefused, Problem
from pertoken.api.route import Asked, Route
from pertoken.core.access import Action
from pertoken.core.axes import written
from pertoken.core.budgets import DEFAULT_AXIS, STEPS, Axis, Budget, Mode, Step
from pertoken.core.periods import Window
from pertoken.ports.store import Opened
from pertoken.services.budgets import COUNT_MAX, BadBudget, Wish, choose_budget, set_budget, status
from pertoken.services.keys import SeveralKeys, choose_key

Percent = Annotated[int, msgspec.Meta(ge=1, le=100)]
_DIMENSION = r"^(key|team|customer|user|model|provider|conversation|tag:[^\x00-\x1f\x7f]+)$(?!\n)"
Quantity = str | int  # a decimal text for money, otherwise a count


LimitCount = Annotated[int, msgspec.Meta(extra_json_schema={"minimum": 0, "maximum": COUNT_MAX})]
Dimension = Annotated[Text, msgspec.Meta(extra_json_schema={"allOf": [{"pattern": _DIMENSION}]})]


class BudgetBody(msgspec.Struct, forbid_unknown_fields=True):
    """The new values of a budget. `limit` is a decimal text in the currency for money, otherwise a count."""

    limit: DecimalText | LimitCount
    axis: Axis = DEFAULT_AXIS
    window: Window = Window.MONTH
    scope: Annotated[dict[Dimension, Text], msgspec.Meta(max_length=20)] = {}
    each: Dimension | None = None
    mode: Mode = Mode.HARD
    before_refusal: Annotated[
        tuple[Step, ...], msgspec.Meta(max_length=len(Step), extra_json_schema={"uniqueItems": True})
    ] = STEPS
    warn_percent: Percent | None = None
    timezone: Text = "UTC"
    currency: Annotated[str, msgspec.Meta(pattern="^[A-Z]{3}$(?!\n)")] = "USD"


class Standing(msgspec.Struct, kw_only=True):
    """One counter of a budget in its current window. If the budget has `each`, `value` is the value that is counted."""

    id: str
    name: str
    axis: Axis
    limit: Quantity
    spent: Quantity
    held: Quantity
    remaining: Quantity
    window: Window
    window_start: Instant | None
    window_end: Instant | None
    timezone: str
    scope: dict[str, str]
    each: str | None
    value: str | None
    mode: Mode
    before_refusal: list[Step]
    warn_percent: int | None


class BudgetsAnswer(msgspec.Struct):
    """The state of budgets, by name."""

    budgets: list[Standing]
    next_cursor: str | None


class BudgetAnswer(msgspec.Struct, kw_only=True):
    """One budget, and the state of each of its counters."""

    id: str
    name: str
    axis: Axis
    limit: Quantity
    currency: str
    window: Window
    timezone: str
    scope: dict[str, str]
    each: str | None
    mode: Mode
    before_refusal: list[Step]
    warn_percent: int | None
    standing: list[Standing]


class RemovedBudget(msgspec.Struct):
    """A budget that is no longer in force."""

    name: str
    removed: bool


def list_budgets(opened: Opened, asked: Asked) -> BudgetsAnswer:
    """Return the state of the budgets that the principal may see."""
    rows = status(opened.archive, asked.now_us, uncounted=False)["budgets"]
    shown, cursor = page(rows, lambda row: (row["name"], row["id"], row["value"] or ""), asked.query, (str, str, str))
    return BudgetsAnswer([msgspec.convert(row, Standing) for row in shown], cursor)


def read_budget(opened: Opened, asked: Asked) -> BudgetAnswer:
    """Return one budget."""
    budget = _find(opened, asked.name)
    return _answer(budget, _standing(opened, budget, asked.now_us))


def read_terms(opened: Opened, asked: Asked) -> BudgetAnswer:
    """Return one budget without how it stands: no sums are read for that."""
    return _answer(_find(opened, asked.name), [])


def put_budget(opened: Opened, asked: Asked) -> BudgetAnswer:
    """Create a budget, or change the one of this name; for a team owner, in its team."""
    body: BudgetBody = asked.body
    scope = _scope(opened, body)
    if asked.view.team is not None and scope.setdefault("team", asked.view.team) != asked.view.team:
        message = f"this key may only set budgets of the team {asked.view.team!r}"
        raise ApiRefused(Problem.FORBIDDEN, message, "scope.team")
    wish = Wish(
        asked.name, str(body.limit), body.axis, body.window, scope, body.each, body.mode, body.timezone, body.currency,
        ",".join(body.before_refusal) or "refuse", body.warn_percent, asked.view.team,
    )  # fmt: skip
    seen = opened.archive.budgets()
    for one in seen:
        if (one.name, one.team) == (wish.name, scope.get("team")):
            _check_may_change(one, asked)
    try:
        budget = set_budget(opened.administration, asked.clock, wish, seen)
    except BadBudget as error:
        raise ApiRefused(Problem.INVALID_FIELD, str(error)) from error
    return _answer(budget, _standing(opened, budget, asked.now_us))


def remove_budget(opened: Opened, asked: Asked) -> RemovedBudget:
    """Remove a budget."""
    budget = _find(opened, asked.name)
    _check_may_change(budget, asked)
    opened.administration.remove_budget(budget.budget_id, asked.now_us)
    return RemovedBudget(budget.name, removed=True)


def _check_may_change(budget: Budget, asked: Asked) -> None:
    """Raise ApiRefused if a team owner would change a budget that an admin has set."""
    if asked.view.team is not None and budget.set_by != asked.view.team:
        message = f"an admin has set the budget {budget.name!r}, and only an admin may change it; add another one"
        raise ApiRefused(Problem.FORBIDDEN, message, "name")


def _scope(opened: Opened, body: BudgetBody) -> dict[str, str]:
    """Return a budget's scope, with keys as ids. Raises ApiRefused for an unknown key, which would limit nothing."""
    scope = dict(body.scope)
    if "key" in scope:
        try:
            found = choose_key(opened.archive.list_keys(), scope["key"])
        except SeveralKeys as error:
            raise ApiRefused(Problem.INVALID_FIELD, str(error), "scope.key") from error
        if found is None:
            raise ApiRefused(Problem.INVALID_FIELD, f"no key {scope['key']!r}; see: GET /api/v1/keys", "scope.key")
        scope["key"] = found.key_id
    return scope


def _find(opened: Opened, name: str) -> Budget:
    try:
        found = choose_budget(opened.archive.budgets(), name)
    except BadBudget as error:
        raise ApiRefused(Problem.INVALID_PARAMETER, str(error), "name") from error
    if found is None:
        raise ApiRefused(Problem.NOT_FOUND, f"no budget {name!r}; see: GET /api/v1/budgets", "name")
    return found


def _standing(opened: Opened, budget: Budget, now_us: int) -> list[Standing]:
    rows: list[dict[str, Any]] = status(opened.archive, now_us, uncounted=False, only=budget.budget_id)["budgets"]
    return [msgspec.convert(row, Standing) for row in rows]


def _answer(budget: Budget, standing: list[Standing]) -> BudgetAnswer:
    return BudgetAnswer(
        id=budget.budget_id,
        name=budget.name,
        axis=budget.axis,
        limit=written(budget.limit, budget),
        currency=budget.currency,
        window=budget.window,
        timezone=budget.zone,
        scope=dict(budget.scope),
        each=budget.each,
        mode=budget.mode,
        before_refusal=list(budget.steps),
        warn_percent=budget.warn_percent,
        standing=standing,
    )


ROUTES = (
    Route(
        "GET", "/api/v1/budgets", Action.BUDGETS_READ, "Show budgets: spent, held, remaining.", list_budgets,
        BudgetsAnswer, PageQuery,
    ),
    Route(
        "GET", "/api/v1/budgets/{name}", Action.BUDGETS_READ, "Show one budget.", read_budget, BudgetAnswer,
        problems=(Problem.NOT_FOUND,), before=read_terms,
    ),
    Route(
        "PUT", "/api/v1/budgets/{name}", Action.BUDGETS_WRITE, "Set a budget; it counts from the next hold on.",
        put_budget, BudgetAnswer, body=BudgetBody,
    ),
    Route(
        "DELETE", "/api/v1/budgets/{name}", Action.BUDGETS_WRITE, "Remove a budget.", remove_budget,
        RemovedBudget, problems=(Problem.NOT_FOUND,),
    ),
)  # fmt: skip
