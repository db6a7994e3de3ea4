"""Lists calls, newest first, from the database and from archived months as one list."""

import heapq
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any, NamedTuple, assert_never

from pertoken.core.budgets import Attribution
from pertoken.core.calls import REFUSED, marks, took_us
from pertoken.core.events import GATEWAY, Event, OfCall, OfCorrection, OfReport
from pertoken.core.money import format_amount, pico_digits
from pertoken.core.periods import Window, bounds, format_time
from pertoken.core.refusals import RefusedCall, RefusedSearch
from pertoken.ports.archive import ArchivedView, CallsView, EventsView, RefusedView
from pertoken.ports.events import Posted, Search
from pertoken.ports.months import Archived, FolderFailed, MonthFile, MonthFiles

TIMELINE = ("held_ms", "sent_ms", "first_byte_ms", "last_byte_ms")  # as core.events.Timeline
PAGE = 1_000  # events that are read from the database at once
_FILE = 1 << 40  # places in one archived file
_ARCHIVED = -(1 << 62)  # the place of the first event of the first file: below every place in the database

Place = tuple[int, int]
Folders = Callable[[Archived], MonthFiles]


class Wanted(NamedTuple):
    """Which calls: those of [since, until) that have every value of `where`, the status, and cost at least so much."""

    where: Mapping[str, str]  # of an attribution, or source
    since_us: int
    until_us: int
    status: str | None = None
    cost_min: Decimal | None = None  # in the currency of each call


def newest(
    archive: CallsView, wanted: Wanted, folders: Folders | None, before: Place | None = None
) -> Iterator[Posted]:
    """Yield the calls that are wanted, the newest first, those after the place `before` alone.

    Archived months are read when their turn comes, and not at all without `folders`. Raises FolderFailed where one of
    them is not to be read.
    """
    found = _merged(archive, wanted, folders, before)
    return (posted for posted in found if _costs_enough(posted.event, wanted.cost_min))


def newest_among(
    archive: CallsView, wanted: Wanted, folders: Folders | None, before: Place | None, most: int
) -> tuple[Iterator[Posted], "LookedAt"]:
    """Return the same of the next `most` calls alone, whatever they cost, and how far was looked."""
    looked = LookedAt(_merged(archive, wanted, folders, before), most)
    return (posted for posted in looked if _costs_enough(posted.event, wanted.cost_min)), looked


class LookedAt:
    """Takes so many calls at most, and remembers the last."""

    def __init__(self, posted: Iterator[Posted], most: int) -> None:
        self._posted, self._left = posted, most
        self.stopped_at: Place | None = None  # set where there may be more

    def __iter__(self) -> Iterator[Posted]:
        """Yield them."""
        for posted in self._posted:
            yield posted
            self._left -= 1
            if not self._left:
                self.stopped_at = posted.place
                return


def following(posted: Iterable[Posted], wanted: Wanted) -> Iterator[Posted]:
    """Yield those of the events just posted that are wanted."""
    return (one for one in posted if fits(one.event, wanted) and _costs_enough(one.event, wanted.cost_min))


def fits(event: Event, wanted: Wanted) -> bool:
    """Tell whether an event is wanted, whatever it costs."""
    if not wanted.since_us <= event.occurred_at_us < wanted.until_us:
        return False
    if wanted.status is not None and wanted.status not in marks(event):
        return False
    return all(_value(event, name) == value for name, value in wanted.where.items())


def own_fields(event: Event) -> dict[str, Any]:
    """Return what only events of some kind have, as commands and the control plane tell it of each."""
    of = event.of
    fields: dict[str, Any] = {"late": False, "timeline": None, "attempts": None, "corrects": None}
    match of:
        case OfCall():
            return {**fields, "late": of.late, "timeline": _timeline(event, of), "attempts": of.attempts or None}
        case OfReport():
            return fields
        case OfCorrection():
            return {**fields, "corrects": of.corrects}
        case _:
            assert_never(of)


def _timeline(event: Event, of: OfCall) -> dict[str, int | None] | None:
    """Return when a call came to each step, in milliseconds after it began; None where it was not sent."""
    if of.timeline.sent_us is None:
        return None
    steps = dict(zip(TIMELINE, of.timeline, strict=True))
    steps["settled_ms"] = took_us(event, GATEWAY)
    return {name: None if us is None else (us + 500) // 1_000 for name, us in steps.items()}


def call_fields(event: Event, keys: Mapping[str, str]) -> dict[str, Any]:
    """Return one call as commands and the control plane tell it; `keys` are the names of keys by their ids."""
    all_marks, us, own = marks(event), took_us(event, GATEWAY), own_fields(event)
    return {
        **_who(event.event_id, event.occurred_at_us, event.source, event.attribution, keys),
        "status": all_marks[0],
        "marks": list(all_marks),
        "input_tokens": event.quantities.get("input_tokens", 0),
        "output_tokens": event.quantities.get("output_tokens", 0),
        "cost": format_amount(event.cost_picos, event.currency),
        "currency": event.currency,
        "ms": None if us is None else (us + 500) // 1_000,
        "timeline": own["timeline"],
        "attempts": own["attempts"],
        "refusal": None,
        "reason": event.reason,
        "corrects": own["corrects"],
    }


def refused(
    archive: RefusedView, wanted: Wanted, limit: int, before: tuple[int, str] | None = None
) -> list[RefusedCall]:
    """Return the newest refused calls that are wanted, of those that are kept whole (core.refusals).

    `before` is the time and the id of the last one of the page before.
    """
    if wanted.cost_min:
        return []  # they cost nothing
    asked = RefusedSearch(wanted.where, wanted.since_us, wanted.until_us, limit, before)
    return archive.refused_calls(asked)


def refused_fields(call: RefusedCall, keys: Mapping[str, str]) -> dict[str, Any]:
    """Return a refused call in the shape of `call_fields`."""
    return {
        **_who(call.call_id, call.at_us, GATEWAY, call.attribution, keys),
        "status": REFUSED,
        "marks": [REFUSED],
        "input_tokens": 0,
        "output_tokens": 0,
        "cost": "0",
        "currency": "USD",
        "ms": None,
        "timeline": None,
        "attempts": None,
        "refusal": call.code,
        "reason": call.message,
        "corrects": None,
    }


def _who(call_id: str, at_us: int, source: str, of: Attribution, keys: Mapping[str, str]) -> dict[str, Any]:
    """Return which call it is, and whose."""
    return {
        "call_id": call_id,
        "at": format_time(at_us),
        "source": source,
        "key": of.key,
        "key_name": keys.get(of.key or ""),
        "team": of.team,
        "customer": of.customer,
        "user": of.user,
        "conversation": of.conversation,
        "provider": of.provider,
        "model": of.model,
    }


def archived_months(archive: ArchivedView, since_us: int, until_us: int) -> list[list[Archived]]:
    """Return the files with events of [since, until) that are not in the database, by month, the newest month first."""
    found = [one for one in archive.archived() if one.month_us < until_us and _month_end(one) > since_us]
    return [list(parts) for _, parts in itertools.groupby(reversed(found), key=lambda one: one.month_us)]


def month_name(archived: Archived) -> str:
    """Return the month of a file: 2026-03."""
    return format_time(archived.month_us)[:7]


def _merged(archive: CallsView, wanted: Wanted, folders: Folders | None, before: Place | None) -> Iterator[Posted]:
    """Yield from both, in the order of places; a month's files are opened when all that came later was taken."""
    stored = _Ahead(_stored(archive, wanted, before))
    until_us = wanted.until_us if before is None else min(wanted.until_us, before[0] + 1)
    months = [] if folders is None else archived_months(archive, wanted.since_us, until_us)
    for parts in months:
        assert folders is not None
        yield from stored.down_to(_month_end(parts[0]))
        archived = [_archived(one, folders(one), wanted, before) for one in parts]
        of_month = stored.down_to(parts[0].month_us)
        yield from heapq.merge(of_month, *archived, key=lambda posted: posted.place, reverse=True)
    yield from stored.down_to(None)


def _stored(archive: EventsView, wanted: Wanted, before: Place | None) -> Iterator[Posted]:
    """Yield what the database has, a page at a time."""
    while True:
        asked = Search(wanted.where, wanted.since_us, wanted.until_us, before, PAGE, wanted.status)
        page = archive.search_events(asked)
        yield from page
        if len(page) < PAGE:
            return
        before = page[-1].place


def _archived(archived: Archived, files: MonthFiles, wanted: Wanted, before: Place | None) -> Iterator[Posted]:
    """Yield what one file has, the last first. Raises FolderFailed."""
    file = listed(archived, files)
    number = _ARCHIVED + archived.archive_id * _FILE + archived.removed
    for chunk in files.chunks(file, archived.removed):
        for event, _ in reversed(chunk):
            number -= 1
            place = (event.occurred_at_us, number)
            if event.occurred_at_us < wanted.since_us:
                return
            if (before is None or place < before) and fits(event, wanted):
                yield Posted(place, event)


def listed(archived: Archived, files: MonthFiles) -> MonthFile:
    """Return a file of a folder. Raises FolderFailed where it is not there, or not the one that was written."""
    file = next((one for one in files.files() if one.sha256 == archived.sha256), None)
    if file is None:
        raise FolderFailed(f"{archived.name} is not in {files.place}; it was written to {archived.folder}")
    return file


class _Ahead:
    """Takes calls in order, and looks at one before it is taken."""

    def __init__(self, posted: Iterator[Posted]) -> None:
        self._posted = posted
        self._next = next(posted, None)

    def down_to(self, start_us: int | None) -> Iterator[Posted]:
        """Yield those that occurred at `start_us` or later; all where it is None."""
        while self._next is not None and (start_us is None or self._next.place[0] >= start_us):
            taken, self._next = self._next, next(self._posted, None)
            yield taken


def _month_end(archived: Archived) -> int:
    return bounds(Window.MONTH, archived.month_us, "UTC")[1]


def _value(event: Event, name: str) -> str | None:
    return event.source if name == "source" else event.attribution.value(name)


def _costs_enough(event: Event, cost_min: Decimal | None) -> bool:
    return cost_min is None or event.cost_picos >= cost_min.scaleb(pico_digits(event.currency))
