"""Search: finds a call, key, customer, model or budget by a part of its name."""

from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from pertoken.core.access import Action
from pertoken.web.page import Page, PageContext, Visit, place

FOUND_MAX = 12
CALL_PREFIX = "call_"
TEXT_MAX = 200


class FoundPage(NamedTuple):
    """A search result."""

    kind: str
    name: str
    address: str


def show(visit: Visit) -> PageContext:
    """Return everything whose name contains the text."""
    text = visit.query.get("q", "").strip()[:TEXT_MAX]
    found = list(islice(_found(visit, text), FOUND_MAX)) if text else []
    return {"query": text, "found": found}


def _found(visit: Visit, text: str) -> Iterator[FoundPage]:
    """Yield what fits, one kind after the other: no more is read than is taken."""
    wanted = text.lower()
    if text.startswith(CALL_PREFIX) and visit.may(Action.CALLS_READ):
        yield FoundPage("call", text, visit.link(place("/calls", text)))
        return
    if visit.may(Action.KEYS_READ):
        yield from (
            FoundPage("key", key.name, visit.link(place("/keys", key.key_id)))
            for key in visit.opened.archive.list_keys()
            if wanted in key.name.lower() or wanted == key.key_id
        )
    if visit.may(Action.BUDGETS_READ):
        names = {budget.name for budget in visit.opened.archive.budgets()}
        yield from (
            FoundPage("budget", name, visit.link(place("/budgets", name)))
            for name in sorted(names)
            if wanted in name.lower()
        )
    for dimension in ("customer", "model", "team", "provider"):
        for value in visit.opened.archive.values(dimension, {}, text, FOUND_MAX):
            yield FoundPage(dimension, value, visit.link("/explore", by="model", **{dimension: value}))


PAGE = Page("/find", "Find", Action.SELF_READ, show, "find.html")
