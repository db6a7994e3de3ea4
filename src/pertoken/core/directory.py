"""Virtual keys, and a snapshot of the whole directory at one revision."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from pertoken.core.billing.plan_book import NO_PLANS, PlanBook
from pertoken.core.budgets import Budget, BudgetIndex
from pertoken.core.secrets import is_same
from pertoken.core.trust import WHOLE, Doubt, Trust, Trusts


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
    expires_at_us: int | None = None
    revoked_at_us: int | None = None
    old_secret_hash: bytes | None = None  # of before the last rotation, good until...
    old_secret_until_us: int | None = None

    def ended_at_us(self, secret_hash: bytes, now_us: int) -> int | None:
        """Return since when this secret of the key is no good, None while it is."""
        if self.expires_at_us is not None and self.expires_at_us <= now_us:
            return self.expires_at_us
        if is_same(secret_hash, self.secret_hash):
            return None
        until_us = self.old_secret_until_us or 0
        return until_us if until_us <= now_us else None


CustomerTeams = Mapping[str, frozenset[str]]  # customer -> the teams that may name it; absent: the first that did


class KnownCustomers(NamedTuple):
    """What calls must know of customers."""

    closed_at_us: Mapping[str, int] = {}  # of those that are closed
    known: frozenset[str] | None = None  # those that calls may name; None: all


EVERYBODY = KnownCustomers()


class Directory:
    """Keys, budgets, customers, who may name them, trust in counts and plans as they stood at `revision`. Immutable."""

    def __init__(
        self,
        revision: int,
        keys: Iterable[Key],
        budgets: Iterable[Budget],
        trusts: Trusts | None = None,
        shares: CustomerTeams | None = None,
        *,
        plans: PlanBook = NO_PLANS,
        customers: KnownCustomers = EVERYBODY,
    ) -> None:
        self.revision = revision
        self.shares: CustomerTeams = {} if shares is None else shares
        self.customers = customers
        self.trusts: Trusts = {} if trusts is None else trusts
        self.plans = plans
        self.budgets = BudgetIndex(budgets)
        live = [key for key in keys if key.revoked_at_us is None]
        self._by_hash = {key.old_secret_hash: key for key in live if key.old_secret_hash is not None}
        self._by_hash.update({key.secret_hash: key for key in live})

    def identify(self, secret_hash: bytes) -> Key | None:
        """Return the unrevoked key that has or had a secret with this hash, or None."""
        return self._by_hash.get(secret_hash)

    def trust(self, provider: str, model: str) -> Trust:
        """Return how far the count of a provider's model is believed."""
        return self.trusts.get((provider, model), WHOLE)

    def doubting(self, revision: int, doubts: Mapping[tuple[str, str], Doubt]) -> "Directory":
        """Return the directory of the next revision, which differs by `doubts` alone."""
        next_ = Directory(revision, (), (), plans=self.plans, customers=self.customers)
        next_.budgets, next_._by_hash, next_.shares = self.budgets, self._by_hash, self.shares
        next_.trusts = {**self.trusts, **{key: doubt.trust for key, doubt in doubts.items()}}
        return next_
