"""What teams may name and report, in the database."""

from collections.abc import Collection, Iterable

import sqlalchemy as sa

from pertoken.core.access import NOTHING, Allowance, Reported
from pertoken.core.directory import CustomerTeams
from pertoken.core.money import join, split
from pertoken.core.periods import DAY_US
from pertoken.store.amounts import columns, pair
from pertoken.store.schema import Microseconds, Row, identities, keys, metadata, series

# The teams that may name a customer, where an admin or a key said so; else the one whose call or event named it first.
# The empty text stands for calls of no team.
customer_teams = sa.Table(
    "customer_teams",
    metadata,
    sa.Column("customer", sa.Text, primary_key=True),
    sa.Column("team", sa.Text, primary_key=True),
    sqlite_with_rowid=False,
)

# What an admin lets a team report in a day (UTC).
team_allowances = sa.Table(
    "team_allowances",
    metadata,
    sa.Column("team", sa.Text, primary_key=True),
    *columns("money_picos"),
    sa.Column("events", sa.BigInteger, nullable=False),
    sa.Column("tokens", sa.BigInteger, nullable=False),
    sa.Column("currency", sa.Text, nullable=False),
    sa.Column("changed_at_us", Microseconds, nullable=False),
)

# What a team with an allowance has reported, by the day (UTC) on which it did.
team_reports = sa.Table(
    "team_reports",
    metadata,
    sa.Column("team", sa.Text, primary_key=True),
    sa.Column("day_us", Microseconds, primary_key=True),
    *columns("money_picos"),
    sa.Column("events", sa.BigInteger, nullable=False),
    sa.Column("tokens", sa.BigInteger, nullable=False),
)

NAMED_MAX = 200  # events that are looked for in one statement


def read_shares(connection: sa.Connection) -> CustomerTeams:
    """Return the teams of every customer for which they were said."""
    found: dict[str, set[str]] = {}
    for customer, team in connection.execute(sa.select(customer_teams.c.customer, customer_teams.c.team)):
        found.setdefault(customer, set()).add(team)
    return {customer: frozenset(teams) for customer, teams in found.items()}


def owners(connection: sa.Connection, customer: str) -> frozenset[str]:
    """Return the teams that may name a customer: those that were said, else the one that named it first.

    The empty text stands for calls of no team. Nobody: the customer is new.
    """
    said = sa.select(customer_teams.c.team).where(customer_teams.c.customer == customer)
    found = frozenset(connection.execute(said).scalars())
    if found or not customer:
        return found
    first = sa.select(series.c.team).where(series.c.customer == customer).order_by(series.c.series_id).limit(1)
    return frozenset(connection.execute(first).scalars())


def share(connection: sa.Connection, customer: str, team: str) -> bool:
    """Let a team name a customer, beside those that may already; tell whether that is new."""
    known = owners(connection, customer)
    said = set(_said(connection, customer))
    _add(connection, customer, (known | {team}) - said)
    return team not in said


def unshare(connection: sa.Connection, customer: str, team: str) -> bool:
    """Stop a team from naming a customer; return whether it could. If no team is left, it is the operator's."""
    known = owners(connection, customer)
    if team not in known:
        return False
    said = set(_said(connection, customer))
    _add(connection, customer, ((known - {team}) or {""}) - said)
    gone = sa.and_(customer_teams.c.customer == customer, customer_teams.c.team == team)
    connection.execute(sa.delete(customer_teams).where(gone))
    return True


def customers_of(connection: sa.Connection, team: str) -> list[str]:
    """Return the customers for which it was said that the team may name them."""
    named = sa.select(customer_teams.c.customer).where(customer_teams.c.team == team)
    return list(connection.execute(named.order_by(customer_teams.c.customer)).scalars())


def known_teams(connection: sa.Connection) -> list[str]:
    """Return every team that has a key, an allowance or a customer of its own."""
    some = [
        sa.select(keys.c.team).where(keys.c.team.is_not(None)),
        sa.select(team_allowances.c.team),
        sa.select(customer_teams.c.team).where(customer_teams.c.team != ""),
    ]
    return sorted({team for one in some for team in connection.execute(one.distinct()).scalars() if team})


def allowance(connection: sa.Connection, team: str) -> Allowance | None:
    """Return what a team may report a day, None where it may report nothing."""
    row = connection.execute(sa.select(team_allowances).where(team_allowances.c.team == team)).first()
    return None if row is None else Allowance(_reported(row), row.currency)


def set_allowance(connection: sa.Connection, team: str, given: Allowance | None, at_us: int) -> None:
    """Let a team report so much a day from now on."""
    connection.execute(sa.delete(team_allowances).where(team_allowances.c.team == team))
    if given is not None:
        row = {"team": team, "currency": given.currency, "changed_at_us": at_us, **_columns(given.most)}
        connection.execute(sa.insert(team_allowances).values(row))


def reported(connection: sa.Connection, team: str, day_us: int) -> Reported:
    """Return what a team has reported on the day (UTC) that begins then."""
    row = connection.execute(sa.select(team_reports).where(*_of_day(team, day_us))).first()
    return NOTHING if row is None else _reported(row)


def set_reported(connection: sa.Connection, team: str, day_us: int, sums: Reported) -> None:
    """Write what a team has reported on a day. What it did more than a day before is forgotten."""
    connection.execute(
        sa.delete(team_reports).where(team_reports.c.team == team, team_reports.c.day_us < day_us - DAY_US)
    )
    connection.execute(sa.delete(team_reports).where(*_of_day(team, day_us)))
    connection.execute(sa.insert(team_reports).values({"team": team, "day_us": day_us, **_columns(sums)}))


def known_events(connection: sa.Connection, named: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
    """Return those of (source, event id) that are in the books, archived ones too."""
    wanted = list(named)
    found: set[tuple[str, str]] = set()
    for start in range(0, len(wanted), NAMED_MAX):
        some = sa.tuple_(identities.c.source, identities.c.event_id).in_(wanted[start : start + NAMED_MAX])
        ids = [event_id for _, event_id in wanted[start : start + NAMED_MAX]]
        query = sa.select(identities.c.source, identities.c.event_id).where(identities.c.event_id.in_(ids), some)
        found |= {(source, event_id) for source, event_id in connection.execute(query)}
    return found


def _said(connection: sa.Connection, customer: str) -> Iterable[str]:
    return connection.execute(sa.select(customer_teams.c.team).where(customer_teams.c.customer == customer)).scalars()


def _add(connection: sa.Connection, customer: str, teams: Collection[str]) -> None:
    if teams:
        connection.execute(sa.insert(customer_teams), [{"customer": customer, "team": team} for team in sorted(teams)])


def _of_day(team: str, day_us: int) -> tuple[sa.ColumnElement[bool], ...]:
    return team_reports.c.team == team, team_reports.c.day_us == day_us


def _columns(sums: Reported) -> dict[str, int]:
    money = dict(zip(pair("money_picos"), split(sums.money_picos), strict=True))
    return {**money, "events": sums.events, "tokens": sums.tokens}


def _reported(row: Row) -> Reported:
    return Reported(join(row.money_picos_high, row.money_picos_low), row.events, row.tokens)
