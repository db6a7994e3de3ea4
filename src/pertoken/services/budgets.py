"""Sets budgets and reports their state."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from pertoken.core import periods
from pertoken.core.axes import AXES, written
from pertoken.core.budgets import (
    DEFAULT_AXIS,
    DIMENSIONS,
    STEPS,
    Axis,
    Budget,
    BudgetIndex,
    CounterKey,
    Mode,
    Step,
    Touch,
    is_dimension,
)
from pertoken.core.currencies import check_currency
from pertoken.core.ids import RANDOM_BITS, new_id
from pertoken.core.money import NotAnAmount, format_amount, parse_price
from pertoken.core.periods import NotATime, Window, format_time
from pertoken.core.reporting import CALLS, QUARTER_US, UNCOUNTED, slices
from pertoken.core.texts import meant, why_no_name
from pertoken.ports.administration import Administration
from pertoken.ports.archive import StandingView, SumsView
from pertoken.ports.clock import Clock
from pertoken.ports.months import EventsArchived
from pertoken.services.explain import budget_fields

COUNT_MAX = 10**24  # of what is not money, such as tokens or requests, that a limit may allow


class BadBudget(Exception):
    """A budget cannot be as asked."""


class NoLimit(BadBudget):
    """A new budget, or one on another axis, is asked for without its limit."""


class Wish(NamedTuple):
    """A budget as a person states it. `changed` fills the fields left out from the existing budget."""

    name: str
    limit: str
    axis: str = DEFAULT_AXIS
    window: str = "month"
    scope: Mapping[str, str] = {}
    each: str | None = None
    mode: str = "hard"
    zone: str = "UTC"
    currency: str = "USD"
    steps: str = ",".join(STEPS)
    warn_percent: int | None = None
    set_by: str | None = None  # the team whose owner sets it


def changed(old: Budget | None, name: str, named: Mapping[str, Any]) -> Wish:
    """Return a wish that changes only the named fields of an existing or new budget. Raises BadBudget."""
    if old is None:
        if "limit" not in named:
            raise NoLimit(f"there is no budget {name!r} yet, and a new one needs a limit: --limit 100")
        return Wish(name, **named)
    if named.get("axis", old.axis) != old.axis and "limit" not in named:
        raise NoLimit(f"the limit counts {old.axis}; also give the limit on {named['axis']}: --limit 100")
    known = Wish(
        name, str(written(old.limit, old)), old.axis, old.window, dict(old.scope), old.each, old.mode, old.zone,
        old.currency, ",".join(old.steps) or "refuse", old.warn_percent,
    )  # fmt: skip
    return known._replace(**named)


def parse_rate(text: str) -> tuple[str, str]:
    """Return limit and window of "5/day". Raises BadBudget."""
    limit, separator, window = text.partition("/")
    if not separator or window not in {str(one) for one in Window}:
        windows = ", ".join(Window)
        raise BadBudget(f"not a budget: {text!r}; write LIMIT/WINDOW, such as 5/day; windows: {windows}")
    return limit, window


def choose_budget(budgets: Sequence[Budget], id_or_name: str) -> Budget | None:
    """Return the budget with this id, or the only one with this name, or None. Raises BadBudget."""
    by_id = [one for one in budgets if one.budget_id == id_or_name]
    found = by_id or [one for one in budgets if one.name == id_or_name]
    if len(found) > 1:
        which = ", ".join(f"{one.budget_id} of {one.team or 'no team'}" for one in found)
        raise BadBudget(f"several budgets are called {id_or_name!r}; write the id of one: {which}")
    return found[0] if found else None


def set_budget(
    administration: Administration, clock: Clock, wish: Wish, seen: Sequence[Budget] | None = None
) -> Budget:
    """Store the budget, or change limit, mode and policy of the one that has this name. Raises BadBudget.

    A name is one among the budgets of a team, those whose scope names it: what others of that name are for does not
    matter, and of `seen`, where it is given, one is changed, never another.

    Of which team's owner, or an admin, it then is, `wish` says; who may change it, the caller has looked at.

    When anything else differs (scope, axis, window, ...) the old budget is taken out of force and a new one, filled
    from the events of its current window, takes its place.
    """
    now_us = clock.now_us()
    budget = to_budget(wish, new_id("budget", now_us, clock.random_bits(RANDOM_BITS)))
    budgets = administration.budgets() if seen is None else seen
    old = next((one for one in budgets if (one.name, one.team) == (wish.name, budget.team)), None)
    if old is not None:
        changed = old._replace(
            limit=budget.limit,
            mode=budget.mode,
            steps=budget.steps,
            warn_percent=budget.warn_percent,
            set_by=budget.set_by,
        )
        if changed == budget._replace(budget_id=old.budget_id):
            administration.change_budget(changed)
            return changed
        administration.remove_budget(old.budget_id, now_us)
    try:
        administration.add_budget(budget, now_us)
    except EventsArchived as error:
        months = ", ".join(sorted({format_time(one.month_us)[:7] for one in error.archived}))
        message = f"it would count archived calls by conversation ({months}); choose a window, or import them first"
        raise BadBudget(message) from error
    return budget


def to_budget(wish: Wish, budget_id: str) -> Budget:
    """Return the budget that `wish` describes. Raises BadBudget naming what is wrong."""
    why = _why_no_budget(wish)
    if why is not None:
        raise BadBudget(why)
    try:
        axis, window, mode = Axis(wish.axis), Window(wish.window), Mode(wish.mode)
        periods.load_zone(wish.zone)
        check_currency(wish.currency)
    except NotATime as error:
        raise BadBudget(str(error)) from error
    except ValueError as error:
        raise BadBudget(f"not a budget: {error}") from error
    limit = _limit(wish, axis)
    if wish.warn_percent is not None and not 1 <= wish.warn_percent <= 100:
        raise BadBudget(f"not a percentage of the limit: {wish.warn_percent}")
    return Budget(
        budget_id, wish.name, axis, limit, window, wish.zone, tuple(sorted(wish.scope.items())), wish.each, mode,
        wish.currency, _steps(wish.steps), wish.warn_percent, wish.set_by,
    )  # fmt: skip


def _why_no_budget(wish: Wish) -> str | None:
    """Return what is wrong with the name, the scope or `each` of a budget, None when nothing is."""
    for dimension in (*wish.scope, *([wish.each] if wish.each is not None else [])):
        if not is_dimension(dimension):
            near = meant(dimension, DIMENSIONS)
            use = "use key, team, customer, user, model, provider, conversation, tag:NAME"
            return f"unknown dimension: {dimension!r}{near or f'; {use}'}"
    named = {name: value for name, value in wish.scope.items() if value or not name.startswith("tag:")}
    whys = [why_no_name(wish.name), *(why_no_name(value, f"the scope's {name}") for name, value in named.items())]
    return next((why for why in whys if why is not None), None)


class BudgetRecords(StandingView, SumsView, Protocol):
    """How budgets stand, and what was used that they cannot count."""


def status(
    archive: BudgetRecords, now_us: int, *, unused: bool = False, uncounted: bool = True, only: str | None = None
) -> dict[str, Any]:
    """Return every budget in its current window: spent, held, remaining, and the open holds behind `held`.

    With `only`, the id of a budget, it returns that budget alone.
    One with `each` has a row for every value that was counted; with `unused`, one without a value where none was yet.
    Without `uncounted`, nothing is said of the calls that it cannot count: roll-ups are summed for that.
    """
    budgets = [one for one in archive.budgets() if only in (None, one.budget_id)]
    windows = {budget.budget_id: periods.bounds(budget.window, now_us, budget.zone) for budget in budgets}
    counters = archive.counters_in([(budget_id, start_us) for budget_id, (start_us, _) in windows.items()])
    index = BudgetIndex(budgets)
    open_holds: dict[CounterKey, list[dict[str, Any]]] = {}
    for hold in archive.open_holds():
        for touch in index.touched(hold.attribution, hold.opened_at_us):
            fields = {
                "call_id": hold.hold_id,
                "held": format_amount(hold.amount_picos, hold.currency),
                "currency": hold.currency,
                "tokens": hold.tokens,
                "opened_at": format_time(hold.opened_at_us),
                "expires_at": format_time(hold.expires_at_us),
                "key": hold.attribution.key,
                "model": hold.attribution.model,
                "owner": hold.owner,
            }
            open_holds.setdefault(touch.key, []).append(fields)
    rows = []
    for budget in budgets:
        start_us, end_us = windows[budget.budget_id]
        of_budget = [key for key in counters if key.budget_id == budget.budget_id]
        if not of_budget and (unused or budget.each is None):
            of_budget = [CounterKey(budget.budget_id, "", start_us)]
        missed = _uncounted(archive, budget, start_us, now_us) if uncounted else {}
        for key in sorted(of_budget):
            held, spent = counters.get(key, (0, 0))
            fields = budget_fields(Touch(key, budget, end_us), held, spent)
            rows.append({**fields, "uncounted": missed.get(key.each, 0), "open_holds": open_holds.get(key, [])})
    return {"budgets": rows}


def _uncounted(archive: SumsView, budget: Budget, start_us: int, now_us: int) -> dict[str, int]:
    """Return the calls of a window that a budget on money cannot count, by its `each`.

    Of those nothing is known that has a price, or their cost is in another currency. Roll-ups know no conversations.
    """
    scope = dict(budget.scope)
    if not AXES[budget.axis].is_money or "conversation" in (budget.each, *scope):
        return {}
    found: dict[str, int] = {}
    by = (budget.each,) if budget.each else ()
    for piece in slices(start_us, now_us - now_us % QUARTER_US + QUARTER_US, (), "UTC"):
        for one in archive.sums(piece, by, scope):
            calls = one.sums[UNCOUNTED if one.currency == budget.currency else CALLS]
            value = (one.values[0] if by else "") or ""
            found[value] = found.get(value, 0) + calls
    return found


def _steps(text: str) -> tuple[Step, ...]:
    """Return the steps before a refusal, separated by commas; "refuse" means no steps."""
    words = [word.strip() for word in text.split(",") if word.strip()]
    known = ", ".join(Step)
    if words == ["refuse"]:
        return ()
    if not words or len(set(words)) != len(words) or not set(words) <= {str(step) for step in Step}:
        raise BadBudget(f"not the steps before a refusal: {text!r}; write some of {known}, or refuse")
    return tuple(Step(word) for word in words)


def _count(text: str) -> int:
    if not re.fullmatch(r"[+-]?[0-9]{1,40}", text):
        raise NotAnAmount(f"write a whole number, such as 100, not {text[:100]!r}")
    if text.startswith("-"):
        raise NotAnAmount(f"must not be negative: {text}")
    return int(text)


def _limit(wish: Wish, axis: Axis) -> int:
    is_money = AXES[axis].is_money
    try:
        limit = parse_price(wish.limit, wish.currency) if is_money else _count(wish.limit)
    except NotAnAmount as error:
        raise BadBudget(f"not a limit on {axis}: {error}") from error
    if not is_money and limit > COUNT_MAX:
        raise BadBudget(f"the limit is too large, at most {COUNT_MAX} {axis}: {wish.limit}")
    return limit
