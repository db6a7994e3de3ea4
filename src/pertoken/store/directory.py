"""Keys, budgets and trust in counts in the database; every change adds one to the directory's revision."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine.interfaces import DBAPICursor as Cursor

from pertoken.core.billing.plan_book import PlanBook, PlanVersion, Subscription
from pertoken.core.budgets import Axis, Budget, Mode, Step
from pertoken.core.customers import Unknown
from pertoken.core.directory import Directory, Key, KnownCustomers
from pertoken.core.money import join, split
from pertoken.core.periods import Window
from pertoken.store import codec, teams, trust
from pertoken.store.amounts import pair
from pertoken.store.schema import (
    Row,
    budgets,
    customers,
    keys,
    plan_versions,
    revision,
    subscriptions,
    summed_days,
)


def read_revision(connection: sa.Connection) -> int:
    """Return the directory's revision."""
    value: int = connection.execute(_READ_REVISION).scalar_one()
    return value


def hot_state(cursor: Cursor) -> tuple[int, int]:
    """Return the same on the driver's cursor, and up to when days are summed coarsely, in one statement."""
    cursor.execute(_HOT_STATE)
    [(value, summed_to_us)] = cursor.fetchall()
    return int(value), int(summed_to_us)


def bump_revision(connection: sa.Connection) -> None:
    """Say that keys, budgets, prices or trust changed: every worker reads them anew before its next decision."""
    connection.execute(sa.update(revision).values(value=revision.c.value + 1))


def touch(connection: sa.Connection) -> None:
    """Write the revision as it is: nothing changes, but the database must take it."""
    connection.execute(sa.update(revision).values(value=revision.c.value))


def read(connection: sa.Connection, unknown: Unknown = Unknown.ALLOW) -> Directory:
    """Return all live keys and budgets, all doubts, all plans, and what must be known of customers."""
    live = [_key(row) for row in connection.execute(sa.select(keys).where(keys.c.revoked_at_us.is_(None)))]
    trusts = {(doubt.provider, doubt.model): doubt.trust for doubt in trust.read_doubts(connection)}
    shares, plans = teams.read_shares(connection), read_plans(connection)
    known = read_customers(connection, unknown)
    budgets_ = read_budgets(connection)
    return Directory(read_revision(connection), live, budgets_, trusts, shares, plans=plans, customers=known)


def read_plans(connection: sa.Connection) -> PlanBook:
    """Return all versions of plans, without the texts of their files, and all subscriptions."""
    of = plan_versions.c
    columns = (of.name, of.version, of.from_us, of.currency, sa.literal(""), of.body, of.applied_at_us)
    versions = (PlanVersion(*row) for row in connection.execute(sa.select(*columns)))
    return PlanBook(versions, (Subscription(*row) for row in connection.execute(sa.select(subscriptions))))


def read_customers(connection: sa.Connection, unknown: Unknown) -> KnownCustomers:
    """Return what calls must know of customers: which are closed; and, if others are refused, which there are."""
    closed = sa.select(customers.c.customer_id, customers.c.closed_at_us).where(customers.c.closed_at_us > 0)
    closed_at_us = {row.customer_id: row.closed_at_us for row in connection.execute(closed)}
    if unknown is not Unknown.REFUSE:
        return KnownCustomers(closed_at_us)
    return KnownCustomers(closed_at_us, frozenset(connection.execute(sa.select(customers.c.customer_id)).scalars()))


def read_keys(connection: sa.Connection) -> list[Key]:
    """Return every key, revoked ones too, in the order of their creation."""
    return [_key(row) for row in connection.execute(sa.select(keys).order_by(keys.c.created_at_us, keys.c.key_id))]


def read_budgets(connection: sa.Connection) -> list[Budget]:
    """Return the budgets in force, by name."""
    live = sa.select(budgets).where(budgets.c.removed_at_us.is_(None)).order_by(budgets.c.name)
    return [_budget(row) for row in connection.execute(live)]


def add_key(connection: sa.Connection, key: Key) -> None:
    """Store a new key. The caller has made sure that its name is free."""
    connection.execute(
        sa.insert(keys).values(
            key_id=key.key_id,
            name=key.name,
            secret_hash=key.secret_hash,
            secret_hint=key.secret_hint,
            team=key.team,
            customer=key.customer,
            tags=codec.encode_tags(key.tags),
            created_at_us=key.created_at_us,
            expires_at_us=key.expires_at_us,
        )
    )
    bump_revision(connection)


def change_secret(connection: sa.Connection, key: Key) -> None:
    """Store a key's new secret, and until when the one before it is good."""
    connection.execute(
        sa.update(keys)
        .where(keys.c.key_id == key.key_id)
        .values(
            secret_hash=key.secret_hash,
            secret_hint=key.secret_hint,
            old_secret_hash=key.old_secret_hash,
            old_secret_until_us=key.old_secret_until_us,
        )
    )
    bump_revision(connection)


def revoke_key(connection: sa.Connection, key_id: str, at_us: int) -> bool:
    """Revoke a live key; tell whether there was one."""
    live = sa.and_(keys.c.key_id == key_id, keys.c.revoked_at_us.is_(None))
    found = connection.execute(sa.update(keys).where(live).values(revoked_at_us=at_us)).rowcount > 0
    if found:
        bump_revision(connection)
    return found


def add_budget(connection: sa.Connection, budget: Budget, at_us: int) -> None:
    """Store a new budget. The caller has removed the one that had its name."""
    connection.execute(
        sa.insert(budgets).values(
            budget_id=budget.budget_id,
            name=budget.name,
            axis=budget.axis,
            **_limit(budget),
            period=budget.window,
            zone=budget.zone,
            scope=codec.encode(dict(budget.scope)),
            each_dimension=budget.each,
            mode=budget.mode,
            currency=budget.currency,
            **_policy(budget),
            created_at_us=at_us,
        )
    )
    bump_revision(connection)


def change_budget(connection: sa.Connection, budget: Budget) -> None:
    """Change limit, mode and policy of a budget whose counters stay as they are."""
    row = sa.update(budgets).where(budgets.c.budget_id == budget.budget_id)
    connection.execute(row.values(**_limit(budget), mode=budget.mode, **_policy(budget)))
    bump_revision(connection)


def remove_budget(connection: sa.Connection, budget_id: str, at_us: int) -> None:
    """Take a budget out of force; its counters stay for the record."""
    connection.execute(sa.update(budgets).where(budgets.c.budget_id == budget_id).values(removed_at_us=at_us))
    bump_revision(connection)


def reset_trust(connection: sa.Connection, provider: str, model: str) -> bool:
    """Believe a count again as if it was never contradicted; tell whether it was."""
    found = trust.forget_doubt(connection, provider, model)
    if found:
        bump_revision(connection)
    return found


_LAST_CUT = (
    f"SELECT max(until_us) FROM {summed_days.name}"  # noqa: S608 - names of our own
    f" WHERE start_us = (SELECT max(start_us) FROM {summed_days.name})"
)
_HOT_STATE = f"SELECT value, coalesce(({_LAST_CUT}), 0) FROM {revision.name}"  # noqa: S608 - names of our own
_READ_REVISION = sa.select(revision.c.value)


def _key(row: Row) -> Key:
    return Key(
        row.key_id,
        row.name,
        row.secret_hash,
        row.secret_hint,
        row.team,
        row.customer,
        codec.decode_tags(row.tags),
        row.created_at_us,
        row.expires_at_us,
        row.revoked_at_us,
        row.old_secret_hash,
        row.old_secret_until_us,
    )


def _budget(row: Row) -> Budget:
    return Budget(
        row.budget_id,
        row.name,
        Axis(row.axis),
        join(row.limit_amount_high, row.limit_amount_low),
        Window(row.period),
        row.zone,
        tuple(sorted(codec.decode(row.scope).items())),
        row.each_dimension,
        Mode(row.mode),
        row.currency,
        tuple(Step(step) for step in row.steps.split(",") if step),
        row.warn_percent,
        row.set_by,
    )


def _limit(budget: Budget) -> dict[str, int]:
    return dict(zip(pair("limit_amount"), split(budget.limit), strict=True))


def _policy(budget: Budget) -> dict[str, Any]:
    return {"steps": ",".join(budget.steps), "warn_percent": budget.warn_percent, "set_by": budget.set_by}
