"""What pages have something to say about: keys, budgets and usage on a database, made without the pages."""

import re
import time
import uuid
from typing import Any

from tests.factories import CENT, WHO, event, hold
from tests.web.conftest import Browser

from pertoken.core.budgets import Attribution, Budget
from pertoken.core.commands import OpenHold, Record
from pertoken.core.directory import Key
from pertoken.core.events import EventStatus
from pertoken.core.periods import DAY_US
from pertoken.core.price_book import Sellers
from pertoken.core.provisional import PROVISIONAL
from pertoken.core.rates import HELD
from pertoken.core.refusals import RefusedCall, RefusedCalls
from pertoken.services.budgets import Wish, set_budget
from pertoken.services.keys import create_key
from pertoken.store import refusals
from pertoken.store.administration import Administration
from pertoken.store.bookkeeper import Bookkeeper

# Names as hostile or as foreign as names may be.
NAMES = (
    "<script>alert(1)</script>",
    "a\"b'c&amp;d",
    "a/b?c=d#e%",
    "研究開発チームの名前" * 12,
    "פריט ראשון",
    "=cmd()|x",
    "x" * 200,
)


def fresh(name: str) -> str:
    """Return a name that no other test uses."""
    return f"{name}-{uuid.uuid4().hex[:12]}"


def fill(browser: Browser, path: str, deed: str, **fields: str) -> Any:
    """Send a form to a page as a browser does that has opened it."""
    csrf = re.search(r'name="csrf" value="([^"]*)"', browser.get(path).text)
    assert csrf is not None
    return browser.post(path, {"csrf": csrf[1], "once": fresh("once"), "deed": deed, **fields})


def a_budget(browser: Browser, name: str, limit: str = "10", **fields: Any) -> Budget:
    """Set a budget."""
    with browser.database.write() as connection:
        return set_budget(Administration(connection), browser.site.clock, Wish(name, limit, **fields))


def a_key(browser: Browser, name: str, **fields: Any) -> Key:
    """Make a virtual key."""
    with browser.database.write() as connection:
        made = create_key(Administration(connection), browser.site.clock, browser.site.hasher, name, **fields)
        return made.key


def used(browser: Browser, calls: int = 1, picos: int = CENT, ago_us: int = 0, **of: Any) -> list[str]:
    """Post calls that were made a while ago and return their ids; of those `uncounted` nothing has a price."""
    fields: dict[str, Any] = {"price_picos": of.pop("price_of", None)}
    if "currency" in of:
        fields["currency"] = of.pop("currency")
    if of.pop("unpriced", False):
        fields["status"] = EventStatus.UNPRICED
    if of.pop("uncounted", False):
        picos, fields["status"], fields["lines"] = 0, EventStatus.UNPRICED, ()
    attribution = WHO._replace(**{"key": None, "team": None, "tags": (), **of})
    at_us = time.time_ns() // 1_000 - ago_us
    made = [hold(fresh("call"), attribution=attribution, opened_at_us=at_us) for _ in range(calls)]
    _transact(browser, [Record(event(one, picos, occurred_at_us=at_us, **fields)) for one in made])
    return [one.hold_id for one in made]


def one_call(browser: Browser, picos: int = CENT, **of: Any) -> str:
    """Post a call that was made now and return its id."""
    call_id = of.pop("call_id", None) or fresh("call")
    one = hold(call_id, attribution=WHO._replace(**{"key": None, "team": None, "tags": (), **of}))
    _transact(browser, [Record(event(one, picos, lines=((PROVISIONAL, 1, HELD, picos),)))])
    return one.hold_id


def refused(browser: Browser, budget: str, calls: int = 1, message: str = "") -> None:
    """Write down calls that a budget refused now."""
    batch = RefusedCalls()
    for _ in range(calls):
        batch.add(RefusedCall(fresh("call"), time.time_ns() // 1_000, "budget_exceeded", message, budget))
    written = batch.take()
    assert written is not None
    with browser.database.write() as connection:
        refusals.save(connection, browser.database.sql, written)


def held(browser: Browser, picos: int = CENT, **of: Any) -> str:
    """Open a hold and return its id. It stays open for longer than all tests take: they verify the same books."""
    attribution = Attribution(provider="openai", model="gpt-4o-mini")._replace(**of)
    expires_at_us = browser.site.clock.now_us() + DAY_US
    made = hold(fresh("call"), picos, attribution=attribution, expires_at_us=expires_at_us)
    _transact(browser, [], made)
    return made.hold_id


def _transact(browser: Browser, commands: list[Any], opened: Any = None) -> None:
    books = Bookkeeper(browser.database, browser.site.clock.now_us, Sellers())
    books.refresh()
    if opened is not None:
        commands = [OpenHold(opened, books.directory.revision)]
    try:
        books.transact(commands)
    finally:
        books.close()
