"""The table of pages: one row a page, in the order of the navigation."""

from pertoken.web.page import Page
from pertoken.web.pages import (
    admins,
    audit,
    budget,
    budgets,
    call,
    calls,
    customer,
    customers,
    explore,
    find,
    key,
    keys,
    new_budget,
    overview,
    providers,
    team,
    teams,
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
    customers.PAGE,
    customer.PAGE,
    keys.PAGE,
    key.PAGE,
    teams.PAGE,
    team.PAGE,
    audit.PAGE,
    admins.PAGE,
    find.PAGE,
)
