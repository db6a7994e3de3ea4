"""How full the budgets are, and what is held, for monitoring: a few figures, and none of a customer or user."""

from collections.abc import Sequence
from typing import NamedTuple

from pertoken.core import periods
from pertoken.core.budgets import Budget
from pertoken.ports.archive import CountersView, StandingView

BUDGETS_MAX = 200  # the fullest are shown


class Share(NamedTuple):
    """How much of a budget is used in its window now; of one with `each`, by the value that used most."""

    name: str
    team: str
    axis: str
    window: str
    mode: str
    used: float  # of the limit: 1 is all of it


class Fullness(NamedTuple):
    """What budgets and holds come to now, in the whole database."""

    shares: tuple[Share, ...]
    budgets: int  # in force
    open_holds: int
    held: dict[str, int]  # in picos, by currency


def read_fullness(archive: StandingView, now_us: int) -> Fullness:
    """Return how budgets and holds stand now."""
    held: dict[str, int] = {}
    open_holds = archive.open_holds()
    for hold in open_holds:
        held[hold.currency] = held.get(hold.currency, 0) + hold.amount_picos
    budgets = archive.budgets()
    shares = _shares(archive, budgets, now_us)
    fullest = sorted(shares, key=lambda share: (-share.used, share))[:BUDGETS_MAX]
    return Fullness(tuple(sorted(fullest)), len(budgets), len(open_holds), held)


def _shares(archive: CountersView, budgets: Sequence[Budget], now_us: int) -> Sequence[Share]:
    windows = {one.budget_id: periods.bounds(one.window, now_us, one.zone)[0] for one in budgets}
    most = dict.fromkeys(windows, 0)
    for key, (held, spent) in archive.counters_in(list(windows.items())).items():
        most[key.budget_id] = max(most[key.budget_id], held + spent)
    fullest: dict[tuple[str, ...], Share] = {}
    for one in budgets:
        used = most[one.budget_id] / one.limit if one.limit else 1.0
        share = Share(one.name, one.team or "", str(one.axis), str(one.window), str(one.mode), used)
        if share[:-1] not in fullest or fullest[share[:-1]].used < used:  # two keys may have one of that name each
            fullest[share[:-1]] = share
    return list(fullest.values())
