"""The table of pages: one row a page, in the order of the navigation."""

from pertoken.web.page import Page
from pertoken.web.pages import audit, call, calls, find, keys, overview

PAGES: tuple[Page, ...] = (
    overview.PAGE,
    calls.PAGE,
    call.PAGE,
    keys.PAGE,
    audit.PAGE,
    find.PAGE,
)
