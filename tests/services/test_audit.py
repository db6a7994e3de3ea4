"""Changes are written to the audit log in one form, whoever makes them."""

import msgspec

from pertoken.core.access import Action, Principal, Role
from pertoken.core.audit import Change
from pertoken.services.audit import record

ANN = Principal("admin_1", "ann", Role.TEAM_OWNER, team="growth")


class Log:
    """An audit log that keeps what it is told."""

    def __init__(self) -> None:
        self.changes: list[Change] = []

    def add(self, change: Change) -> None:
        """Keep a change."""
        self.changes.append(change)

    def search(self, asked: object) -> list[object]:  # noqa: ARG002 - what the protocol has
        """Find nothing."""
        return []


class Shown(msgspec.Struct):
    """An object as a route answers it."""

    limit: str


def test_a_change_has_what_was_there_as_json() -> None:
    """Mappings and answers become JSON, nothing stays None, and the record says who, when and by which way."""
    log = Log()
    record(
        log, ANN, "api", 7, action=Action.BUDGETS_WRITE, path="/api/v1/budgets/b", before=None,
        after={"limit": "5"}, team="growth",
    )  # fmt: skip
    record(log, ANN, "page", 8, action=Action.BUDGETS_WRITE, path="/api/v1/budgets/b", before=Shown("5"), after=None)

    assert log.changes == [
        Change(7, "admin_1", "ann", "team_owner", "api", "budgets.write", "/api/v1/budgets/b", "growth", None,
               '{"limit":"5"}'),
        Change(8, "admin_1", "ann", "team_owner", "page", "budgets.write", "/api/v1/budgets/b", None,
               '{"limit":"5"}', None),
    ]  # fmt: skip
