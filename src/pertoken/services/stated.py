"""The costs that providers stated, beside the price book's figures for the same calls."""

import itertools
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from pertoken.core.events import Event
from pertoken.core.money import format_amount
from pertoken.core.periods import Window, bounds
from pertoken.core.rates import REPORTED
from pertoken.ports.archive import CallsView
from pertoken.ports.months import Archived, FolderFailed, MonthFiles

BY = ("provider", "model")


class StatedSums(NamedTuple):
    """Sums over calls whose cost is their provider's statement."""

    calls: int = 0
    stated_picos: int = 0
    calls_without_book: int = 0  # of these: the price book has no price for them
    stated_without_book_picos: int = 0
    book_picos: int = 0  # of the others

    def plus(self, other: "StatedSums") -> "StatedSums":
        """Return both together."""
        return StatedSums(*(one + more for one, more in zip(self, other, strict=True)))


def stated_against_book(
    archive: CallsView, since_us: int, until_us: int, files: MonthFiles | None = None
) -> dict[str, Any]:
    """Return the sums of [since, until) by provider and model, those that differ most first, with a total per currency.

    Events that are archived are read from `files`. Raises EventsArchived where there are some and no files are given,
    FolderFailed where they are not in there as they were written.
    """
    events = archive.events_by_time(since_us, until_us) if files is None else _all(archive, files, since_us, until_us)
    sums: dict[tuple[str, str, str], StatedSums] = {}
    for event in events:
        if any(price_id == REPORTED for _, _, price_id, _ in event.lines):
            key = (event.attribution.provider or "", event.attribution.model or "", event.currency)
            sums[key] = sums.get(key, StatedSums()).plus(_sums(event))
    rows = sorted(sums.items(), key=lambda row: (-abs(_difference(row[1])), row[0]))
    totals: dict[str, StatedSums] = {}
    for (_, _, currency), one in rows:
        totals[currency] = totals.get(currency, StatedSums()).plus(one)
    return {
        "rows": [{**dict(zip(BY, key, strict=False)), **_fields(one, key[-1])} for key, one in rows],
        "totals": [_fields(one, currency) for currency, one in sorted(totals.items())],
    }


def _sums(event: Event) -> StatedSums:
    if not event.book_lines:
        return StatedSums(1, event.cost_picos, 1, event.cost_picos)
    return StatedSums(1, event.cost_picos, book_picos=sum(line[3] for line in event.book_lines))


def _difference(sums: StatedSums) -> int:
    return sums.stated_picos - sums.stated_without_book_picos - sums.book_picos


def _fields(sums: StatedSums, currency: str) -> dict[str, Any]:
    return {
        "calls": sums.calls,
        "stated": format_amount(sums.stated_picos, currency),
        "calls_without_book": sums.calls_without_book,
        "stated_without_book": format_amount(sums.stated_without_book_picos, currency),
        "book": format_amount(sums.book_picos, currency),
        "difference": format_amount(_difference(sums), currency),
        "currency": currency,
    }


def _all(archive: CallsView, files: MonthFiles, since_us: int, until_us: int) -> Iterator[Event]:
    yield from archive.live_events((since_us, until_us))
    for one in archive.archived():
        if one.month_us < until_us and bounds(Window.MONTH, one.month_us, "UTC")[1] > since_us:
            yield from (event for event in _read(one, files) if since_us <= event.occurred_at_us < until_us)


def _read(archived: Archived, files: MonthFiles) -> Iterable[Event]:
    """Return the events of a file that are not in the database. Raises FolderFailed."""
    file = next((one for one in files.files() if one.sha256 == archived.sha256), None)
    if file is None:
        raise FolderFailed(f"{archived.name} is not in {files.place}; it was written to {archived.folder}")
    for fault in files.faults(file):
        raise FolderFailed(f"{archived.name}: {fault}")
    return (stored.event for stored in itertools.islice(files.read(file), archived.removed))
