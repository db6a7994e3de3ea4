"""Every table: those that modules share, and those that stand with the one module that uses them.

Only what needs all of them at once asks here: migrations, and tests that compare a database with them.
"""

from pertoken.store import (
    admin_keys,
    answers,
    audit,
    catalog,
    claims,
    lease,
    refusals,
    schema,
    secret_key,
    sessions,
    teams,
    trust,
)

OWNERS = (
    schema, admin_keys, answers, audit, catalog, claims, lease, refusals, secret_key, sessions, teams, trust,
)  # fmt: skip
metadata = schema.metadata
