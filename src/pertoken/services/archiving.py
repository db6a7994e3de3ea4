"""Moves old months of events to files and back. At every moment an event is in the database, in a listed file, or both.

A month's file is written, flushed and read back before the database hears of it; the database knows the file before it
is listed; it is listed before the first event goes. Events then go in the order of the file, few at a time, and their
number stands in the transaction that removes them. So whatever ends in the middle is finished by doing it again.
"""

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, NamedTuple

from pertoken.core.money import format_amount
from pertoken.core.periods import Window, bounds, format_time
from pertoken.ports.months import Archived, FolderFailed, MonthFile, MonthFiles, Months

UNLISTED = "it is not listed: archiving was interrupted, then archive again; or the list is an older one"
CHUNK = 1_000  # events of one transaction: a call waits no longer for it than for a batch of calls


class NotArchived(Exception):
    """This cannot be archived, or brought back."""


class MonthMoved(NamedTuple):
    """What became of one file: how many events were moved, known before, or conflict."""

    file: MonthFile
    moved: int
    known: int = 0
    conflicting: int = 0


def newest_before_us(now_us: int) -> int:
    """Return before when events may be archived: this month and the last one stay.

    Windows of budgets that run now begin there, in any time zone, and a new budget must know what they have spent.
    """
    start_us, _ = bounds(Window.MONTH, now_us, "UTC")
    return bounds(Window.MONTH, start_us - 1, "UTC")[0]


def archive(
    months: Months, files: MonthFiles, before_us: int, now_us: int, rest: Callable[[], None]
) -> Iterator[MonthMoved]:
    """Move the months before an instant to files, and yield each file when its events are gone from the database.

    `rest` is called between transactions, for others to write. Raises NotArchived, FolderFailed, StoreUnavailable.
    """
    if before_us > newest_before_us(now_us):
        latest = format_time(newest_before_us(now_us))[:7]
        raise NotArchived(f"this month and the last one stay in the database; use --before {latest} or earlier")
    for archived in months.archived():
        if archived.month_us < before_us and 0 < archived.removed < archived.events:  # begun, and not finished
            yield _remove(months, files, _checked(files, archived), archived, rest)
    prices = {row.price_id: row for row in months.prices()}
    for month_us in months.with_events(before_us):
        with months.reading(month_us) as events:
            taken = {one.name for one in months.archived() if one.removed}  # whatever is listed: these are nowhere else
            file = files.write(month_us, events, prices, now_us, taken)
        whole = [one for one in months.archived() if one.month_us == month_us and one.removed == 0]
        archived = months.register(file, files.place, [one.archive_id for one in whole])  # it has all of theirs, too
        files.publish(file, [one.sha256 for one in whole])
        yield _remove(months, files, file, archived, rest)


def _checked(files: MonthFiles, archived: Archived) -> MonthFile:
    """Return the file of a month that is half removed, proven whole. Raises NotArchived."""
    month = format_time(archived.month_us)[:7]
    left = f"{archived.removed:,} events of {month} are only in {archived.name}"
    file = next((one for one in files.files() if one.sha256 == archived.sha256), None)
    if file is None:
        raise NotArchived(f"{left}, which is not in {files.place}; it was written to {archived.folder}")
    for fault in files.faults(file):
        raise NotArchived(f"{left}, and {fault}")
    return file


def _remove(
    months: Months, files: MonthFiles, file: MonthFile, archived: Archived, rest: Callable[[], None]
) -> MonthMoved:
    """Remove what is left of a file's events from the database."""
    moved = 0
    events = files.read(file, archived.removed)
    while chunk := list(islice(events, CHUNK)):
        archived = months.remove(archived, chunk)
        moved += len(chunk)
        rest()
    return MonthMoved(file, moved)


def bring_back(
    months: Months, files: MonthFiles, month_us: int | None, rest: Callable[[], None]
) -> Iterator[MonthMoved]:
    """Bring the events of a folder's files, or of those of one month, back; yield each file when it is done.

    Events that this database once had come back as they were; those of another are posted anew, each once.
    Raises NotArchived, FolderFailed, StoreUnavailable.
    """
    chosen = [file for file in files.files() if month_us in (None, file.month_us)]
    if not chosen:
        what = "no file" if month_us is None else f"no file of {format_time(month_us)[:7]}"
        raise NotArchived(f"{what} is listed in {files.place}")
    for file in chosen:
        for fault in files.faults(file):
            raise FolderFailed(f"{file.name}: {fault}")
        known = next((one for one in months.archived() if one.sha256 == file.sha256), None)
        yield _post(months, files, file, rest) if known is None else _restore(months, files, file, known, rest)


def _restore(
    months: Months, files: MonthFiles, file: MonthFile, archived: Archived, rest: Callable[[], None]
) -> MonthMoved:
    """Bring back what this database removed, the last first."""
    before = archived.removed
    for chunk in files.chunks(file, before):
        archived = months.restore(archived, chunk)
        rest()
    return MonthMoved(file, before, known=file.events - before)


def _post(months: Months, files: MonthFiles, file: MonthFile, rest: Callable[[], None]) -> MonthMoved:
    """Post the events of a file that this database never had."""
    months.add_prices(files.prices(file))
    posted = conflicting = 0
    events = files.read(file)
    while chunk := list(islice(events, CHUNK)):
        new, conflicts = months.record([stored.event for stored in chunk])
        posted, conflicting = posted + new, conflicting + conflicts
        rest()
    if not conflicting:
        months.register(file, files.place, [])
    return MonthMoved(file, posted, file.events - posted - conflicting, conflicting)


def check(files: MonthFiles) -> tuple[list[MonthFile], list[dict[str, Any]]]:
    """Return the files of a folder, and what is wrong with them."""
    listed = files.files()
    faults = [{"file": file.name, "fault": fault} for file in listed for fault in files.faults(file)]
    faults += [{"file": name, "fault": UNLISTED} for name in files.unlisted()]
    return listed, faults


def file_fields(file: MonthFile) -> dict[str, Any]:
    """Return a file as commands print it."""
    return {
        "file": file.name,
        "month": format_time(file.month_us)[:7],
        "events": file.events,
        "cost": {currency: format_amount(picos, currency) for currency, picos in file.cost_picos.items()},
        "sha256": file.sha256,
        "bytes": file.size,
    }
