"""Changes to keys, budgets, teams and admins."""

from collections.abc import Collection, Iterable, Sequence
from typing import Protocol

from pertoken.core.access import AdminKey, Allowance, Reported
from pertoken.core.budgets import Budget
from pertoken.core.directory import Key
from pertoken.core.prices import PriceRow


class Administration(Protocol):
    """Changes to keys, budgets, teams and trust in counts, in one transaction."""

    def list_keys(self) -> list[Key]:
        """Return every virtual key, including revoked ones."""

    def add_key(self, key: Key) -> None:
        """Store a new key."""

    def revoke_key(self, key_id: str, at_us: int) -> bool:
        """Revoke a live key; return False if there is none."""

    def change_secret(self, key: Key) -> None:
        """Store a key's new secret, and until when the old one stays valid."""

    def budgets(self) -> list[Budget]:
        """Return the budgets in force."""

    def add_budget(self, budget: Budget, at_us: int) -> None:
        """Store a new budget; its counters begin with the amounts held and spent in its current windows."""

    def change_budget(self, budget: Budget) -> None:
        """Change limit and mode of a budget; its counters do not change."""

    def remove_budget(self, budget_id: str, at_us: int) -> None:
        """Remove a budget."""

    def reset_trust(self, provider: str, model: str) -> bool:
        """Trust the count of a model again as if it was never contradicted; return whether it had been."""

    def owners(self, customer: str) -> frozenset[str]:
        """Return the teams that may name a customer; "" stands for keys without a team. Empty for a new customer."""

    def share(self, customer: str, team: str) -> None:
        """Also let a team name a customer."""

    def unshare(self, customer: str, team: str) -> bool:
        """Stop a team from naming a customer; return whether it could."""

    def customers_of(self, team: str) -> list[str]:
        """Return the customers that were explicitly given to the team."""

    def teams(self) -> list[str]:
        """Return every team that has a key, an allowance or a customer of its own."""

    def allowance(self, team: str) -> Allowance | None:
        """Return how much a team may report a day, None if it may not report."""

    def set_allowance(self, team: str, given: Allowance | None, at_us: int) -> None:
        """Set how much a team may report a day."""

    def reported(self, team: str, day_us: int) -> Reported:
        """Return how much a team has reported on the day (UTC) that begins then."""

    def set_reported(self, team: str, day_us: int, sums: Reported) -> None:
        """Store how much a team has reported on a day."""

    def price_rows(self) -> list[PriceRow]:
        """Return every price row, including replaced ones."""

    def change_prices(self, added: Sequence[PriceRow], superseded: Collection[str], at_us: int) -> int:
        """Retire rows by their ids, and add rows that do not exist yet; return how many were new."""

    def known_events(self, named: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
        """Return which of the (source, event id) pairs are in the books."""


class AdminKeys(Protocol):
    """Keys to the control plane, in one transaction."""

    def list_all(self) -> list[AdminKey]:
        """Return every admin key, including expired and revoked ones, in the order of creation."""

    def find(self, secret_hash: bytes) -> AdminKey | None:
        """Return the key whose secret hashes to `secret_hash`."""

    def get(self, admin_id: str) -> AdminKey | None:
        """Return the key with this id."""

    def add(self, admin: AdminKey) -> None:
        """Store a new admin key."""

    def revoke(self, admin_id: str, at_us: int) -> bool:
        """Revoke a live admin key; return False if there is none."""
