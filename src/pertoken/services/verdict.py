"""What verification finds: how much was checked, and every difference."""

from typing import Any, NamedTuple

Difference = dict[str, Any]


class Verdict(NamedTuple):
    """What was checked, how many of each, and every difference found."""

    checked: dict[str, int]
    differences: list[Difference]

    @property
    def ok(self) -> bool:
        """Whether everything agreed."""
        return not self.differences


def difference(kind: str, name: str, what: str, derived: object, kept: object) -> Difference:
    """Return that something derived is not what is stored."""
    return {"kind": kind, "id": name, "what": what, "derived": derived, "stored": kept}
