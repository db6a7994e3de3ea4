"""Single calls, the newest first."""

import heapq
import itertools
import shlex
from collections import Counter
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import urlencode

from pertoken.core.access import Action
from pertoken.core.calls import REFUSED, STATUSES, marks, took_us
from pertoken.core.events import GATEWAY, EventStatus
from pertoken.core.money import format_amount
from pertoken.core.periods import format_time
from pertoken.core.refusals import RefusedCall
from pertoken.ports.events import Posted
from pertoken.services.calls import Place, Wanted, newest, newest_among, refused
from pertoken.web import grid
from pertoken.web.asked import with_key_id
from pertoken.web.grid import Cells, Column
from pertoken.web.page import NotHere, Page, PageContext, Visit, place

DEAREST = "-cost"  # as a table is sorted
LOOKED_AT = 10_000  # the newest calls, among which the dearest are searched; more would take too long
EMPTY = "No call matches. Choose a longer range, or fewer filters."
STORED_MAX = (1 << 63) - 1
DIGITS_MAX = 20  # of a number that is stored, and its sign
FILTERS = ("key", "team", "customer", "user", "provider", "model", "conversation", "source")


def show(visit: Visit) -> PageContext:
    """Return a page of the calls in the range that match the filters of the address."""
    status = visit.query.get("status") or None
    if status is not None and status not in STATUSES:
        raise NotHere(f"unknown status: {status!r}; use one of: {', '.join(STATUSES)}")
    keys = visit.opened.archive.list_keys()
    where = with_key_id({name: visit.query[name] for name in FILTERS if visit.query.get(name)}, keys)
    wanted = Wanted(where, visit.range.since_us, visit.range.until_us, status, _cost_min(visit))
    names = {key.key_id: key.name for key in keys}
    is_dearest = visit.query.get("sort") == DEAREST and status != REFUSED and visit.may(Action.COSTS_READ)
    looked, cursor, is_cut = 0, None, False
    if is_dearest:
        rows, looked = _dearest(visit, wanted, names)
    else:
        rows, cursor, is_cut = _refused(visit, wanted, names) if status == REFUSED else _served(visit, wanted, names)
    return {
        "grid": grid.paged(
            visit, _columns(visit), rows, cursor=cursor, command="" if is_dearest else _command(visit, where, status),
            empty="None of these calls fits; the next page looks further." if is_cut else EMPTY,
            api="" if is_dearest else _api(visit, where, status),
        ),
        "statuses": STATUSES, "filters": FILTERS, "where": where, "status": status or "",
        "is_dearest": is_dearest, "looked": looked if looked > LOOKED_AT else None,
        "looked_at": LOOKED_AT if is_cut else None,
        "may_costs": visit.may(Action.COSTS_READ) and status != REFUSED,
    }  # fmt: skip


CallRows = tuple[list[dict[str, Any]], str | None, bool]  # with where the next page begins; whether LOOKED_AT ended it


def _served(visit: Visit, wanted: Wanted, names: Mapping[str, str]) -> CallRows:
    posted, looked = newest_among(visit.opened.archive, wanted, visit.site.folders, _before(visit), LOOKED_AT)
    found = list(itertools.islice(posted, grid.ROWS + 1))
    rows = [row_of(posted, names) for posted in found[: grid.ROWS]]
    if len(found) > grid.ROWS:
        return rows, "{}.{}".format(*found[grid.ROWS - 1].place), False
    at = looked.stopped_at
    return rows, None if at is None else f"{at[0]}.{at[1]}", at is not None


def _dearest(visit: Visit, wanted: Wanted, names: Mapping[str, str]) -> tuple[list[dict[str, Any]], int]:
    """Return the dearest calls as rows, and how many calls were searched: LOOKED_AT + 1 if there are more than that.

    Amounts of different currencies are not compared; the currency with the most calls comes first.
    """
    found = list(itertools.islice(newest(visit.opened.archive, wanted, visit.site.folders), LOOKED_AT + 1))
    calls = Counter(posted.event.currency for posted in found)
    some = heapq.nlargest(
        grid.ROWS, found[:LOOKED_AT], lambda one: (calls[one.event.currency], one.event.currency, one.event.cost_picos)
    )
    return [row_of(posted, names) for posted in some], len(found)


def _before(visit: Visit) -> Place | None:
    after = visit.query.get("after", "")
    if not after:
        return None
    at, _, number = after.partition(".")
    return _stored(at), _stored(number)


def _stored(text: str) -> int:
    """Return a number of an address, if the store has room for it. Raises NotHere."""
    try:
        found = int(text[:DIGITS_MAX])
    except ValueError:
        found = STORED_MAX + 1
    if len(text) > DIGITS_MAX or abs(found) > STORED_MAX:
        raise NotHere("The address of this page of calls is not valid: open the list again.")
    return found


def row_of(posted: Posted, names: Mapping[str, str]) -> dict[str, Any]:
    """Return a call as a row; `names` are the names of keys by their ids."""
    event = posted.event
    of = event.attribution
    no_price = event.status is EventStatus.UNPRICED and not event.lines
    return {
        "at": event.occurred_at_us, "call_id": event.event_id, "status": marks(event)[0],
        "key": names.get(of.key or "", of.key), "team": of.team, "customer": of.customer, "user": of.user,
        "conversation": of.conversation, "provider": of.provider,
        "model": of.model, "input_tokens": event.quantities.get("input_tokens", 0),
        "output_tokens": event.quantities.get("output_tokens", 0), "currency": event.currency,
        "cost": None if no_price else Decimal(format_amount(event.cost_picos, event.currency)), "no_price": no_price,
        "took": took_us(event, GATEWAY),
        "reason": event.reason,
    }  # fmt: skip


def _refused(visit: Visit, wanted: Wanted, names: Mapping[str, str]) -> CallRows:
    at, _, call_id = visit.query.get("after", "").partition(".")
    before = (_stored(at), call_id) if at else None
    found = refused(visit.opened.archive, wanted, grid.ROWS + 1, before)
    rows = [_refused_row(call, names) for call in found[: grid.ROWS]]
    last = found[grid.ROWS - 1] if len(found) > grid.ROWS else None
    return rows, None if last is None else f"{last.at_us}.{last.call_id}", False


def _refused_row(call: RefusedCall, names: Mapping[str, str]) -> dict[str, Any]:
    of = call.attribution
    return {
        "at": call.at_us, "call_id": call.call_id, "status": REFUSED, "key": names.get(of.key or "", of.key),
        "team": of.team, "customer": of.customer, "user": of.user, "conversation": of.conversation,
        "provider": of.provider, "model": of.model, "currency": "USD", "cost": Decimal(0), "reason": call.message,
    }  # fmt: skip


def _columns(visit: Visit) -> list[Column]:
    def to_call(row: grid.GridRow) -> str:
        return visit.link(place("/calls", row["call_id"]))

    columns = [
        Column("at", "time", Cells.TIME, to_call, narrow=True),
        Column("call_id", "call", Cells.ID, to_call, hidden=True),
        Column("status", "status", Cells.STATE, beneath=True),
        Column("key", "key", Cells.NAME),
        Column("team", "team", Cells.NAME, hidden=True),
        Column("customer", "customer", Cells.NAME),
        Column("user", "user", Cells.NAME, hidden=True),
        Column("conversation", "conversation", Cells.ID, hidden=True),
        Column("provider", "provider", Cells.NAME, hidden=True),
        Column("model", "model", Cells.NAME, beneath=True),
        Column("input_tokens", "input", Cells.COUNT),
        Column("output_tokens", "output", Cells.COUNT),
        Column("took", "time taken", Cells.TOOK),
        Column("reason", "why", Cells.TEXT, hidden=True),
    ]
    if visit.may(Action.COSTS_READ):
        columns.insert(-2, Column("cost", "cost", Cells.AMOUNT, to_call, narrow=True))
    return columns


def _cost_min(visit: Visit) -> Decimal | None:
    text = visit.query.get("min_cost")
    if not text:
        return None
    try:
        found = Decimal(text)
    except InvalidOperation as error:
        raise NotHere(f"{text!r} is not an amount") from error
    if not found.is_finite() or len(text) > 40 or abs(found.adjusted()) > 40:
        raise NotHere(f"{text!r:.60} is not an amount")
    return found


def _command(visit: Visit, where: Mapping[str, str], status: str | None) -> str:
    given = {**where, **({"status": status} if status else {})}
    options = "".join(f" --{name} {shlex.quote(value)}" for name, value in given.items())
    since, until = format_time(visit.range.since_us), format_time(visit.range.until_us)
    return f"pertoken calls --since {since} --until {until}{options}"


def _api(visit: Visit, where: Mapping[str, str], status: str | None) -> str:
    span = {"since": format_time(visit.range.since_us), "until": format_time(visit.range.until_us)}
    return f"/api/v1/calls?{urlencode({**span, **where, **({'status': status} if status else {})})}"


PAGE = Page("/calls", "Calls", Action.CALLS_READ, show, "pages/calls.html", "Observe")
