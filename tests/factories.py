"""Records as most tests want them; any field can be given by name."""

import time
from typing import Any

from pertoken.core.budgets import Attribution
from pertoken.core.commands import Settle
from pertoken.core.events import Event, EventStatus, OfCall
from pertoken.core.holds import Hold
from pertoken.core.periods import FOREVER_US
from pertoken.core.prices import Match, PriceRow, Source
from pertoken.core.usage import Completeness

CENT = 10**10  # in picos
WHO = Attribution(key="key_1", team="growth", provider="openai", model="gpt-4o-mini", tags=(("env", "test"),))


def hold(name: str, picos: int = CENT, **fields: Any) -> Hold:
    """Return a hold that is opened now, for a minute."""
    now_us = time.time_ns() // 1_000
    return Hold(name, WHO, picos, 100, now_us, now_us + 60_000_000, "test")._replace(**fields)


def event(of: Hold, /, picos: int = CENT // 2, **fields: Any) -> Event:
    """Return the event that settles a hold; its raw usage is bytes that are not text."""
    return Event(
        "gateway", of.hold_id, of.attribution, of.opened_at_us, of.opened_at_us + 1, of.opened_at_us,
        EventStatus.PRICED, Completeness.FINAL, {"input_tokens": 10, "output_tokens": 5}, "USD", picos, None,
        (("input_tokens", 10, "pr_1", picos),), OfCall(of.amount_picos, max(0, picos - of.amount_picos)),
        raw=b"\x00\xff",
    )._replace(**fields)  # fmt: skip


def own(of: Event) -> OfCall:
    """Return what only the event of a call has."""
    assert isinstance(of.of, OfCall), of
    return of.of


def with_own(of: Event, **fields: Any) -> Event:
    """Return the event of a call with some of what only those have."""
    return of._replace(of=own(of)._replace(**fields))


def settle(of: Hold, /, picos: int = CENT // 2, **fields: Any) -> Settle:
    """Return the settlement of a hold."""
    return Settle(of.hold_id, event(of, picos, **fields))


def price_row(unit: str, amount_picos: int, **fields: Any) -> PriceRow:
    """Return the price of one token of `unit` of model m of provider p."""
    return PriceRow(
        f"pr_{unit}", "p", "m", Match.EQUALS, unit, amount_picos, 1, "USD", 0, FOREVER_US, 0, Source.GENAI, "test"
    )._replace(**fields)


def event_line(ident: str = "a", at: str = "2026-11-20T12:00:00Z", **fields: Any) -> dict[str, Any]:
    """Return an event as it is reported: 1,000,000 input tokens of gpt-4o-mini, which cost 0.15 USD."""
    usage = {"input_tokens": 1_000_000}
    return {"id": ident, "at": at, "provider": "openai", "model": "gpt-4o-mini", "usage": usage, **fields}
