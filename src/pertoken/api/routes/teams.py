"""Teams as a resource: which customers each may name, and how much it may report a day."""

from typing import Annotated

import msgspec

from pertoken.api.fields import DecimalText, PageQuery, Text, page
from pertoken.api.problem import ApiRefused, Problem
from pertoken.api.route import Asked, Route
from pertoken.core.access import Action
from pertoken.ports.store import Opened
from pertoken.services.teams import (
    COUNT_MAX,
    EVENTS,
    TOKENS,
    BadAllowance,
    BadTeam,
    TeamChange,
    change_team,
    team_fields,
    to_allowance,
)

CUSTOMERS_MAX = 200  # customers in one request, whose body has at most 64 KB


class AllowanceBody(msgspec.Struct, forbid_unknown_fields=True):
    """What a team may report in one day of UTC. `money` is a decimal text in the currency."""

    money: DecimalText
    currency: Annotated[str, msgspec.Meta(pattern="^[A-Z]{3}$(?!\n)")] = "USD"
    events: Annotated[int, msgspec.Meta(ge=0, le=COUNT_MAX)] = EVENTS
    tokens: Annotated[int, msgspec.Meta(ge=0, le=COUNT_MAX)] = TOKENS


class TeamBody(msgspec.Struct, forbid_unknown_fields=True):
    """Changes to a team. Fields that are left out do not change; `reports: null` ends its allowance."""

    reports: AllowanceBody | msgspec.UnsetType | None = msgspec.UNSET
    customers: Annotated[list[Text], msgspec.Meta(max_length=CUSTOMERS_MAX)] = []  # customers to add
    without: Annotated[list[Text], msgspec.Meta(max_length=CUSTOMERS_MAX)] = []  # customers to remove


class ReportedSums(msgspec.Struct):
    """The usage that was reported."""

    money: str
    events: int
    tokens: int


class AllowanceAnswer(msgspec.Struct):
    """What a team may report in one day of UTC, and what it has reported today."""

    money: str
    currency: str
    events: int
    tokens: int
    reported_today: ReportedSums


class TeamAnswer(msgspec.Struct):
    """One team. `customers` are those that an admin or a key gave it; others belong to the first team to name them."""

    name: str
    reports: AllowanceAnswer | None
    customers: list[str]


class TeamsAnswer(msgspec.Struct):
    """Teams by name: those that have a key, an allowance or a customer."""

    teams: list[TeamAnswer]
    next_cursor: str | None


def list_teams(opened: Opened, asked: Asked) -> TeamsAnswer:
    """Return the teams that may be seen."""
    names = [name for name in opened.administration.teams() if asked.view.team in (None, name)]
    shown, cursor = page(names, lambda name: (name,), asked.query, (str,))
    return TeamsAnswer([_answer(opened, name, asked.now_us) for name in shown], cursor)


def read_team(opened: Opened, asked: Asked) -> TeamAnswer:
    """Return one team; a team that nobody has named yet has no values."""
    if asked.view.team not in (None, asked.name):
        raise ApiRefused(Problem.NOT_FOUND, f"no team {asked.name!r}; see: GET /api/v1/teams", "name")
    return _answer(opened, asked.name, asked.now_us)


def put_team(opened: Opened, asked: Asked) -> TeamAnswer:
    """Set which customers a team may name, and how much it may report a day."""
    body: TeamBody = asked.body
    given = None
    if isinstance(body.reports, AllowanceBody):
        try:
            given = to_allowance(*msgspec.structs.astuple(body.reports))
        except BadAllowance as error:
            raise ApiRefused(Problem.INVALID_FIELD, str(error), "reports") from error
    change = TeamChange(given, body.reports is None, body.customers, body.without)
    try:
        change_team(opened.administration, asked.name, change, asked.now_us)
    except BadTeam as error:
        raise ApiRefused(Problem.INVALID_FIELD, str(error)) from error
    return _answer(opened, asked.name, asked.now_us)


def _answer(opened: Opened, name: str, now_us: int) -> TeamAnswer:
    return msgspec.convert(team_fields(opened.administration, name, now_us), TeamAnswer)


ROUTES = (
    Route("GET", "/api/v1/teams", Action.TEAMS_READ, "List teams.", list_teams, TeamsAnswer, PageQuery),
    Route(
        "GET", "/api/v1/teams/{name}", Action.TEAMS_READ, "Show one team.", read_team, TeamAnswer,
        problems=(Problem.NOT_FOUND,),
    ),
    Route(
        "PUT", "/api/v1/teams/{name}", Action.TEAMS_WRITE,
        "Set which customers a team may name, and how much it may report a day.", put_team, TeamAnswer, body=TeamBody,
    ),
)  # fmt: skip
