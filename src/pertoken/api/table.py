"""Every route of the control plane."""

from pertoken.api import admins, audit, books, budgets, calls, counts, events, holds, keys, prices, reratings, teams
from pertoken.api.route import check

ROUTES = check(
    (
        *admins.ROUTES,
        *teams.ROUTES,
        *keys.ROUTES,
        *budgets.ROUTES,
        *holds.ROUTES,
        *events.ROUTES,
        *calls.ROUTES,
        *books.ROUTES,
        *prices.ROUTES,
        *reratings.ROUTES,
        *counts.ROUTES,
        *audit.ROUTES,
    )
)
