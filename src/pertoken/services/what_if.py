"""What past usage of a model would cost at the prices of an instant.

From single calls where there are not too many of them: exact. Else from roll-ups, as if all calls of the time were
equal: close, but a call above the threshold of a dearer tier is not told from the others.
"""

from typing import NamedTuple

from pertoken.core.charging import Served, charge
from pertoken.core.conditions import STANDARD
from pertoken.core.events import Event, EventStatus, is_correction
from pertoken.core.price_book import PriceBook
from pertoken.core.reporting import CALLS, COST, SUMS, slices
from pertoken.ports.archive import UseView
from pertoken.ports.events import Search
from pertoken.services.price_diff import Side, effects

EVENTS_MAX = 5_000
_UNITS = ("input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens")


class WhatIf(NamedTuple):
    """What was paid and what would be; None where the prices do not say."""

    calls: int
    currency: str
    paid_picos: int
    would_picos: int | None
    unpriced: int  # calls that the prices of the instant say nothing of
    is_exact: bool  # from single calls, not from sums


def what_if(  # noqa: PLR0917 - what is asked, of which prices
    archive: UseView, book: PriceBook, provider: str, model: str, span: tuple[int, int], at_us: int
) -> WhatIf | None:
    """Return what the calls of [start, end) would cost at the prices of `at_us`, None where there were none."""
    where = {"provider": provider, "model": model}
    sums: dict[str, list[int]] = {}
    for piece in slices(*span, (), "UTC"):
        for one in archive.sums(piece, (), where):
            row = sums.setdefault(one.currency, [0] * len(SUMS))
            for at, amount in enumerate(one.sums):
                row[at] += amount
    if not sums or not any(row[CALLS] for row in sums.values()):
        return None
    currency, used = max(sums.items(), key=lambda one: one[1][CALLS])
    calls = sum(row[CALLS] for row in sums.values())
    if calls <= EVENTS_MAX:
        found = archive.search_events(Search(where, *span, None, 2 * EVENTS_MAX))
        events = [one.event for one in found]
        if sum(1 for one in events if not is_correction(one)) == calls:  # none is archived
            return _exact(book, events, currency, used[COST], at_us)
    return _close(book, Served(provider, model, None, at_us, STANDARD), currency, used)


def _exact(book: PriceBook, events: list[Event], currency: str, paid_picos: int, at_us: int) -> WhatIf:
    found = effects(Side(book, None), Side(book, at_us), events)
    of_currency = [one for one in found if one.currency == currency]
    unpriced = sum(one.unpriced_after for one in found)
    would = sum(one.after_picos for one in of_currency) if of_currency and unpriced < len(events) else None
    return WhatIf(sum(one.calls for one in found), currency, paid_picos, would, unpriced, is_exact=True)


def _close(book: PriceBook, served: Served, currency: str, used: list[int]) -> WhatIf:
    calls = used[CALLS]
    quantities = {unit: used[SUMS.index(unit)] // calls for unit in _UNITS if used[SUMS.index(unit)] >= calls}
    charged = charge(book, served, quantities)
    is_priced = charged.status is EventStatus.PRICED and charged.currency == currency
    would = charged.cost_picos * calls if is_priced else None
    return WhatIf(calls, currency, used[COST], would, 0 if is_priced else calls, is_exact=False)
