"""How many customers, users, conversations and tags each key has named."""

from collections.abc import Sequence

from pertoken.core.census import Bounds, Full
from pertoken.settings import Settings
from pertoken.store.census import read_census
from pertoken.wiring.installation import Installation


def make_bounds(settings: Settings) -> Bounds:
    """Return the limits on customers, users, conversations and tags that calls of one key may name."""
    limits = settings.limits
    return Bounds(
        limits.key_customers_max,
        limits.key_users_max,
        limits.key_conversations_max,
        limits.key_tag_values_max,
        limits.key_series_max,
    )


def read_full(installation: Installation, now_us: int) -> Sequence[Full]:
    """Return the keys that have reached a limit on names. Raises StoreFailed."""
    with installation.database.read() as connection:
        return read_census(connection, make_bounds(installation.settings), now_us).full()
