"""The principal of a request, and the admin keys."""

import msgspec

from pertoken.api.fields import GivenInstant, Instant, PageQuery, Text, page, read_time
from pertoken.api.problem import ApiRefused, Problem
from pertoken.api.route import Asked, Route
from pertoken.core.access import GRANTS, Action, AdminKey, Role
from pertoken.ports.store import Opened
from pertoken.services.admins import AdminNameTaken, BadAdmin, admin_fields, create_admin


class WhoAmI(msgspec.Struct, kw_only=True):
    """The principal of the request, and what it may do."""

    id: str
    name: str
    role: Role
    team: str | None
    customer: str | None
    actions: list[Action]


class AdminBody(msgspec.Struct, forbid_unknown_fields=True):
    """A new admin key. The role team_owner needs a team, the role customer a customer."""

    name: Text
    role: Role
    team: Text | None = None
    customer: Text | None = None
    expires_at: GivenInstant | None = None


class AdminAnswer(msgspec.Struct, kw_only=True):
    """An admin key without its secret."""

    id: str
    name: str
    secret_ends_in: str
    role: Role
    team: str | None
    customer: str | None
    created_at: Instant
    expires_at: Instant | None
    revoked_at: Instant | None
    status: str


class NewAdminAnswer(AdminAnswer, kw_only=True):
    """A new admin key. Its secret is shown once; if the request is repeated by its Idempotency-Key, it is null."""

    secret: str | None


class AdminsAnswer(msgspec.Struct):
    """Admin keys, including expired and revoked ones, oldest first."""

    admins: list[AdminAnswer]
    next_cursor: str | None


def who_am_i(_opened: Opened, asked: Asked) -> WhoAmI:
    """Return the principal of the request."""
    who = asked.principal
    return WhoAmI(
        id=who.principal_id,
        name=who.name,
        role=who.role,
        team=who.team,
        customer=who.customer,
        actions=sorted(GRANTS[who.role]),
    )


def list_admins(opened: Opened, asked: Asked) -> AdminsAnswer:
    """Return all admin keys."""
    admins = opened.admins.list_all()
    shown, cursor = page(admins, lambda admin: (admin.created_at_us, admin.admin_id), asked.query, (int, str))
    return AdminsAnswer([_answer(admin, asked.now_us) for admin in shown], cursor)


def make_admin(opened: Opened, asked: Asked) -> NewAdminAnswer:
    """Create an admin key."""
    body: AdminBody = asked.body
    expires_at_us = read_time(body.expires_at, "expires_at")
    try:
        made = create_admin(
            opened.admins, asked.clock, asked.hasher, body.name, body.role, team=body.team, customer=body.customer,
            expires_at_us=expires_at_us,
        )  # fmt: skip
    except AdminNameTaken as error:
        raise ApiRefused(Problem.NAME_TAKEN, str(error), "name") from error
    except BadAdmin as error:
        raise ApiRefused(Problem.INVALID_FIELD, str(error)) from error
    return NewAdminAnswer(secret=made.secret, **msgspec.structs.asdict(_answer(made.admin, asked.now_us)))


def revoke_admin(opened: Opened, asked: Asked) -> AdminAnswer:
    """Revoke an admin key; a revoked key stays revoked."""
    opened.admins.revoke(asked.name, asked.now_us)
    found = next((admin for admin in opened.admins.list_all() if admin.admin_id == asked.name), None)
    if found is None:
        raise ApiRefused(Problem.NOT_FOUND, f"no admin key {asked.name!r}; see: GET /api/v1/admins", "id")
    return _answer(found, asked.now_us)


def _answer(admin: AdminKey, now_us: int) -> AdminAnswer:
    return msgspec.convert(admin_fields(admin, now_us), AdminAnswer)


ROUTES = (
    Route("GET", "/api/v1/whoami", Action.SELF_READ, "Show this key's role, and what it may do.", who_am_i, WhoAmI),
    Route("GET", "/api/v1/admins", Action.ADMINS_READ, "List admin keys.", list_admins, AdminsAnswer, PageQuery),
    Route(
        "POST", "/api/v1/admins", Action.ADMINS_WRITE, "Create an admin key; its secret is shown once.", make_admin,
        NewAdminAnswer, body=AdminBody, status=201, problems=(Problem.NAME_TAKEN,),
    ),
    Route(
        "DELETE", "/api/v1/admins/{id}", Action.ADMINS_WRITE, "Revoke an admin key, from its next request on.",
        revoke_admin, AdminAnswer, problems=(Problem.NOT_FOUND,),
    ),
)  # fmt: skip
