"""Who changed what, as a resource."""

import msgspec

from pertoken.api.fields import Instant, PageQuery, Text, Time, read_cursor, read_time, write_cursor
from pertoken.api.route import Asked, Route
from pertoken.core.access import Action
from pertoken.core.audit import Audited, AuditSearch
from pertoken.core.periods import FOREVER_US, format_time
from pertoken.ports.store import Opened


class AuditQuery(PageQuery, forbid_unknown_fields=True, kw_only=True):
    """Which changes are requested."""

    since: Time | None = None
    until: Time | None = None
    object: Text | None = None  # the path of the changed object
    actor: Text | None = None  # the id of the admin key


class ChangeAnswer(msgspec.Struct, kw_only=True):
    """One change. `before` and `after` show the object as a read does; null if it did not exist."""

    at: Instant
    actor: str
    actor_name: str
    role: str
    through: str
    action: Action
    object: str
    team: str | None
    before: msgspec.Raw | None
    after: msgspec.Raw | None


class AuditAnswer(msgspec.Struct):
    """Changes, newest first."""

    changes: list[ChangeAnswer]
    next_cursor: str | None


def list_changes(opened: Opened, asked: Asked) -> AuditAnswer:
    """Return a page of the changes that the principal may see."""
    query: AuditQuery = asked.query
    until_us = read_time(query.until, "until")
    before = None if query.cursor is None else read_cursor(query.cursor, (int,))[0]
    found = opened.audit.search(
        AuditSearch(
            read_time(query.since, "since") or 0, FOREVER_US if until_us is None else until_us, query.limit + 1, before,
            asked.view.team, query.object, query.actor,
        )
    )  # fmt: skip
    shown = found[: query.limit]
    cursor = write_cursor((shown[-1].number,)) if len(found) > len(shown) else None
    return AuditAnswer([_answer(one) for one in shown], cursor)


def _answer(audited: Audited) -> ChangeAnswer:
    one = audited.change
    return ChangeAnswer(
        at=format_time(one.at_us),
        actor=one.actor_id,
        actor_name=one.actor_name,
        role=one.role,
        through=one.through,
        action=Action(one.action),
        object=one.object,
        team=one.team,
        before=None if one.before is None else msgspec.Raw(one.before.encode()),
        after=None if one.after is None else msgspec.Raw(one.after.encode()),
    )


ROUTES = (
    Route(
        "GET", "/api/v1/audit", Action.AUDIT_READ, "List who changed what, the newest first.", list_changes,
        AuditAnswer, AuditQuery,
    ),
)  # fmt: skip
