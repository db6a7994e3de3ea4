"""Whose spending moved most between two stretches of time, and why."""

from collections.abc import Sequence
from typing import NamedTuple

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
_ByName = dict[str, dict[Served, Consumed]]


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
    found: list[Mover] = []
    saved = None
    for dimension in DIMENSIONS:
        then, since = (_consumed(archive, span, dimension, zone, currency) for span in (before, now))
        if saved is None:
            served = {one for of_name in (*then.values(), *since.values()) for one in of_name}
            saved = cache_saves(book, served, before[0])
            total = make_mover("", "", _merged(then), _merged(since), saved)
        names = {name for name in (*then, *since) if name}
        found += [make_mover(dimension, name, then.get(name, {}), since.get(name, {}), saved) for name in names]
    return Moved(most_moved(found, most), total)


def _consumed(archive: Archive, span: tuple[int, int], dimension: str, zone: str, currency: str) -> _ByName:
    """Return what was used in a stretch by the values of a dimension, and by who served it."""
    by: Sequence[str] = tuple(dict.fromkeys((dimension, *SOLD_BY)))
    found: _ByName = {}
    for row in groups(archive, *span, by, zone):
        if row.currency == currency:
            values = dict(zip(by, row.values, strict=True))
            served = (values["provider"], values["model"])
            found.setdefault(values[dimension], {})[served] = Consumed(*(row.sums[place] for place in _PLACES))
    return found


def _merged(by_name: _ByName) -> dict[Served, Consumed]:
    found: dict[Served, Consumed] = {}
    for of_name in by_name.values():
        for served, one in of_name.items():
            found[served] = found.get(served, Consumed()).plus(one)
    return found
