"""Usage reports: who used what, when, and what it cost."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from pertoken.core.money import format_amount
from pertoken.core.periods import DAY_US, NotATime, Window, bounds, format_time, load_zone, parse_when
from pertoken.core.reporting import (
    COST,
    NOTHING,
    SUMS,
    TIME_DIMENSIONS,
    Group,
    Slice,
    Sum,
    Sums,
    add_sums,
    attributes,
    event_sums,
    report,
    slices,
    sum_events,
)
from pertoken.ports.archive import ANY, Among, CallsView, EventsView, UseView
from pertoken.ports.months import EventsArchived
from pertoken.services.calls import Folders, Wanted, archived_months, newest

YEARS_MAX = 60  # of a report by a time: its spans are gone through one by one
_COUNTS = [name for name in SUMS if not name.endswith("_picos")]


class Part(NamedTuple):
    """Which calls a report is about: those with every value of `where`, the status, and so much cost at least."""

    where: Mapping[str, str] = {}
    status: str | None = None
    cost_min: Decimal | None = None
    folders: Folders | None = None  # where archived months are; None: what needs them is refused
    among: Among = ANY  # of each of these dimensions, which the report is by, those values alone; not with events

    def needs_events(self, by: Sequence[str]) -> bool:
        """Tell whether roll-ups cannot say it."""
        return self.status is not None or self.cost_min is not None or "conversation" in (*by, *self.where)


ALL = Part()


def usage(  # noqa: PLR0917 - what is asked
    archive: UseView, since_us: int, until_us: int, by: Sequence[str], zone: str, part: Part = ALL
) -> dict[str, Any]:
    """Return the usage of [since, until) by the dimensions of `by`, with a total per currency.

    Reads roll-ups, but for the ends of a range that does not begin and end on whole quarters of an hour, and for a part
    that roll-ups do not know.
    """
    return usage_page(archive, since_us, until_us, by, zone, part=part)[0]


def usage_page(  # noqa: PLR0917 - what is asked, and which rows of the answer
    archive: UseView,
    since_us: int,
    until_us: int,
    by: Sequence[str],
    zone: str,
    start: int = 0,
    limit: int | None = None,
    part: Part = ALL,
) -> tuple[dict[str, Any], bool]:
    """Return the same with `limit` of the rows, from `start` on, and whether there are more.

    Reports by time are summed no further than the page reaches.
    """
    found = groups(archive, since_us, until_us, by, zone, part)
    rows = [_fields(row, by) for row in itertools.islice(found, start, None if limit is None else start + limit)]
    more = next(found, None) is not None
    totals = [_fields(total, ()) for total in groups(archive, since_us, until_us, (), zone, part)]
    report = {
        "rows": rows,
        "total": _first(totals),
        "totals": totals,
        "timezone": zone,
        "since": format_time(since_us),
        "until": format_time(until_us),
    }
    return report, more


def groups(  # noqa: PLR0917 - what is asked
    archive: UseView, since_us: int, until_us: int, by: Sequence[str], zone: str, part: Part = ALL
) -> Iterator[Group]:
    """Yield the rows of the same report as values: their sums are exact integers, in the order of SUMS."""
    dimensions = attributes(by)
    pieces = slices(since_us, until_us, by, zone)
    if part.needs_events(by):
        assert not part.among, part
        wanted = Wanted(part.where, since_us, until_us, part.status, part.cost_min)
        return report(_event_sums(archive, list(pieces), dimensions, wanted, part.folders), by, zone)
    return report(((piece, archive.sums(piece, dimensions, part.where, part.among)) for piece in pieces), by, zone)


def _event_sums(
    archive: CallsView, pieces: Sequence[Slice], dimensions: Sequence[str], wanted: Wanted, folders: Folders | None
) -> list[tuple[Slice, list[Sum]]]:
    """Return the sums of each slice from the events themselves. Raises EventsArchived, FolderFailed."""
    months = [] if folders is not None else archived_months(archive, wanted.since_us, wanted.until_us)
    if months:
        raise EventsArchived([one for files in reversed(months) for one in files])
    sums: list[dict[tuple[int, tuple[str | None, ...], str], Sums]] = [{} for _ in pieces]
    at = len(pieces) - 1
    for posted in newest(archive, wanted, folders):
        while posted.event.occurred_at_us < pieces[at].start_us:
            at -= 1
        for span, values, currency, amounts in sum_events([posted.event], pieces[at], dimensions):
            add_sums(sums[at], (span, values, currency), amounts)
    return [
        (piece, [Sum(*key, amounts) for key, amounts in found.items()])
        for piece, found in zip(pieces, sums, strict=True)
    ]


def conversations(archive: EventsView, since_us: int, until_us: int, zone: str) -> dict[str, Any]:
    """Return the usage of [since, until) by conversation, the dearest first."""
    by_conversation: dict[tuple[str, str], list[int]] = {}
    times: dict[str, tuple[int, int]] = {}
    for event in archive.conversation_events(since_us, until_us):
        name = event.attribution.conversation or ""
        row = by_conversation.setdefault((name, event.currency), [0] * len(SUMS))
        for at, amount in enumerate(event_sums(event)):
            row[at] += amount
        first, last = times.get(name, (event.occurred_at_us, event.occurred_at_us))
        times[name] = (min(first, event.occurred_at_us), max(last, event.occurred_at_us))
    groups = [Group((name,), currency, tuple(sums)) for (name, currency), sums in by_conversation.items()]
    rows = []
    for one in sorted(groups, key=lambda group: (-group.sums[COST], group.values)):
        first, last = times[one.values[0]]
        rows.append({**_fields(one, ("conversation",)), "first": format_time(first), "last": format_time(last)})
    sums: dict[str, Sums] = {}
    for one in groups:
        add_sums(sums, one.currency, one.sums)
    of_all = sorted((Group((), currency, amounts) for currency, amounts in sums.items()), key=lambda one: one.currency)
    totals = [_fields(one, ()) for one in of_all]
    return {"rows": rows, "total": _first(totals), "totals": totals, "timezone": zone}


def _first(totals: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the total of the first currency, all zero where there is none."""
    return totals[0] if totals else _fields(Group((), "USD", NOTHING), ())


def together(report: Mapping[str, Any]) -> dict[str, Any]:
    """Return what all totals of a report come to: counts of all, amounts of the currency that most calls have."""
    totals = sorted(report["totals"], key=lambda one: (-one["calls"], one["currency"])) or [report["total"]]
    return {**totals[0], **{name: sum(one[name] for one in totals) for name in _COUNTS}}


class BadRange(ValueError):
    """A range of time is invalid; `field` is since, until or timezone."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


def to_range(  # noqa: PLR0917 - what is asked
    since: str | None, until: str | None, zone: str, now_us: int, days: int = 7, by: Sequence[str] = ()
) -> tuple[int, int]:
    """Return the range that dates, times or words say in `zone`: a day or month as its end is included.

    Raises BadRange.

    Without an end it is today's; without a start it is that of `days` before the last day. One that is reported `by`
    a time is not longer than YEARS_MAX.
    """
    try:
        load_zone(zone)
    except NotATime as error:
        raise BadRange("timezone", str(error)) from error
    start_us, end_us = default_range(now_us, zone, days)
    if until is not None:
        end_us = _when(until, zone, now_us, "until")[1]
    if since is not None:
        start_us = _when(since, zone, now_us, "since")[0]
    elif until is not None:
        start_us = default_range(end_us - 1, zone, days)[0]
    if start_us >= end_us:
        raise BadRange("since", "must be before the end")
    step = next((name for name in by if name in TIME_DIMENSIONS), None)
    if step is not None and end_us - start_us > YEARS_MAX * 366 * DAY_US:
        raise BadRange("until" if until else "since", f"a report by {step} is of {YEARS_MAX} years at most")
    return start_us, end_us


def default_range(now_us: int, zone: str, days: int = 7) -> tuple[int, int]:
    """Return today and the `days` before it, in `zone`: the start of the first day and the end of today."""
    start, end = bounds(Window.DAY, now_us, zone)
    for _ in range(days):
        start, _ = bounds(Window.DAY, start - 1, zone)
    return start, end


def _when(text: str, zone: str, now_us: int, field: str) -> tuple[int, int]:
    try:
        return parse_when(text, zone, now_us)
    except NotATime as error:
        raise BadRange(field, f"{error}, today, yesterday, 7d, 24h or 2026-11") from error


def _fields(row: Group, by: Sequence[str]) -> dict[str, Any]:
    sums = dict(zip(SUMS, row.sums, strict=True))
    fields: dict[str, Any] = {**dict(zip(by, row.values, strict=True)), **{name: sums[name] for name in _COUNTS}}
    fields["cost"] = format_amount(sums["cost_picos"], row.currency)
    is_sold = sums["sold_calls"] or sums["price_picos"]
    fields["price"] = format_amount(sums["price_picos"], row.currency) if is_sold else None
    fields["currency"] = row.currency
    return fields
