"""Who may do what on the control plane, and how much of it they may see.

One table says which actions a role may take; `View` says what of the stored rows is a principal's to see. Everything
that reads or changes for a principal asks these two, and nothing else decides.
"""

from collections.abc import Collection, Mapping
from enum import StrEnum
from typing import NamedTuple

from pertoken.core.budgets import Attribution, Budget
from pertoken.core.directory import Key


class Role(StrEnum):
    """What an admin key is for."""

    ADMIN = "admin"
    FINANCE = "finance"
    VIEWER = "viewer"
    TEAM_OWNER = "team_owner"
    CUSTOMER = "customer"


class Action(StrEnum):
    """What can be done on the control plane."""

    # The control plane lists its routes in this order.
    SELF_READ = "self.read"
    TEAMS_READ = "teams.read"  # which customers a team may name, and what it may report a day
    TEAMS_WRITE = "teams.write"
    CUSTOMERS_READ = "customers.read"
    CUSTOMERS_WRITE = "customers.write"
    KEYS_READ = "keys.read"
    KEYS_WRITE = "keys.write"
    BUDGETS_READ = "budgets.read"
    BUDGETS_WRITE = "budgets.write"
    HOLDS_READ = "holds.read"
    EVENTS_READ = "events.read"
    EVENTS_WRITE = "events.write"
    CALLS_READ = "calls.read"
    USAGE_READ = "usage.read"
    COSTS_READ = "costs.read"  # what the provider charges us: in events and usage it is empty for others
    PRICES_READ = "prices.read"
    PRICES_WRITE = "prices.write"
    COUNTS_READ = "counts.read"  # how far our counts of tokens are believed: it names the calls of others
    COUNTS_WRITE = "counts.write"
    VERIFY_RUN = "verify.run"
    ADMINS_READ = "admins.read"
    ADMINS_WRITE = "admins.write"
    AUDIT_READ = "audit.read"
    VIEWS_READ = "views.read"  # saved views: one's own, and those of others who see as much
    VIEWS_WRITE = "views.write"
    PLANS_READ = "plans.read"  # what customers are charged by, and who is subscribed to what
    PLANS_WRITE = "plans.write"


_CUSTOMER = frozenset({Action.SELF_READ, Action.EVENTS_READ, Action.USAGE_READ, Action.VIEWS_READ, Action.VIEWS_WRITE})
_VIEWER = _CUSTOMER | {
    Action.KEYS_READ,
    Action.BUDGETS_READ,
    Action.HOLDS_READ,
    Action.CALLS_READ,
    Action.COSTS_READ,
    Action.PRICES_READ,
    Action.TEAMS_READ,
    Action.CUSTOMERS_READ,
}

_WRITES = frozenset({Action.BUDGETS_WRITE, Action.CUSTOMERS_WRITE})
_PLANS = frozenset({Action.PLANS_READ, Action.PLANS_WRITE})

GRANTS: Mapping[Role, frozenset[Action]] = {
    Role.ADMIN: frozenset(Action),
    Role.FINANCE: _VIEWER | {Action.AUDIT_READ, Action.COUNTS_READ, Action.VERIFY_RUN} | _WRITES | _PLANS,
    Role.VIEWER: _VIEWER | {Action.COUNTS_READ, Action.PLANS_READ},
    Role.TEAM_OWNER: _VIEWER | {Action.AUDIT_READ, Action.KEYS_WRITE, Action.EVENTS_WRITE} | _WRITES,
    Role.CUSTOMER: _CUSTOMER,
}


class Principal(NamedTuple):
    """Who asks. A team owner has a team and a customer a customer; the other roles have neither."""

    principal_id: str
    name: str
    role: Role
    team: str | None = None
    customer: str | None = None


class AdminKey(NamedTuple):
    """A key to the control plane; its secret is stored as a hash."""

    admin_id: str
    name: str
    secret_hash: bytes
    secret_hint: str
    role: Role
    team: str | None
    customer: str | None
    created_at_us: int
    expires_at_us: int | None = None
    revoked_at_us: int | None = None

    def is_live(self, now_us: int) -> bool:
        """Tell whether it opens anything at `now_us`."""
        return self.revoked_at_us is None and (self.expires_at_us is None or now_us < self.expires_at_us)

    @property
    def principal(self) -> Principal:
        """Who asks with it."""
        return Principal(self.admin_id, self.name, self.role, self.team, self.customer)


class Hidden(Exception):
    """What is asked for may not be seen by who asks: it cannot be split, or is somebody else's."""


class View(NamedTuple):
    """What of the stored rows may be seen: those of one team, of one customer, or all where neither is named."""

    team: str | None = None
    customer: str | None = None

    @property
    def is_whole(self) -> bool:
        """Whether nothing is hidden."""
        return self.team is None and self.customer is None

    def need_whole(self) -> None:
        """Raise Hidden where anything is hidden."""
        if not self.is_whole:
            raise Hidden(f"this is about all teams and customers, and may be seen only by who may see all: {self}")

    def sees(self, attribution: Attribution) -> bool:
        """Tell whether a call, hold or sum of this attribution may be seen."""
        return self.team in (None, attribution.team) and self.customer in (None, attribution.customer)

    def sees_key(self, key: Key) -> bool:
        """Tell whether a virtual key may be seen. A customer sees none: keys are made for it, not by it."""
        return self.customer is None and self.team in (None, key.team)

    def sees_budget(self, budget: Budget, own_keys: Collection[str]) -> bool:
        """Tell whether a budget may be seen: its scope must keep it to the team, or to one of the team's keys."""
        if self.is_whole:
            return True
        scope = dict(budget.scope)
        return self.customer is None and (scope.get("team") == self.team or scope.get("key") in own_keys)


class Reported(NamedTuple):
    """What a team reports, on each axis of a budget."""

    money_picos: int
    events: int
    tokens: int

    def plus(self, other: "Reported") -> "Reported":
        """Return both together."""
        return Reported(self.money_picos + other.money_picos, self.events + other.events, self.tokens + other.tokens)

    def minus(self, other: "Reported") -> "Reported":
        """Return what is left without the other."""
        return Reported(self.money_picos - other.money_picos, self.events - other.events, self.tokens - other.tokens)


NOTHING = Reported(0, 0, 0)


class Allowance(NamedTuple):
    """What an admin lets a team report in one day of UTC, by when it is reported. Without one a team reports nothing.

    It has a limit on each axis that a budget counts: reports count against every budget that they touch.
    """

    most: Reported
    currency: str = "USD"

    def exceeded_by(self, reported: Reported) -> str | None:
        """Return the name of the first limit that reports exceed, None where they fit."""
        pairs = zip(("money", "events", "tokens"), reported, self.most, strict=True)
        return next((name for name, sum_, most in pairs if sum_ > most), None)


def may_name(team: str | None, owners: Collection[str]) -> bool:
    """Tell whether keys of a team may name a customer that these teams have; a customer of no team is free.

    What belongs to no team, the empty text among the owners, is the operator's. A key of no team may name everybody.
    """
    return team is None or not owners or team in owners


def may(principal: Principal, action: Action) -> bool:
    """Tell whether a principal may take an action at all; `view` says on what."""
    return action in GRANTS[principal.role]


def view(principal: Principal) -> View:
    """Return what a principal may see. Raises Hidden where its role is for a part, and nobody says for which."""
    wrong = why_not(principal.role, principal.team, principal.customer)
    if wrong is not None:
        raise Hidden(f"{principal.name} may see nothing: {wrong}")
    return View(principal.team, principal.customer)


def why_not(role: Role, team: str | None, customer: str | None) -> str | None:
    """Return why there cannot be a principal of this role, team and customer, None when there can."""
    needs = {Role.TEAM_OWNER: "team", Role.CUSTOMER: "customer"}.get(role)
    for name, value in (("team", team), ("customer", customer)):
        if name == needs and not value:
            return f"the role {role} needs a {name}"
        if name != needs and value is not None:
            return f"the role {role} takes no {name}"
    return None
