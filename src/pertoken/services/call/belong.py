"""Step 2, its end: whom a call belongs to. Checks what its key may name: the customer, users and the rest."""

from pertoken.core.access import may_name
from pertoken.core.budgets import Attribution
from pertoken.core.census import Named
from pertoken.core.customers import why_not_called
from pertoken.core.directory import Key
from pertoken.core.errors import Code, Refusal
from pertoken.core.periods import DAY_US
from pertoken.services.world import World


def belong(key: Key, said: Attribution, world: World, now_us: int) -> Named | Refusal:
    """Return what a call is attributed to, given what its client said; or why it may not name its customer."""
    customer = said.customer
    if customer is not None:
        why = why_not_called(customer, world.ledger.directory.customers)
        if why is not None:
            return Refusal(Code.FORBIDDEN, why, "x-pertoken-customer")
        refusal = _refuse_customer(key, customer, world)
        if refusal is not None:
            return refusal
    if said.user is None and said.conversation is None and said.tags == key.tags:
        return Named(said)  # nothing that its client could make up
    return world.census.fold(said, key.tags, now_us // DAY_US, world.ledger.directory.budgets.named)


def _refuse_customer(key: Key, customer: str, world: World) -> Refusal | None:
    """Refuse a customer of other teams, and one more than the key may name: who is charged is never folded."""
    if key.team is not None:
        owners = world.ledger.directory.shares.get(customer)
        if owners is None:
            first = world.census.first_team(customer)
            owners = frozenset() if first is None else frozenset((first,))
        if not may_name(key.team, owners):
            share = f"pertoken admin team {key.team} --customer {customer}"
            message = f"the customer {customer!r} is not one of the team {key.team!r}; an admin can share it: {share}"
            return Refusal(Code.FORBIDDEN, message, "x-pertoken-customer")
    if customer != key.customer and not world.census.takes_customer(key.key_id, customer):
        most = world.census.bounds.customers
        message = f"the key has already named {most:,} customers, and {customer!r} would be one more"
        hint = "raise limits.key_customers_max, or make a key for it: pertoken key create NAME --customer CUSTOMER"
        return Refusal(Code.FORBIDDEN, f"{message}: {hint}", "x-pertoken-customer")
    return None
