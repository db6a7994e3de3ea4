"""What people change: keys, budgets, teams, admins."""

from collections.abc import Collection, Iterable, Sequence
from typing import Protocol

from pertoken.core.access import AdminKey, Allowance, Reported
from pertoken.core.budgets import Budget
from pertoken.core.directory import Key
from pertoken.core.prices import PriceRow


class Administration(Protocol):
    """Changes to keys, budgets, teams and trust in counts, in one transaction."""

    def list_keys(self) -> list[Key]:
        """Return every virtual key, revoked ones too."""

    def add_key(self, key: Key) -> None:
        """Store a new key."""

    def revoke_key(self, key_id: str, at_us: int) -> bool:
        """Revoke a live key; tell whether there was one."""

    def change_secret(self, key: Key) -> None:
        """Store a key's new secret, and until when the one before it is good."""

    def budgets(self) -> list[Budget]:
        """Return the budgets in force."""

    def add_budget(self, budget: Budget, at_us: int) -> None:
        """Store a new budget, its counters filled with what its current windows hold and spent already."""

    def change_budget(self, budget: Budget) -> None:
        """Change limit and mode of a budget; its counters stay."""

    def remove_budget(self, budget_id: str, at_us: int) -> None:
        """Remove a budget."""

    def reset_trust(self, provider: str, model: str) -> bool:
        """Believe the count of a model again as if it was never contradicted; tell whether it was."""

    def owners(self, customer: str) -> frozenset[str]:
        """Return the teams that may name a customer; the empty text stands for none. Nobody: it is new."""

    def share(self, customer: str, team: str) -> None:
        """Let a team name a customer, beside those that may already."""

    def unshare(self, customer: str, team: str) -> bool:
        """Let a team name a customer no more; tell whether it could."""

    def customers_of(self, team: str) -> list[str]:
        """Return the customers for which it was said that the team may name them."""

    def teams(self) -> list[str]:
        """Return every team that has a key, an allowance or a customer of its own."""

    def allowance(self, team: str) -> Allowance | None:
        """Return what a team may report a day, None where it may report nothing."""

    def set_allowance(self, team: str, given: Allowance | None, at_us: int) -> None:
        """Let a team report so much a day from now on."""

    def reported(self, team: str, day_us: int) -> Reported:
        """Return what a team has reported on the day (UTC) that begins then."""

    def set_reported(self, team: str, day_us: int, sums: Reported) -> None:
        """Write what a team has reported on a day."""

    def price_rows(self) -> list[PriceRow]:
        """Return every price row, also those that newer rows replaced."""

    def change_prices(self, added: Sequence[PriceRow], superseded: Collection[str], at_us: int) -> int:
        """Take rows out of use by their ids, and add those that are not there yet; return how many were new."""

    def known_events(self, named: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
        """Return those of (source, event id) that are in the books."""


class AdminKeys(Protocol):
    """Keys to the control plane, in one transaction."""

    def list_all(self) -> list[AdminKey]:
        """Return every admin key, expired and revoked ones too, in the order of their creation."""

    def find(self, secret_hash: bytes) -> AdminKey | None:
        """Return the key whose secret hashes to `secret_hash`."""

    def get(self, admin_id: str) -> AdminKey | None:
        """Return the key of an id."""

    def add(self, admin: AdminKey) -> None:
        """Store a new admin key."""

    def revoke(self, admin_id: str, at_us: int) -> bool:
        """Revoke a live admin key; tell whether there was one."""
