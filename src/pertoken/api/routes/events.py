"""Usage events as a resource: recorded through the ledger, and read back."""

import functools
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, cast

import msgspec

from pertoken.api.fields import PLAIN, GivenInstant, Instant, PageQuery, Time, read_cursor, read_time, write_cursor
from pertoken.api.problem import ApiRefused, Problem
from pertoken.api.reading import decode_event
from pertoken.api.route import Asked, Route, Taking
from pertoken.core.access import NOTHING, Action, View, may
from pertoken.core.commands import RecordResult
from pertoken.core.customers import Customer
from pertoken.core.events import GATEWAY, Event
from pertoken.core.money import format_amount
from pertoken.core.periods import FOREVER_US, format_time
from pertoken.core.texts import tidy
from pertoken.core.units import UNITS
from pertoken.ports.events import Search
from pertoken.ports.store import Opened
from pertoken.services import allowance, ingest
from pertoken.services.calls import own_fields
from pertoken.services.customers import reject_customers
from pertoken.services.ingest import NotAnEvent, Tally, UsageRecord

EVENTS_MAX = 10_000  # of one request
EVENTS_BYTES_MAX = 16 * 1024 * 1024
NOT_ALLOWED = (Problem.FORBIDDEN, allowance.ABOVE)
BATCH = 200  # events handed to the committer at a time; calls that arrive meanwhile wait for no more than these

Digits = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
Usage = Annotated[
    dict[str, Annotated[int, msgspec.Meta(ge=0, le=10**12)] | None],
    msgspec.Meta(
        min_length=1,
        extra_json_schema={
            "propertyNames": {"enum": list(UNITS)},
            "not": {"additionalProperties": {"type": "null"}},  # something must be known
        },
    ),
]
# A number is read as its digits. Null means that the field is missing.
_WORDS = {"maxLength": ingest.TEXT_MAX, "pattern": PLAIN}
IdText = Annotated[
    Annotated[str, msgspec.Meta(min_length=1, extra_json_schema=_WORDS)] | Digits, msgspec.Meta(description="A name.")
]
Word = Annotated[str, msgspec.Meta(extra_json_schema=_WORDS)] | Digits
SourceField = Annotated[
    str,
    msgspec.Meta(
        extra_json_schema={"maxLength": ingest.TEXT_MAX, "pattern": PLAIN.replace("^", f"^(?!{GATEWAY}$)", 1)}
    ),
]


TagsField = Annotated[
    dict[Annotated[str, msgspec.Meta(extra_json_schema=_WORDS)], Word | None], msgspec.Meta(max_length=ingest.TAGS_MAX)
]


class EventBody(msgspec.Struct, kw_only=True):
    """One reported event; other fields are ignored. Its identity is source and id."""

    id: IdText
    at: GivenInstant
    provider: IdText
    model: IdText
    usage: Usage
    source: SourceField | Digits | None = "events"
    key: Word | None = None
    team: Word | None = None
    customer: Word | None = None
    user: Word | None = None
    conversation: Word | None = None
    tags: TagsField | None = {}
    service_tier: Word | None = None
    batch: bool | None = False
    speed: Word | None = None
    region: Word | None = None


# Each entry of a list is checked separately; an entry that is not an event is `rejected`.
EventsBody = EventBody | Annotated[list[Any], msgspec.Meta(max_length=EVENTS_MAX)]


class Rejected(msgspec.Struct):
    """An event that was not recorded, by its position in the list, from 1."""

    line: int
    code: str
    message: str


class UnpricedEvents(msgspec.Struct):
    """Events that were recorded without a price: how many, which one is the first, and why it has no price."""

    lines: int
    first_line: int
    reason: str


class TallyAnswer(msgspec.Struct, kw_only=True):
    """The result for the events. A duplicate already exists; a conflicting event exists with other content."""

    accepted: int
    duplicate: int
    conflicting: int
    conflicting_lines: list[int]
    rejected: list[Rejected]
    unpriced: UnpricedEvents | None


class EventsQuery(PageQuery, forbid_unknown_fields=True, kw_only=True):
    """Which events: those that occurred in [since, until) and have every given value."""

    since: Time | None = None
    until: Time | None = None
    source: str | None = None
    key: str | None = None
    team: str | None = None
    customer: str | None = None
    user: str | None = None
    provider: str | None = None
    model: str | None = None
    conversation: str | None = None


class EventAnswer(msgspec.Struct, kw_only=True):
    """One event. `cost` is the provider's charge, null for a customer; `price` is the customer's charge, or null."""

    id: str
    source: str
    at: Instant
    recorded_at: Instant
    key: str | None
    team: str | None
    customer: str | None
    user: str | None
    conversation: str | None
    tags: dict[str, str]
    provider: str | None
    model: str | None
    model_served: str | None
    service_tier: str | None
    status: str
    completeness: str
    reason: str | None
    usage: dict[str, int]
    currency: str
    cost: str | None
    price: str | None
    late: bool
    timeline: dict[str, int | None] | None  # as for a call
    attempts: int | None
    corrects: str | None


class EventsAnswer(msgspec.Struct):
    """Events, latest first."""

    events: list[EventAnswer]
    next_cursor: str | None


def list_events(opened: Opened, asked: Asked) -> EventsAnswer:
    """Return a page of the events that the principal may see."""
    query: EventsQuery = asked.query
    filters = ("source", "key", "team", "customer", "user", "provider", "model", "conversation")
    where = {name: tidy(getattr(query, name)) for name in filters if getattr(query, name) is not None}
    since_us, until_us = read_time(query.since, "since"), read_time(query.until, "until")
    if since_us is not None and until_us is not None and since_us >= until_us:
        raise ApiRefused(Problem.INVALID_PARAMETER, "until must be after since", "until")
    before = None if query.cursor is None else read_cursor(query.cursor, (int, int))
    search = Search(where, since_us or 0, FOREVER_US if until_us is None else until_us, before, query.limit + 1)
    found = opened.archive.search_events(search)
    shown = found[: query.limit]
    cursor = write_cursor(shown[-1].place) if len(found) > len(shown) else None
    costs = may(asked.principal, Action.COSTS_READ)
    return EventsAnswer([_answer(posted.event, costs=costs) for posted in shown], cursor)


async def take_events(taking: Taking, asked: Asked) -> TallyAnswer:
    """Record one event or a list of events, each once; recorded events are durable when this returns.

    They are read and priced on a thread, and recorded in small batches between the calls that the gateway serves.
    A team's events are deducted from its allowance first. Raises ApiRefused if a team has no allowance, or if a single
    event is invalid or conflicts; StoreUnavailable.
    """
    team = asked.view.team
    if team is not None and not taking.may_report:
        raise ApiRefused(Problem.FORBIDDEN, allowance.refusal(team))
    alone = isinstance(asked.body, dict)
    reported = [asked.body] if alone else asked.body
    if not isinstance(reported, list):
        raise ApiRefused(Problem.INVALID_FIELD, "send one event (an object) or a list of events")
    if len(reported) > EVENTS_MAX:
        message = f"a request may have at most {EVENTS_MAX:,} events, not {len(reported):,}"
        raise ApiRefused(Problem.TOO_LARGE, message)
    lines = list(enumerate(reported, 1))
    tally = Tally(0, 0, (), ())
    for start in range(0, len(reported), BATCH):
        read = functools.partial(_judge, lines[start : start + BATCH], asked, taking)
        events, rejected = await taking.in_thread(read)
        if team is None:
            async with taking.turns:
                results = await ingest.record(events, taking.ledger)
        else:
            taken, results = await _record_of_team(team, events, taking, asked.now_us)
            events, rejected = taken.events, [*rejected, *taken.rejected]
        tally = tally.plus(events, results, rejected)
    if alone:
        _refuse_alone(tally)
    return TallyAnswer(
        accepted=tally.accepted,
        duplicate=tally.duplicate,
        conflicting=len(tally.conflicting),
        conflicting_lines=list(tally.conflicting),
        rejected=[Rejected(*problem) for problem in tally.rejected],
        unpriced=UnpricedEvents(*tally.unpriced) if tally.unpriced.lines else None,
    )


async def _record_of_team(
    team: str, events: Sequence[tuple[int, Event]], taking: Taking, now_us: int
) -> tuple[allowance.Taken, list[RecordResult]]:
    """Record the events of a batch that fit the team's allowance. If the store fails, they stay deducted from it."""

    def take() -> allowance.Taken:
        with taking.store.write() as opened:
            return allowance.take(opened.administration, team, events, now_us)

    def put_back() -> None:
        with taking.store.write() as opened:
            allowance.put_back(opened.administration, team, back, now_us)

    taken: allowance.Taken = await taking.in_thread(take)
    async with taking.turns:
        results = await ingest.record(taken.events, taking.ledger)
    back = allowance.to_put_back(taken, results)
    if back != NOTHING:
        await taking.in_thread(put_back)
    return taken, results


def _refuse_alone(tally: Tally) -> None:
    """Raise ApiRefused if a request with one event did not record it."""
    for problem in tally.rejected:
        code = Problem.FORBIDDEN if problem.code in NOT_ALLOWED else Problem.INVALID_FIELD
        raise ApiRefused(code, problem.message)
    if tally.conflicting:
        raise ApiRefused(Problem.EVENT_CONFLICT, "an event of this source and id exists with other content", "id")


def _judge(
    lines: Sequence[tuple[int, object]], asked: Asked, taking: Taking
) -> tuple[list[tuple[int, Event]], list[ingest.RejectedLine]]:
    def find(named: Collection[str]) -> Mapping[str, Customer]:
        with taking.store.read() as opened:
            return opened.customers.find(named)

    read = reject_customers(_read(lines, asked.view, taking.own_keys), find, taking.unknown)
    return ingest.judge(read, asked.prices, asked.now_us, taking.cost_max, asked.pricing)


def _read(
    lines: Iterable[tuple[int, object]], view: View, own_keys: frozenset[str]
) -> Iterator[UsageRecord | ingest.RejectedLine]:
    """Yield the record of each event. An event without a team belongs to the team that reports it.

    A team reports under its own source, so that it can neither use nor discover the ids of other events.
    """
    own_source = f"team:{view.team}"
    defaults = {} if view.team is None else {"team": view.team, "source": own_source}
    for line, fields in lines:
        try:
            record = ingest.read_event(line, _object(fields), defaults)
        except NotAnEvent as error:
            yield ingest.RejectedLine(line, "invalid_event", str(error))
            continue
        of = record.attribution
        if not view.sees(of):
            yield ingest.RejectedLine(line, Problem.FORBIDDEN, f"this key may only report events of {view.team!r}")
        elif view.team is not None and record.source != own_source:
            message = f"a team reports under the source {own_source!r}, not {record.source!r}; leave it out"
            yield ingest.RejectedLine(line, Problem.FORBIDDEN, message)
        elif not view.is_whole and of.key is not None and of.key not in own_keys:
            yield ingest.RejectedLine(line, Problem.FORBIDDEN, f"the key {of.key!r} is not one of the team's")
        else:
            yield record


def _object(given: object) -> dict[str, Any]:
    """Return the fields of an event. Raises NotAnEvent."""
    try:
        fields = decode_event(given) if isinstance(given, msgspec.Raw) else given
    except ValueError as error:
        raise NotAnEvent(str(error)) from error
    if not isinstance(fields, dict):
        raise NotAnEvent("not an object")
    return cast("dict[str, Any]", fields)


def _answer(event: Event, *, costs: bool) -> EventAnswer:
    of, own = event.attribution, own_fields(event)
    return EventAnswer(
        id=event.event_id,
        source=event.source,
        at=format_time(event.occurred_at_us),
        recorded_at=format_time(event.recorded_at_us),
        key=of.key,
        team=of.team,
        customer=of.customer,
        user=of.user,
        conversation=of.conversation,
        tags=dict(of.tags),
        provider=of.provider,
        model=of.model,
        model_served=event.model_served,
        service_tier=event.service_tier,
        status=event.status,
        completeness=event.completeness,
        reason=event.reason,
        usage=dict(event.quantities),
        currency=event.currency,
        cost=format_amount(event.cost_picos, event.currency) if costs else None,
        price=None if event.price_picos is None else format_amount(event.price_picos, event.currency),
        late=own["late"],
        timeline=own["timeline"],
        attempts=own["attempts"],
        corrects=own["corrects"],
    )


ROUTES = (
    Route(
        "GET", "/api/v1/events", Action.EVENTS_READ, "List usage events, the newest first.", list_events, EventsAnswer,
        EventsQuery,
    ),
    Route(
        "POST", "/api/v1/events", Action.EVENTS_WRITE, "Record one event or up to 10,000, each exactly once.",
        take_events, TallyAnswer, body=EventsBody, body_bytes_max=EVENTS_BYTES_MAX, records=True, takes_events=True,
        problems=(Problem.EVENT_CONFLICT,),
    ),
)  # fmt: skip
