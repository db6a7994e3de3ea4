"""Whose spending moved most between two stretches of time, and why."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from pertoken.core.movers import Consumed, Mover, SoldAs, make_mover, most_moved
from pertoken.core.price_book import PriceBook
from pertoken.core.reporting import COST, SUMS
from pertoken.ports.archive import UseView
from pertoken.services.price_changes import cache_saves
from pertoken.services.reports import Part, groups

DIMENSIONS = ("key", "customer")  # besides models, which are in what is read by SOLD_BY
SOLD_BY = ("provider", "model")
MOVERS_MAX = 6
_PLACES = [SUMS.index(name) for name in ("calls", "input_tokens", "cache_read_tokens", "output_tokens", "cost_picos")]


class Moved(NamedTuple):
    """Those that moved most, and all together."""

    movers: list[Mover]
    total: Mover


def find_movers(  # noqa: PLR0917 - what is compared
    archive: UseView,
    book: PriceBook,
    before: tuple[int, int],
    now: tuple[int, int],
    zone: str,
    currency: str,
    most: int = MOVERS_MAX,
) -> Moved:
    """Return whose cost in one currency moved most from one stretch to the other, by key, by customer and by model.

    Costs by one dimension tell who that is; who served them is read for those alone.
    """

    def consumed(where: Mapping[str, str]) -> tuple[dict[SoldAs, Consumed], dict[SoldAs, Consumed]]:
        return _consumed(archive, before, zone, currency, where), _consumed(archive, now, zone, currency, where)

    all_before, all_now = consumed({})
    saved = cache_saves(book, {*all_before, *all_now}, before[0])
    found = []
    for dimension, name in _most_moved(archive, (before, now), zone, currency, (all_before, all_now))[:most]:
        found.append(make_mover(dimension, name, *consumed({dimension: name}), saved))
    return Moved(most_moved(found, most), make_mover("", "", all_before, all_now, saved))


def _most_moved(
    archive: UseView,
    spans: Sequence[tuple[int, int]],
    zone: str,
    currency: str,
    sold: Sequence[Mapping[SoldAs, Consumed]],
) -> list[tuple[str, str]]:
    """Return the dimension and name of those whose cost changed, the largest change first; `sold` is by model."""
    changes: dict[tuple[str, str], int] = {}
    for of_span, sign in zip(sold, (-1, 1), strict=True):
        for (_, model), consumed in of_span.items():
            changes["model", model] = changes.get(("model", model), 0) + sign * consumed.cost_picos
    for dimension in DIMENSIONS:
        for span, sign in zip(spans, (-1, 1), strict=True):
            for row in groups(archive, *span, (dimension,), zone):
                if row.currency == currency and row.values[0]:
                    one = (dimension, row.values[0])
                    changes[one] = changes.get(one, 0) + sign * row.sums[COST]
    moved = [one for one, change in changes.items() if change and one[1]]
    return sorted(moved, key=lambda one: (-abs(changes[one]), one))


def _consumed(
    archive: UseView, span: tuple[int, int], zone: str, currency: str, where: Mapping[str, str]
) -> dict[SoldAs, Consumed]:
    """Return what was used in a stretch by who served it."""
    rows = groups(archive, *span, SOLD_BY, zone, Part(where))
    return {
        (row.values[0], row.values[1]): Consumed(*(row.sums[place] for place in _PLACES))
        for row in rows
        if row.currency == currency
    }
