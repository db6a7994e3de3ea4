"""Records the changes of commands in the audit log, in the transaction of the change."""

import getpass
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pertoken.cli.session import now_us

if TYPE_CHECKING:
    from pertoken.core.access import Action
    from pertoken.core.budgets import Budget
    from pertoken.ports.store import Opened

NotedFields = Mapping[str, Any]


def note(  # noqa: PLR0917 - the parts of a record
    opened: "Opened",
    action: "Action",
    path: str,
    before: NotedFields | None,
    after: NotedFields | None,
    team: str | None = None,
) -> None:
    """Record a change of the object that the control plane has at `path`; `before` and `after` must have no secret.

    Whoever runs a command on the database may do everything, so the record names the operating system's user.
    """
    from pertoken.core.access import Principal, Role
    from pertoken.services.audit import record

    who = Principal("command", _user(), Role.ADMIN)
    record(opened.audit, who, "command", now_us(), action=action, path=path, before=before, after=after, team=team)


def note_budget(opened: "Opened", before: "Budget | None", after: "Budget | None") -> None:
    """Record a change of a budget."""
    from pertoken.core.access import Action

    changed = after or before
    assert changed is not None
    was, is_ = (None if one is None else budget_fields(one) for one in (before, after))
    team = dict(changed.scope).get("team")
    note(opened, Action.BUDGETS_WRITE, f"/api/v1/budgets/{changed.name}", was, is_, team)


def budget_fields(made: "Budget") -> dict[str, Any]:
    """Return a budget as commands print it."""
    from pertoken.core.axes import written

    return {
        "id": made.budget_id, "name": made.name, "limit": str(written(made.limit, made)), "axis": made.axis,
        "window": made.window, "timezone": made.zone, "scope": dict(made.scope), "each": made.each, "mode": made.mode,
        "before_refusal": list(made.steps), "warn_percent": made.warn_percent,
    }  # fmt: skip


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # the system's user has no known name
        return "unknown"
