"""Rating past events again as a resource: a preview of the corrections, and the corrections themselves."""

import functools
import itertools
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from pertoken.api.fields import Amount, CountField, Text, Time, read_time
from pertoken.api.problem import ApiRefused, Problem
from pertoken.api.route import Asked, Route, Taking
from pertoken.core.access import Action
from pertoken.core.corrections import Rerating
from pertoken.ports.months import EventsArchived
from pertoken.ports.store import Opened
from pertoken.services import audit
from pertoken.services.reports import usage
from pertoken.services.rerate import Correcting, NotCorrected, Selection, outcome_rows, reads_from, rerate

PATH = "/api/v1/reratings"
CALLS_MAX = 20_000  # that one request rates again
READ_MAX = 200_000  # calls of all models that it reads for that: events are found by time
BATCH = 50  # corrections in one batch, between the gateway's calls


class ReratingBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Which events to rate again: those in [since, until), of one provider or model if it is given.

    A model is the requested or the served one. With `dry_run`, nothing is corrected.
    """

    since: Time
    until: Time | None = None
    provider: Text | None = None
    model: Text | None = None
    dry_run: bool = False


class RatedAgain(msgspec.Struct, kw_only=True):
    """The result for the events of one model."""

    provider: str
    model: str
    events: CountField
    corrected: CountField
    before: Amount
    after: Amount
    change: Amount
    currency: str
    unpriced: CountField


class ReratingAnswer(msgspec.Struct, kw_only=True):
    """The result. With `dry_run`, `corrections` is the number of corrections that would be made."""

    dry_run: bool
    events: CountField
    corrections: CountField
    rows: list[RatedAgain]


class PlannedRerating(NamedTuple):
    """The result of rating again, and the corrections to record; None if there are none."""

    answer: ReratingAnswer
    correcting: Correcting | None


def plan(opened: Opened, asked: Asked) -> PlannedRerating:
    """Return the corrections that rating again would make.

    Raises ApiRefused if the principal may not see everything, or the range is invalid, too large or archived.
    """
    body: ReratingBody = asked.body
    if not asked.view.is_whole:
        raise ApiRefused(Problem.FORBIDDEN, "only a key that may see all teams and customers may rate events again")
    since_us, until_us = read_time(body.since, "since"), read_time(body.until, "until")
    assert since_us is not None
    until_us = asked.now_us if until_us is None else until_us
    if since_us >= until_us:
        raise ApiRefused(Problem.INVALID_FIELD, "until must be after since", "until")
    selection = Selection(since_us, until_us, body.provider, body.model)
    _need_few(opened, reads_from(asked.prices, selection), until_us)
    try:
        found = rerate(opened.archive, asked.prices, selection, asked.now_us, asked.pricing)
        outcomes = list(itertools.islice(found, CALLS_MAX + 1))
    except EventsArchived as error:
        message = "some events of the range are archived: choose a later one, or bring them back"
        raise ApiRefused(Problem.INVALID_FIELD, f"{message}: pertoken archive import", "since") from error
    if len(outcomes) > CALLS_MAX:
        raise _too_many(f"more than {CALLS_MAX:,} calls are asked for, which is the most of one request")
    return _plan(outcomes, dry_run=body.dry_run)


def _need_few(opened: Opened, since_us: int, until_us: int) -> None:
    """Raise ApiRefused where more calls would be read than one request may."""
    calls = sum(total["calls"] for total in usage(opened.archive, since_us, until_us, (), "UTC")["totals"])
    if calls > READ_MAX:
        raise _too_many(f"{calls:,} calls of all models would be read, more than the {READ_MAX:,} of one request")


def _too_many(message: str) -> ApiRefused:
    return ApiRefused(Problem.INVALID_FIELD, f"{message}; choose a shorter range, or run: pertoken rerate", "since")


def _plan(outcomes: Sequence[Rerating], *, dry_run: bool) -> PlannedRerating:
    corrections = sum(len(one.corrections) for one in outcomes)
    rows = [msgspec.convert(row, RatedAgain) for row in outcome_rows(iter(outcomes))]
    answer = ReratingAnswer(dry_run=dry_run, events=len(outcomes), corrections=corrections, rows=rows)
    return PlannedRerating(answer, Correcting(outcomes) if corrections and not dry_run else None)


def note(opened: Opened, asked: Asked, planned: PlannedRerating, through: str) -> None:
    """Record who rates events again, before the corrections, because both cannot be in one transaction."""
    audit.record(
        opened.audit, asked.principal, through, asked.now_us, action=Action.PRICES_WRITE, path=PATH,
        before=asked.body, after=planned.answer,
    )  # fmt: skip


async def take_rerating(taking: Taking, asked: Asked) -> ReratingAnswer:
    """Rate events again and record the corrections; they are durable when this returns.

    If a request broke off, repeating it makes the missing corrections. Raises ApiRefused, StoreUnavailable.
    """
    planned: PlannedRerating = await taking.in_thread(functools.partial(_prepare, taking, asked))
    correcting = planned.correcting
    while correcting is not None and (events := correcting.next(BATCH)):
        async with taking.turns:
            correcting.take(await taking.ledger.record_all(events))
    return answer_of(planned)


def answer_of(planned: PlannedRerating) -> ReratingAnswer:
    """Return the answer with what became of the corrections. Raises ApiRefused where some could not be made."""
    correcting = planned.correcting
    if correcting is None:
        return planned.answer
    try:
        correcting.check()
    except NotCorrected as error:
        raise ApiRefused(Problem.EVENT_CONFLICT, str(error)) from error
    return msgspec.structs.replace(planned.answer, corrections=correcting.made)


def _prepare(taking: Taking, asked: Asked) -> PlannedRerating:
    with taking.store.read() as opened:
        planned = plan(opened, asked)
    if planned.correcting is not None:
        with taking.store.write() as opened:
            note(opened, asked, planned, "api")
    return planned


ROUTES = (
    Route(
        "POST", PATH, Action.PRICES_WRITE, "Rate past events again, and correct those whose price was not known.",
        take_rerating, ReratingAnswer, body=ReratingBody, records=True,
        problems=(Problem.EVENT_CONFLICT,),
    ),
)  # fmt: skip
