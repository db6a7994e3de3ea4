"""Whose spending moved most between two stretches of time, and why."""

from typing import Any, NamedTuple

from pertoken.core.movers import Consumed, Mover, Served, make_mover, most_moved
from pertoken.core.price_book import PriceBook
from pertoken.core.reporting import SUMS
from pertoken.ports.archive import Archive
from pertoken.services.price_changes import cache_saves
from pertoken.services.reports import groups

DIMENSIONS = ("key", "customer", "model")
SOLD_BY = ("provider", "model")
MOVERS_MAX = 6
_PLACES = [SUMS.index(name) for name in ("calls", "input_tokens", "cache_read_tokens", "output_tokens", "cost_picos")]
ALL = ""  # the name of what is of no one dimension


class Moved(NamedTuple):
    """Those that moved most, and all together."""

    movers: list[Mover]
    total: Mover


def find_movers(  # noqa: PLR0917 - what is compared
    archive: Archive,
    book: PriceBook,
    before: tuple[int, int],
    now: tuple[int, int],
    zone: str,
    currency: str,
    most: int = MOVERS_MAX,
) -> Moved:
    """Return whose cost in one currency moved most from one stretch to the other, by key, by customer and by model."""
    then, since = (_consumed(archive, span, zone, currency) for span in (before, now))
    served = {one for found in (then, since) for one in found[ALL]}
    saved = cache_saves(book, served, before[0])
    movers = [
        make_mover(dimension, name, then[dimension].get(name, {}), since[dimension].get(name, {}), saved)
        for dimension in DIMENSIONS
        for name in {*then[dimension], *since[dimension]}
        if name
    ]
    return Moved(most_moved(movers, most), make_mover("", "", then[ALL], since[ALL], saved))


def _consumed(archive: Archive, span: tuple[int, int], zone: str, currency: str) -> dict[str, Any]:
    """Return what was used in a stretch, by dimension, value and who served it; all of it by who served it."""
    by = tuple(dict.fromkeys((*DIMENSIONS, *SOLD_BY)))
    found: dict[str, Any] = {ALL: {}, **{dimension: {} for dimension in DIMENSIONS}}
    for row in groups(archive, *span, by, zone):
        if row.currency != currency:
            continue
        values = dict(zip(by, row.values, strict=True))
        served, one = (values["provider"], values["model"]), Consumed(*(row.sums[place] for place in _PLACES))
        _add(found[ALL], served, one)
        for dimension in DIMENSIONS:
            _add(found[dimension].setdefault(values[dimension], {}), served, one)
    return found


def _add(found: dict[Served, Consumed], served: Served, one: Consumed) -> None:
    found[served] = found[served].plus(one) if served in found else one
