"""Writes the audit log: who changed what, by which way, and what was there before and after."""

from typing import Any

import msgspec

from pertoken.core.access import Action, Principal
from pertoken.core.audit import Change
from pertoken.ports.audit import AuditLog


def record(
    log: AuditLog,
    who: Principal,
    through: str,
    at_us: int,
    *,
    action: Action,
    path: str,
    before: Any,
    after: Any,
    team: str | None = None,
) -> None:
    """Record a change of the object that the control plane has at `path`.

    `before` and `after` are written as JSON, None where there is nothing; they must have no secret.
    """
    was, is_ = (None if one is None else msgspec.json.encode(one).decode() for one in (before, after))
    log.add(Change(at_us, who.principal_id, who.name, str(who.role), through, str(action), path, team, was, is_))
