"""What teams may name and report: sets it for admins and shows it."""

from collections.abc import Collection
from typing import Any, NamedTuple

from pertoken.core.access import Allowance, Reported
from pertoken.core.money import NotAnAmount, format_amount, parse_amount
from pertoken.core.periods import DAY_US
from pertoken.core.texts import why_no_name
from pertoken.ports.administration import Administration

EVENTS = 1_000  # that a team may report a day where an admin does not say how many
TOKENS = 10_000_000
COUNT_MAX = 10**15


class BadTeam(Exception):
    """What is said of a team names something that is no name."""


class BadAllowance(Exception):
    """An allowance cannot be as asked."""


class TeamChange(NamedTuple):
    """A change to a team; fields that are None do not change."""

    allowance: Allowance | None = None
    ends_allowance: bool = False
    customers: Collection[str] = ()  # that it may name from now on
    without: Collection[str] = ()  # customers that it may no longer name


def to_allowance(money: str, currency: str = "USD", events: int = EVENTS, tokens: int = TOKENS) -> Allowance:
    """Return an allowance as a person states it. Raises BadAllowance."""
    try:
        money_picos = parse_amount(money, currency)
    except NotAnAmount as error:
        raise BadAllowance(f"not a valid daily amount: {error}") from error
    if money_picos < 0 or not 0 <= events <= COUNT_MAX or not 0 <= tokens <= COUNT_MAX:
        raise BadAllowance(
            f"a limit must be between 0 and {COUNT_MAX}: {money} {currency}, {events} events, {tokens} tokens"
        )
    return Allowance(Reported(money_picos, events, tokens), currency)


def change_team(administration: Administration, team: str, change: TeamChange, now_us: int) -> None:
    """Do what an admin says of a team. Raises BadTeam: what it names anew must be a name."""
    named = [(customer, "the customer") for customer in change.customers]
    if named or change.allowance is not None:
        named.insert(0, (team, "the team"))
    why = next((why for name, what in named if (why := why_no_name(name, what)) is not None), None)
    if why is not None:
        raise BadTeam(why)
    if change.allowance is not None or change.ends_allowance:
        administration.set_allowance(team, change.allowance, now_us)
    for customer in change.without:
        administration.unshare(customer, team)
    for customer in change.customers:
        administration.share(customer, team)


def team_fields(administration: Administration, team: str, now_us: int) -> dict[str, Any]:
    """Return a team as it is shown: what it may report a day, what it has reported today, and its customers."""
    allowance = administration.allowance(team)
    reports = None
    if allowance is not None:
        today = administration.reported(team, now_us - now_us % DAY_US)
        reports = {
            "money": format_amount(allowance.most.money_picos, allowance.currency),
            "currency": allowance.currency,
            "events": allowance.most.events,
            "tokens": allowance.most.tokens,
            "reported_today": {
                "money": format_amount(today.money_picos, allowance.currency),
                "events": today.events,
                "tokens": today.tokens,
            },
        }
    return {"name": team, "reports": reports, "customers": administration.customers_of(team)}
