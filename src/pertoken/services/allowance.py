"""What a team may report: only within its allowance, and only for its own customers.

A batch of events is taken out of the allowance before it is recorded, in a transaction of its own, and what turns out
to be known is put back: whatever happens in between, a team reports no more than it may.
"""

from collections.abc import Sequence
from typing import NamedTuple, assert_never

from pertoken.core.access import NOTHING, Allowance, Reported, may_name
from pertoken.core.commands import Conflict, Duplicate, Recorded, RecordResult
from pertoken.core.events import Event, EventStatus
from pertoken.core.money import format_amount
from pertoken.core.periods import DAY_US
from pertoken.core.usage import tokens_total
from pertoken.ports.administration import Administration
from pertoken.services.ingest import RejectedLine

FORBIDDEN = "forbidden"
ABOVE = "above_allowance"
NumberedEvent = tuple[int, Event]


class Taken(NamedTuple):
    """What of a batch may be recorded: some of it was taken out of the allowance, the rest is in the books already."""

    events: list[NumberedEvent]
    rejected: list[RejectedLine]
    counted: frozenset[int]  # lines


def refusal(team: str) -> str:
    """Say why a team without an allowance reports nothing, and what helps."""
    command = f"pertoken admin team {team} --reports 5"
    return f"only admins report usage; an admin can give this team a daily allowance: {command}"


def take(administration: Administration, team: str, events: Sequence[NumberedEvent], now_us: int) -> Taken:
    """Take a batch out of a team's allowance of today, as far as that goes; what is in the books already is free."""
    allowance = administration.allowance(team)
    if allowance is None:
        return Taken([], [RejectedLine(line, FORBIDDEN, refusal(team)) for line, _ in events], frozenset())
    day_us = now_us - now_us % DAY_US
    before = sums = administration.reported(team, day_us)
    known = administration.known_events({(event.source, event.event_id) for _, event in events})
    taken: list[NumberedEvent] = []
    counted: set[int] = set()
    rejected: list[RejectedLine] = []
    for line, event in events:
        problem = _not_its_own(administration, team, line, event)
        if problem is None and (event.source, event.event_id) not in known:
            more = sums.plus(weight(event))
            problem = _above(allowance, team, line, event, sums, more)
            if problem is None:
                sums = more
                counted.add(line)
                known.add((event.source, event.event_id))
        if problem is None:
            taken.append((line, event))
        else:
            rejected.append(problem)
    if sums != before:
        administration.set_reported(team, day_us, sums)
    return Taken(taken, rejected, frozenset(counted))


def to_put_back(taken: Taken, results: Sequence[RecordResult]) -> Reported:
    """Return the amounts to give back to an allowance, for events that were already in the books."""
    back = NOTHING
    for (line, event), result in zip(taken.events, results, strict=True):
        match result:
            case Recorded():
                pass
            case Duplicate() | Conflict():
                if line in taken.counted:
                    back = back.plus(weight(event))
            case _:
                assert_never(result)
    return back


def put_back(administration: Administration, team: str, back: Reported, now_us: int) -> None:
    """Put back into the allowance of the day that holds `now_us`."""
    day_us = now_us - now_us % DAY_US
    administration.set_reported(team, day_us, administration.reported(team, day_us).minus(back))


def weight(event: Event) -> Reported:
    """Return what an event takes out of an allowance."""
    return Reported(event.cost_picos, 1, tokens_total(event.quantities))


def _not_its_own(administration: Administration, team: str, line: int, event: Event) -> RejectedLine | None:
    customer = event.attribution.customer
    if customer is None or may_name(team, administration.owners(customer)):
        return None
    return RejectedLine(line, FORBIDDEN, not_its_own(team, customer))


def not_its_own(team: str | None, customer: str) -> str:
    """Say why a team may not name a customer, and what helps."""
    share = f"pertoken admin team {team} --customer {customer}"
    return f"the customer {customer!r} is not one of the team {team!r}; an admin can share it: {share}"


def _above(  # noqa: PLR0917 - what the message says
    allowance: Allowance, team: str, line: int, event: Event, sums: Reported, more: Reported
) -> RejectedLine | None:
    if event.status is not EventStatus.PRICED or event.currency != allowance.currency:
        message = f"its cost is not known in {allowance.currency}, so no allowance can count it; ask an admin"
        return RejectedLine(line, ABOVE, message)
    exceeded = allowance.exceeded_by(more)
    if exceeded is None:
        return None
    reported, needed, most = (_said(exceeded, one, allowance.currency) for one in (sums, weight(event), allowance.most))
    message = f"the team {team!r} has reported {reported} of {most} allowed a day, and this is {needed} more"
    return RejectedLine(line, ABOVE, message)


def _said(limit: str, sums: Reported, currency: str) -> str:
    if limit == "money":
        return f"{format_amount(sums.money_picos, currency)} {currency}"
    return f"{sums.events if limit == 'events' else sums.tokens} {limit}"
