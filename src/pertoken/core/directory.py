"""Who may call: virtual keys, and a snapshot of all that the directory knows at one revision."""

from collections.abc import Iterable
from typing import NamedTuple

from pertoken.core.budgets import Budget, BudgetIndex


class Key(NamedTuple):
    """A virtual key: ours, standing for provider keys that its holder never sees."""

    key_id: str
    name: str
    secret_hash: bytes
    secret_hint: str
    team: str | None = None
    customer: str | None = None
    tags: tuple[tuple[str, str], ...] = ()
    created_at_us: int = 0
    revoked_at_us: int | None = None


class Directory:
    """Keys and budgets as they stood at `revision`. Immutable."""

    def __init__(self, revision: int, keys: Iterable[Key], budgets: Iterable[Budget]) -> None:
        self.revision = revision
        self.budgets = BudgetIndex(budgets)
        self._by_hash = {key.secret_hash: key for key in keys}

    def identify(self, secret_hash: bytes) -> Key | None:
        """Return the live key whose secret hashes to `secret_hash`, None when there is none."""
        key = self._by_hash.get(secret_hash)
        return None if key is None or key.revoked_at_us is not None else key
