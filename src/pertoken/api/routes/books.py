"""Resources derived from the books: usage, one explained call, the result of verification."""

from typing import Annotated, Any

import msgspec

from pertoken.api.fields import Count, Cursor, Instant, Time, read_cursor, write_cursor
from pertoken.api.problem import ApiRefused, Problem
from pertoken.api.route import Asked, Route
from pertoken.api.routes.calls import FilterQuery, read_part
from pertoken.core.access import Action, may
from pertoken.core.reporting import is_report_dimension
from pertoken.ports.months import EventsArchived
from pertoken.ports.store import Opened
from pertoken.services import reports
from pertoken.services.explain import ARCHIVED, explain
from pertoken.services.verify import verify

ROWS_MAX = 10_000
DIMENSIONS_MAX = 8
DIFFERENCES_MAX = 1_000

_ONE = r"(model|provider|key|team|customer|user|conversation|hour|day|week|month|tag:[A-Za-z0-9_.-]+)"

UsageRow = dict[str, str | int | None]


class UsageQuery(FilterQuery, forbid_unknown_fields=True, kw_only=True):
    """Which usage, by what. Default: today and the 7 days before, by model.

    By conversation, status or least cost it is summed from events: no time of that may be archived.
    """

    by: Annotated[
        str,
        msgspec.Meta(
            max_length=1_000,
            extra_json_schema={"pattern": f"^({_ONE}(,{_ONE}){{0,{DIMENSIONS_MAX - 1}}})?$(?!\\n)"},
            description="model, provider, key, team, customer, user, conversation, tag:NAME, hour, day, week, month",
        ),
    ] = "model"
    since: Time | None = None
    until: Time | None = None
    timezone: Annotated[str, msgspec.Meta(description="Time zone of days and of plain dates.")] = "UTC"
    limit: Annotated[int, msgspec.Meta(ge=1, le=ROWS_MAX)] = 1_000
    cursor: Cursor | None = None


class UsageAnswer(msgspec.Struct):
    """Usage by the dimensions asked for: times in order, then the dearest rows, as `pertoken usage --json` has them.

    A row has its dimensions, calls, unpriced_calls, uncounted_calls (of those: without any known cost), the tokens of
    each kind, cost, price and currency.
    """

    rows: list[UsageRow]
    total: UsageRow
    totals: list[UsageRow]
    timezone: str
    since: Instant
    until: Instant
    next_cursor: str | None


class Explanation(msgspec.Struct, kw_only=True):
    """All that is known of one call, as `pertoken explain --json` has it."""

    call_id: str
    cost: str
    currency: str
    status: str
    lines: list[dict[str, Any]]
    attempts: list[dict[str, Any]]
    attribution: dict[str, Any]
    hold: dict[str, Any] | None
    budgets: list[dict[str, Any]]
    policy: list[str]
    archived: list[dict[str, Any]]  # files with events of this call that are not here any more
    refusal: dict[str, Any] | None = None  # of a call that was refused, while it is one of the last


class VerdictAnswer(msgspec.Struct):
    """Whether the books agree with what is derived from first entries; at most 1,000 differences are shown."""

    ok: bool
    checked: dict[str, Count]
    differences: list[dict[str, Any]]


def read_usage(opened: Opened, asked: Asked) -> UsageAnswer:
    """Return the usage that may be seen."""
    query: UsageQuery = asked.query
    if query.min_cost is not None and not may(asked.principal, Action.COSTS_READ):
        raise ApiRefused(Problem.FORBIDDEN, "this admin key may not filter by cost: it may not see costs", "min_cost")
    by = tuple(part.strip() for part in query.by.split(",") if part.strip())
    unknown = next((name for name in by if not is_report_dimension(name)), None)
    if unknown is not None or len(by) > DIMENSIONS_MAX:
        what = f"unknown dimension {unknown!r}" if unknown is not None else f"more than {DIMENSIONS_MAX} dimensions"
        known = "model, provider, key, team, customer, user, conversation, tag:NAME, hour, day, week, month"
        raise ApiRefused(Problem.INVALID_PARAMETER, f"{what}; use {known}", "by")
    try:
        since_us, until_us = reports.to_range(query.since, query.until, query.timezone, asked.now_us, by=by)
    except reports.BadRange as error:
        raise ApiRefused(Problem.INVALID_PARAMETER, str(error), error.field) from error
    (start,) = (0,) if query.cursor is None else read_cursor(query.cursor, (int,))
    start = max(0, start)
    asked_for = (since_us, until_us, by, query.timezone, start, query.limit)
    try:
        part = reports.Part(*read_part(query))
        report, more = reports.usage_page(opened.archive, *asked_for, part=part)
    except EventsArchived as error:
        message = "part of this period is archived: begin and end on whole quarters of an hour"
        if part.needs_events(by):
            message = "part of this period is archived: choose a later one, or use: pertoken usage"
        raise ApiRefused(Problem.INVALID_PARAMETER, message, "since") from error
    rows = report["rows"]
    if "key" in by:
        names = {key.key_id: key.name for key in opened.archive.list_keys()}
        rows = [{**row, "key_name": names.get(row["key"])} for row in rows]
    shown = [_seen(row, asked) for row in rows]
    cursor = write_cursor((start + query.limit,)) if more else None
    total, totals = _seen(report["total"], asked), [_seen(row, asked) for row in report["totals"]]
    return UsageAnswer(shown, total, totals, report["timezone"], report["since"], report["until"], cursor)


def explain_call(opened: Opened, asked: Asked) -> Explanation:
    """Return all that is known of a call, as far as it may be seen."""
    found = explain(opened.archive, asked.name)
    if found is None:
        message = f"no call {asked.name!r}; its id is in the answer's header x-pertoken-call-id"
        raise ApiRefused(Problem.NOT_FOUND, message, "call_id")
    if found["status"] == ARCHIVED:
        files = ", ".join(one["file"] for one in found["archived"])
        hint = f"pertoken explain {asked.name}"
        raise ApiRefused(
            Problem.NOT_FOUND, f"call {asked.name!r} is archived, in {files}; where that is: {hint}", "call_id"
        )
    return msgspec.convert(found, Explanation)


def run_verify(opened: Opened, asked: Asked) -> VerdictAnswer:
    """Re-derive every balance, budget window and roll-up from first entries."""
    verdict = verify(opened.archive, asked.now_us)
    return VerdictAnswer(verdict.ok, verdict.checked, verdict.differences[:DIFFERENCES_MAX])


def _seen(row: UsageRow, asked: Asked) -> UsageRow:
    """Return a row without what the provider charges us, for those who are not to see it."""
    return row if may(asked.principal, Action.COSTS_READ) else {**row, "cost": None}


ROUTES = (
    Route("GET", "/api/v1/usage", Action.USAGE_READ, "Show who used what.", read_usage, UsageAnswer, UsageQuery),
    Route(
        "GET", "/api/v1/calls/{call_id}", Action.CALLS_READ, "Explain what one call cost, line by line.", explain_call,
        Explanation, problems=(Problem.NOT_FOUND,),
    ),
    Route("GET", "/api/v1/verify", Action.VERIFY_RUN, "Recompute all balances from events.", run_verify, VerdictAnswer),
)  # fmt: skip
