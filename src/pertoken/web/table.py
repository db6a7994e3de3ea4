"""The table of pages: one row a page, in the order of the navigation."""

from pertoken.web.page import Page
from pertoken.web.pages import audit, call, calls, explore, find, keys, overview, providers

PAGES: tuple[Page, ...] = (
    overview.PAGE,
    explore.PAGE,
    calls.PAGE,
    call.PAGE,
    keys.PAGE,
    providers.PAGE,
    audit.PAGE,
    find.PAGE,
)
