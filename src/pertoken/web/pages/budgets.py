"""Budgets: all budgets, grouped by scope, with spent, held and remaining amounts."""

from collections.abc import Callable, Collection, Mapping
from decimal import Decimal
from typing import NamedTuple

from pertoken.core.access import Action
from pertoken.core.axes import AXES, currency_in
from pertoken.core.budgets import DIMENSIONS, TAG_PREFIX, Budget, Mode
from pertoken.core.money import format_amount
from pertoken.core.periods import FOREVER_US, Window
from pertoken.services.standing import BudgetStanding, standings
from pertoken.web import shown
from pertoken.web.page import Page, PageContext, Visit, place
from pertoken.web.shown import Figure

ALL = "all calls"
ORDER = (ALL, "team", "key", "customer", "user", "model", "provider", "conversation", "tag")
SHOWN_MAX = 200  # budgets on one page of the list
FITTING_MAX = 20  # budgets on the page of something else


class BudgetLine(NamedTuple):
    """One budget as the list shows it."""

    name: str
    address: str
    what: str
    limit: Figure
    spent: Figure
    held: Figure
    left: Figure
    standing: BudgetStanding
    pace: float | None

    @property
    def share(self) -> tuple[float, float]:
        """The spent and the held share of the limit."""
        limit = self.standing.budget.limit
        return part(self.standing.spent, limit), part(self.standing.held, limit)


def show(visit: Visit) -> PageContext:
    """Return the budgets that the visitor may see and that match the filter, by scope."""
    found = standings(visit.opened.archive, visit.now_us)
    names = {key.key_id: key.name for key in visit.opened.archive.list_keys()}
    text = visit.query.get("q", "").strip().lower()
    taken = _doubled([one.budget for one in found])
    lines = [line(visit, one, names, taken) for one in found]
    fitting = [one for one in lines if not text or text in one.name.lower() or text in one.what.lower()]
    start = min(_number(visit.query.get("from")), max(0, len(fitting) - 1)) // SHOWN_MAX * SHOWN_MAX
    fitting.sort(key=lambda one: (ORDER.index(group_of(one.standing.budget)), one.what.lower(), one.name.lower()))
    some = fitting[start : start + SHOWN_MAX]
    groups = [(name, [one for one in some if group_of(one.standing.budget) == name]) for name in ORDER]
    return {
        "groups": [(name, of_group) for name, of_group in groups if of_group],
        "found": len(fitting),
        "all": len(found),
        "text": visit.query.get("q", ""),
        "start": start,
        "some": len(some),
        "next": visit.here(**{"from": str(start + SHOWN_MAX)}) if start + SHOWN_MAX < len(fitting) else None,
        "previous": visit.here(**{"from": str(start - SHOWN_MAX) if start > SHOWN_MAX else None}) if start else None,
        "refusing": sum(one.refused for one in found),
        "full": sum(1 for one in found if one.full),
        "may_write": visit.may(Action.BUDGETS_WRITE),
        "counts": COUNTS,
    }


def line(visit: Visit, one: BudgetStanding, names: Mapping[str, str], taken: Collection[str]) -> BudgetLine:
    """Return one budget as a line; `taken` are names that several budgets share."""
    budget = one.budget
    return BudgetLine(
        budget.name,
        visit.link(address(budget, taken)),
        scope_words(budget, names),
        quantity(budget, budget.limit),
        quantity(budget, one.spent),
        quantity(budget, one.held),
        quantity(budget, one.left),
        one,
        pace_of(one, visit.now_us),
    )


def address(budget: Budget, taken: Collection[str]) -> str:
    """Return the address of a budget's page: by its name, or by its id if another budget has the same name."""
    return place("/budgets", budget.budget_id if budget.name in taken else budget.name)


def doubled(visit: Visit) -> set[str]:
    """Return the names that several budgets share."""
    return _doubled(visit.opened.archive.budgets())


def _doubled(budgets: Collection[Budget]) -> set[str]:
    seen: set[str] = set()
    return {"new", *(one.name for one in budgets if one.name in seen or seen.add(one.name))}  # type: ignore[func-returns-value]


def group_of(budget: Budget) -> str:
    """Return the group of a budget, by its scope."""
    named = [name for name in DIMENSIONS if name in dict(budget.scope)] or [name for name, _ in budget.scope]
    first = min(named, key=_rank, default=budget.each or ALL)
    return "tag" if first.startswith(TAG_PREFIX) else first


def _rank(dimension: str) -> int:
    name = "tag" if dimension.startswith(TAG_PREFIX) else dimension
    return ORDER.index(name)


def scope_words(budget: Budget, names: Mapping[str, str]) -> str:
    """Say which calls a budget counts."""
    said = [
        f"{name.removeprefix(TAG_PREFIX)} {names.get(value, value) if name == 'key' else value}"
        for name, value in sorted(budget.scope, key=lambda pair: _rank(pair[0]))
    ]
    each = f"each {budget.each.removeprefix(TAG_PREFIX)}" if budget.each else ""
    return ", ".join([*said, each] if each else said) or ALL


def quantity(budget: Budget, value: int) -> Figure:
    """Return a quantity on the budget's axis."""
    if AXES[budget.axis].is_money:
        return shown.amount(Decimal(format_amount(value, budget.currency)), budget.currency)
    return shown.count(value)


def unit_of(budget: Budget) -> str:
    """Return the unit that a budget counts."""
    return currency_in(budget) or AXES[budget.axis].unit


def window_words(budget: Budget) -> str:
    """Say how long a budget's window is."""
    if AXES[budget.axis].is_gauge:
        return "at once"
    return {Window.TOTAL: "in total", Window.HOUR: "an hour"}.get(budget.window, f"a {budget.window}")


def is_soft(budget: Budget) -> bool:
    """Tell whether a budget only counts."""
    return budget.mode is Mode.SOFT


def part(amount: int, limit: int) -> float:
    """Return a share of a limit, at most 1."""
    if limit <= 0:
        return 1.0 if amount > 0 else 0.0
    return min(1.0, amount / limit)


def pace_of(one: BudgetStanding, now_us: int) -> float | None:
    """Return the elapsed share of the window; None if the budget has no pace."""
    if one.end_us >= FOREVER_US or one.budget.window is Window.MINUTE or AXES[one.budget.axis].is_gauge:
        return None
    return (now_us - one.start_us) / (one.end_us - one.start_us)


def _number(text: str | None) -> int:
    return int(text[:9]) if text and text.isascii() and text.isdigit() else 0


class Fitting(NamedTuple):
    """The budgets on another page: the most specific ones, and how many more there are."""

    lines: list[BudgetLine]
    more: int


def fitting(visit: Visit, fits: Callable[[Budget], bool]) -> Fitting:
    """Return the matching budgets for another page, those with the fewest conditions first."""
    found = [one for one in standings(visit.opened.archive, visit.now_us) if fits(one.budget)]
    found.sort(key=lambda one: (len(one.budget.scope) + (one.budget.each is not None), one.budget.name.lower()))
    some, taken = found[:FITTING_MAX], doubled(visit)
    of_keys = any("key" in dict(one.budget.scope) for one in some)
    names = {key.key_id: key.name for key in visit.opened.archive.list_keys()} if of_keys else {}
    return Fitting([line(visit, one, names, taken) for one in some], max(0, len(found) - FITTING_MAX))


COUNTS = (unit_of, window_words)  # for templates that show lines

PAGE = Page("/budgets", "Budgets", Action.BUDGETS_READ, show, "pages/budgets.html", "Control")
