"""Resources derived from the books: usage, one explained call, the result of verification."""

from typing import Annotated, Any

import msgspec

from pertoken.api.fields import CountField, Cursor, Instant, Time, read_cursor, write_cursor
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
    """Which usage, and by which dimensions. Default: today and the 7 days before, by model.

    Reports by conversation, status or least cost are summed from events, so no part of the period may be archived.
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
    """Usage by the requested dimensions: times in order, then the dearest rows first, as in `pertoken usage --json`.

    A row has its dimensions, calls, unpriced_calls, uncounted_calls (unpriced calls without any known cost), the tokens
    of each kind, cost, price and currency.
    """

    rows: list[UsageRow]
    total: UsageRow
    totals: list[UsageRow]
    timezone: str
    since: Instant
    until: Instant
    next_cursor: str | None


class Explanation(msgspec.Struct, kw_only=True):
    """Everything that is known about one call, as in `pertoken explain --json`."""

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
    archived: list[dict[str, Any]]  # files with archived events of this call
    refusal: dict[str, Any] | None = None  # for a refused call, while it is one of the last 1,000


class VerdictAnswer(msgspec.Struct):
    """Whether the books agree with the recorded events; at most 1,000 differences are shown."""

    ok: bool
    checked: dict[str, CountField]
    differences: list[dict[str, Any]]


def read_usage(opened: Opened, asked: Asked) -> UsageAnswer:
    """Return the usage that the principal may see."""
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
    """Return everything about a call that the principal may see."""
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
    """Recompute every balance, budget window and roll-up from the events."""
    verdict = verify(opened.archive, asked.now_us)
    return VerdictAnswer(verdict.ok, verdict.checked, verdict.differences[:DIFFERENCES_MAX])


def _seen(row: UsageRow, asked: Asked) -> UsageRow:
    """Return a row without the provider's charges, for principals who may not see costs."""
    return row if may(asked.principal, Action.COSTS_READ) else {**row, "cost": None}


ROUTES = (
    Route("GET", "/api/v1/usage", Action.USAGE_READ, "Show who used what.", read_usage, UsageAnswer, UsageQuery),
    Route(
        "GET", "/api/v1/calls/{call_id}", Action.CALLS_READ, "Explain what one call cost, line by line.", explain_call,
        Explanation, problems=(Problem.NOT_FOUND,),
    ),
    Route("GET", "/api/v1/verify", Action.VERIFY_RUN, "Recompute all balances from events.", run_verify, VerdictAnswer),
)  # fmt: skip
