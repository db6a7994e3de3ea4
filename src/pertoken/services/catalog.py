"""Keeps the price book: imports add new prices and never change past charges."""

from collections.abc import Collection, Sequence
from typing import NamedTuple

from pertoken.core.periods import format_time
from pertoken.core.prices import PriceRow, price_id
from pertoken.ports.administration import Administration


class CannotWithdraw(ValueError):
    """A price is not there, or has begun."""


class Merge(NamedTuple):
    """What an import would do: rows to add, and rows that they take the place of."""

    added: tuple[PriceRow, ...]
    superseded: tuple[PriceRow, ...]
    unchanged: int


def merge(known: Sequence[PriceRow], offered: Sequence[PriceRow], now_us: int) -> Merge:
    """Return how `offered` rows of one source join the `known` rows of that source.

    A row that states another amount for the same slot and start says that the price changed in place: the old row is
    closed now, the new one starts now, and what was rated before stays as it was. A row that the source no longer
    states stays in force. A future price that was withdrawn stays withdrawn.
    """
    offered = _without_withdrawn(known, offered)
    known = [row for row in known if row.superseded_at_us is None]
    by_slot: dict[tuple[object, ...], list[PriceRow]] = {}
    for row in known:
        by_slot.setdefault(_slot(row), []).append(row)
    added: list[PriceRow] = []
    superseded: list[PriceRow] = []
    unchanged = 0
    for row in offered:
        probe_us = min(max(now_us, row.valid_from_us), row.valid_to_us - 1)  # an instant at which the offer holds
        old = _counterpart(by_slot.get(_slot(row), []), row, probe_us)
        if old is None:
            added.append(row)
        elif _costs_the_same(old, row):
            if old.valid_to_us == row.valid_to_us or row.valid_to_us <= now_us:
                unchanged += 1
            else:  # only its end is stated differently now
                superseded.append(old)
                added.append(_renamed(old._replace(valid_to_us=row.valid_to_us, recorded_at_us=now_us)))
        elif row.valid_from_us > old.valid_from_us:
            added.append(row)  # a dated step: it wins over the older row from its start on
        elif probe_us == now_us:
            superseded.append(old)
            added += [_renamed(old._replace(valid_to_us=now_us)), _renamed(row._replace(valid_from_us=now_us))]
        else:
            superseded.append(old)  # a price of another time than now is stated differently: the newer word holds
            added.append(row)
    return Merge(tuple(added), tuple(superseded), unchanged)


def bring_in(administration: Administration, offered: Sequence[PriceRow], now_us: int) -> Merge:
    """Merge rows of one source into the book; return what changed."""
    known = [row for row in administration.price_rows() if offered and row.source == offered[0].source]
    change = merge(known, offered, now_us)
    administration.change_prices(change.added, [row.price_id for row in change.superseded], now_us)
    return change


def take_back(administration: Administration, price_ids: Collection[str], now_us: int) -> Merge:
    """Take back announced prices; return the prices that go on in their place. Raises CannotWithdraw."""
    change = withdraw(administration.price_rows(), price_ids, now_us)
    administration.change_prices(change.added, [row.price_id for row in change.superseded], now_us)
    return change


def withdraw(known: Sequence[PriceRow], price_ids: Collection[str], now_us: int) -> Merge:
    """Return how rows that are not in force yet are taken back: the price before each goes on in its place.

    Raises CannotWithdraw where an id is unknown, or its row has begun: what was charged by it stays.
    """
    live = {row.price_id: row for row in known if row.superseded_at_us is None}
    added, gone = [], []
    for price_id_ in price_ids:
        row = live.get(price_id_)
        if row is None:
            raise CannotWithdraw(f"no price {price_id_!r} is in the book; see: pertoken price history MODEL")
        if row.valid_from_us <= now_us:
            since = format_time(row.valid_from_us) if row.valid_from_us else "ever"
            message = f"{price_id_} has been in force since {since}; add another price from now on: pertoken price add"
            raise CannotWithdraw(message)
        gone.append(row)
        for before in live.values():
            if _slot(before) == _slot(row) and before.valid_to_us == row.valid_from_us:
                gone.append(before)
                added.append(_renamed(before._replace(valid_to_us=row.valid_to_us, recorded_at_us=now_us)))
    return Merge(tuple(added), tuple(gone), len(live) - len(gone))


def _without_withdrawn(known: Sequence[PriceRow], offered: Sequence[PriceRow]) -> list[PriceRow]:
    """Return `offered` without the rows that were withdrawn before they began; what came before them goes on."""
    withdrawn = {
        row.price_id: row
        for row in known
        if row.superseded_at_us is not None and row.superseded_at_us < row.valid_from_us
    }
    ends = {(_slot(row), row.valid_from_us): row.valid_to_us for row in withdrawn.values()}
    kept = []
    for row in offered:
        if row.price_id in withdrawn:
            continue
        end_us = ends.get((_slot(row), row.valid_to_us))
        kept.append(row if end_us is None else _renamed(row._replace(valid_to_us=end_us)))
    return kept


def _slot(row: PriceRow) -> tuple[object, ...]:
    return (row.provider, row.model, row.match, row.unit, row.input_above, row.marginal, row.conditions, row.is_factor)


def _counterpart(rows: Sequence[PriceRow], offered: PriceRow, at_us: int) -> PriceRow | None:
    """Return the known row that the offered one restates: of the same start, else the one in force at `at_us`."""
    live = [row for row in rows if row.valid_from_us <= at_us < row.valid_to_us]
    same_start = [row for row in live if row.valid_from_us == offered.valid_from_us]
    return max(same_start or live, key=lambda row: (row.valid_from_us, row.recorded_at_us), default=None)


def _costs_the_same(old: PriceRow, new: PriceRow) -> bool:
    terms = [(row.currency, row.covers, row.minimum, row.stacks, row.quota) for row in (old, new)]
    return terms[0] == terms[1] and old.amount_picos * new.per == new.amount_picos * old.per


def _renamed(row: PriceRow) -> PriceRow:
    return row._replace(price_id=price_id(row))
