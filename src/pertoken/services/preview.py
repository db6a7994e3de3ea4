"""What a budget would have refused of what was used, before anybody sets it: from roll-ups, not from single calls."""

from collections.abc import Iterator
from typing import NamedTuple

from pertoken.core import periods
from pertoken.core.axes import spent_of_sums
from pertoken.core.budgets import Budget
from pertoken.core.periods import Window
from pertoken.core.preview import Refusals, Used, replay, why_unknown
from pertoken.core.reporting import CALLS, slices
from pertoken.ports.archive import SumsView

DAYS = 30
BASED_ON = (
    "From recorded usage, summed by {span}: within one, all calls are taken as equal, so the figures are close, not "
    "exact. Calls that were refused then are not in it, nor what else callers would have done. A hold is larger than "
    "what its call costs in the end, so calls that run at the same time may be refused a little sooner."
)


class Preview(NamedTuple):
    """What a budget would have refused in the last days, or why nobody can say."""

    days: int
    refusals: Refusals | None
    unknown: str | None  # why there are no figures
    based_on: str


def preview(archive: SumsView, budget: Budget, now_us: int, days: int = DAYS) -> Preview:
    """Return what `budget` would have refused in the `days` before now, today included."""
    unknown = why_unknown(budget)
    span = "hour" if budget.window in (Window.HOUR, Window.DAY) else "day"
    based_on = BASED_ON.format(span=span)
    if unknown is not None:
        return Preview(days, None, unknown, "")
    since_us, until_us = periods.bounds(Window.DAY, now_us, budget.zone)
    for _ in range(days - 1):
        since_us, _ = periods.bounds(Window.DAY, since_us - 1, budget.zone)
    start_us, _ = periods.bounds(budget.window, since_us, budget.zone)
    before = _before(archive, budget, since_us) if budget.window is Window.TOTAL else iter(())
    start_us = since_us if budget.window is Window.TOTAL else start_us
    used = [*before, *_used(archive, budget, start_us, until_us, span)]
    return Preview(days, replay(budget, used, since_us), None, based_on)


def _before(archive: SumsView, budget: Budget, until_us: int) -> Iterator[Used]:
    """Yield what fills the counters of a window without end, all at one instant."""
    for one in _sums(archive, budget, 0, until_us, ()):
        yield one._replace(start_us=0)


def _used(archive: SumsView, budget: Budget, start_us: int, until_us: int, span: str) -> Iterator[Used]:
    """Yield what was used, in the order of time."""
    yield from sorted(_sums(archive, budget, start_us, until_us, (span,)), key=lambda one: one.start_us)


def _sums(
    archive: SumsView, budget: Budget, start_us: int, until_us: int, by: tuple[str, ...]
) -> Iterator[Used]:
    dimensions = (budget.each, "key") if budget.each else ("key",)
    for piece in slices(start_us, until_us, by, budget.zone):
        for one in archive.sums(piece, dimensions, dict(budget.scope)):
            each = (one.values[0] or "") if budget.each else ""
            if budget.each and not each:
                continue
            at_us = one.span * piece.width_us - piece.offset_us if piece.width_us else piece.start_us
            amount = spent_of_sums(one.sums, one.currency, budget)
            yield Used(at_us, each, one.values[-1] or "", one.sums[CALLS], amount)
