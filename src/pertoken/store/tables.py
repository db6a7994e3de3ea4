"""Every table: those that modules share, and those that stand with the one module that uses them.

Only what needs all of them at once asks here: migrations, and tests that compare a database with them.
"""

from pertoken.store import (
    catalog,
    claims,
    lease,
    refusals,
    schema,
    secret_key,
    teams,
    transactions,
    trust,
)

# `transactions` loads the module of each noun, and with it the noun's tables.
OWNERS = (schema, catalog, claims, lease, refusals, secret_key, teams, transactions, trust)
metadata = schema.metadata
