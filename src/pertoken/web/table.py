"""The table of pages: one row a page, in the order of the navigation."""

from pertoken.web.page import Page
from pertoken.web.pages import (
    audit,
    budget,
    budgets,
    call,
    calls,
    explore,
    find,
    keys,
    new_budget,
    overview,
    providers,
)

PAGES: tuple[Page, ...] = (
    overview.PAGE,
    explore.PAGE,
    calls.PAGE,
    call.PAGE,
    providers.PAGE,
    budgets.PAGE,
    new_budget.PAGE,
    budget.PAGE,
    keys.PAGE,
    audit.PAGE,
    find.PAGE,
)
