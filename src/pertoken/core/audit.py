"""Who changed what: one record a change, written in the transaction of the change and never altered."""

from typing import NamedTuple


class Change(NamedTuple):
    """One change to keys, budgets, teams, prices or admins. Secrets are in none."""

    at_us: int
    actor_id: str
    actor_name: str
    role: str
    through: str  # api, page or command
    action: str  # a core.access.Action
    object: str  # the path of the control plane that names it
    team: str | None  # the team that it belongs to; None: no single team
    before: str | None  # JSON, None where there was nothing
    after: str | None  # JSON


class Audited(NamedTuple):
    """A change as it is stored; numbers count up."""

    number: int
    change: Change


class AuditSearch(NamedTuple):
    """Which changes: the newest of [since, until) that fit, before a number."""

    since_us: int
    until_us: int
    limit: int
    before: int | None = None
    team: str | None = None  # those of one team alone
    object: str | None = None
    actor_id: str | None = None
