"""Single calls as a resource, newest first."""

import itertools
import sys
from decimal import Decimal
from typing import Annotated, Literal

import msgspec

from pertoken.api.fields import Cursor, Instant, PageLimit, Time, read_cursor, read_time, write_cursor
from pertoken.api.route import Asked, Route
from pertoken.core.access import Action
from pertoken.core.periods import FOREVER_US
from pertoken.core.texts import tidy
from pertoken.ports.store import Opened
from pertoken.services import calls as listing
from pertoken.services.calls import Wanted

Status = Literal["ok", "failed", "hung_up", "estimated", "unpriced", "correction"]
LeastCost = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^(0|[1-9][0-9]{0,14})(\.[0-9]{1,10})?$(?!\n)",
        description="A decimal, in the currency of each call.",
    ),
]
LOOKED_MAX = 10_000  # calls that a page with a least cost looks at
FILTERS = ("source", "key", "team", "customer", "user", "provider", "model", "conversation")


class FilterQuery(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Filters of calls."""

    key: str | None = None
    team: str | None = None
    customer: str | None = None
    user: str | None = None
    provider: str | None = None
    model: str | None = None
    conversation: str | None = None
    status: Status | msgspec.UnsetType = msgspec.UNSET  # with None, the word null would be taken
    min_cost: LeastCost | None = None


class CallsQuery(FilterQuery, forbid_unknown_fields=True, kw_only=True):
    """Which calls: those that began in [since, until), have every given value, and ended with `status`."""

    limit: PageLimit = 100
    cursor: Cursor | None = None
    since: Time | None = None
    until: Time | None = None
    source: str | None = None


class CallAnswer(msgspec.Struct, kw_only=True):
    """One call, or a correction of one, as in `pertoken calls --json`. `marks` lists every status that applies."""

    call_id: str
    at: Instant
    source: str
    key: str | None
    key_name: str | None
    team: str | None
    customer: str | None
    user: str | None
    conversation: str | None
    provider: str | None
    model: str | None
    status: str
    marks: list[str]
    input_tokens: int
    output_tokens: int
    cost: str
    currency: str
    ms: int | None
    timeline: dict[str, int | None] | None  # held_ms, sent_ms, first_byte_ms, last_byte_ms, settled_ms, from the start
    attempts: int | None
    refusal: str | None
    reason: str | None
    corrects: str | None


class CallsAnswer(msgspec.Struct):
    """Calls, newest first. `archived` lists the months of the period whose calls are partly in files and not listed.

    With `min_cost`, a page looks at 10,000 calls: it may have fewer than `limit` calls, or none, and a next page.
    """

    calls: list[CallAnswer]
    archived: list[str]
    next_cursor: str | None


def list_calls(opened: Opened, asked: Asked) -> CallsAnswer:
    """Return a page of the calls that the principal may see."""
    query: CallsQuery = asked.query
    where, status, cost_min = read_part(query)
    since_us, until_us = read_time(query.since, "since"), read_time(query.until, "until")
    until_us = FOREVER_US if until_us is None else until_us
    wanted = Wanted(where, since_us or 0, until_us, status, cost_min)
    before = None if query.cursor is None else read_cursor(query.cursor, (int, int))
    most = LOOKED_MAX if cost_min is not None else sys.maxsize  # no index finds calls by their cost
    posted, looked = listing.newest_among(opened.archive, wanted, None, before, most)
    found = list(itertools.islice(posted, query.limit + 1))
    keys = {key.key_id: key.name for key in opened.archive.list_keys()}
    shown = found[: query.limit]
    last = shown[-1].place if len(found) > len(shown) else looked.stopped_at
    months = listing.archived_months(opened.archive, since_us or 0, until_us)
    return CallsAnswer(
        [CallAnswer(**listing.call_fields(posted.event, keys)) for posted in shown],
        [listing.month_name(parts[0]) for parts in months],
        None if last is None else write_cursor(last),
    )


def read_part(query: FilterQuery) -> tuple[dict[str, str], str | None, Decimal | None]:
    """Return the requested values, status and least cost."""
    where = {name: tidy(getattr(query, name)) for name in FILTERS if getattr(query, name, None) is not None}
    status = query.status if isinstance(query.status, str) else None
    return where, status, None if query.min_cost is None else Decimal(query.min_cost)


ROUTES = (
    Route(
        "GET", "/api/v1/calls", Action.CALLS_READ, "List calls, the newest first.", list_calls, CallsAnswer,
        CallsQuery,
    ),
)  # fmt: skip
