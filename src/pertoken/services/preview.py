"""What a budget would have refused of what was used, before anybody sets it: from roll-ups, not from single calls."""

from typing import NamedTuple

from pertoken.core import periods
from pertoken.core.axes import AXES
from pertoken.core.budgets import Budget
from pertoken.core.periods import Window
from pertoken.core.preview import Refusals, UsedThen, replay, why_unknown
from pertoken.core.reporting import CALLS, Slice, slices
from pertoken.ports.archive import SumsView

DAYS = 30
BASED_ON = (
    "Computed from recorded usage, summed by {span}. All calls of one sum are taken as equal, so the figures are "
    "close, not exact. Calls that were refused at that time are not included, and callers might have acted otherwise. "
    "A hold is larger than the final cost of its call, so calls that run at the same time may be refused a little "
    "sooner."
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
    span = Window.HOUR if budget.window in (Window.HOUR, Window.DAY) else Window.DAY
    based_on = BASED_ON.format(span=span)
    if unknown is not None:
        return Preview(days, None, unknown, "")
    since_us, until_us = periods.bounds(Window.DAY, now_us, budget.zone)
    for _ in range(days - 1):
        since_us, _ = periods.bounds(Window.DAY, since_us - 1, budget.zone)
    start_us, _ = periods.bounds(budget.window, since_us, budget.zone)
    before = _before(archive, budget, since_us) if budget.window is Window.TOTAL else []
    start_us = since_us if budget.window is Window.TOTAL else start_us
    used = [*before, *_used(archive, budget, start_us, until_us, span)]
    return Preview(days, replay(budget, used, since_us), None, based_on)


def _before(archive: SumsView, budget: Budget, until_us: int) -> list[UsedThen]:
    """Return what fills the counters of a window without end, all at one instant."""
    return [one._replace(start_us=0) for one in _used(archive, budget, 0, until_us, None)]


def _used(archive: SumsView, budget: Budget, start_us: int, until_us: int, span: Window | None) -> list[UsedThen]:
    """Return what was used by span, value and key, in the order of time."""
    dimensions = (budget.each, "key") if budget.each else ("key",)
    found: dict[tuple[int, str, str], tuple[int, int]] = {}
    for piece in slices(start_us, until_us, () if span is None else (str(span),), budget.zone):
        for one in archive.sums(piece, dimensions, dict(budget.scope)):
            each = (one.values[0] or "") if budget.each else ""
            if budget.each and not each:
                continue
            key = (_start_of(piece, one.span, span, budget.zone), each, one.values[-1] or "")
            calls, amount = found.get(key, (0, 0))
            spent = AXES[budget.axis].spent_of_sums(one.sums, one.currency, budget)
            found[key] = (calls + one.sums[CALLS], amount + spent)
    return [UsedThen(*key, *sums) for key, sums in sorted(found.items())]


def _start_of(piece: Slice, number: int, span: Window | None, zone: str) -> int:
    """Return where a span begins: a day on which clocks are moved is in several slices, and begins once."""
    if span is None:
        return piece.start_us
    at_us = max(number * piece.width_us - piece.offset_us, piece.start_us)
    return periods.bounds(span, at_us, zone)[0]
