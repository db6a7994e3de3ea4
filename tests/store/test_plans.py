"""Plans and subscriptions in the database."""

from pertoken.core.billing.plan_book import PlanVersion, Subscription
from pertoken.store import directory
from pertoken.store.database import Database
from pertoken.store.plans import StoredPlans

ONE = PlanVersion("growth", 1, 5, "USD", "the file", "{}", 9)
TWO = PlanVersion("growth", 2, 7, "USD", "the file, changed", "{}", 10)
SMALL = PlanVersion("small", 1, 0, "EUR", "another", "{}", 8)
FIRST, LAST = Subscription("acme", 6, "growth", 6), Subscription("acme", 8, None, 7)
OTHER = Subscription("other", 6, "small", 6)


def test_plans_are_kept_as_they_are(database: Database) -> None:
    """Versions and subscriptions are listed in the order in which they begin, and every worker hears of them."""
    with database.write() as connection:
        plans = StoredPlans(connection)
        before = directory.read_revision(connection)
        for version in (TWO, SMALL, ONE):
            plans.add_version(version)
        for one in (LAST, OTHER, FIRST):
            plans.add_subscription(one)

        assert plans.versions() == [ONE, TWO, SMALL]
        assert plans.versions("small") == [SMALL]
        assert plans.subscriptions() == [FIRST, LAST, OTHER]
        assert plans.subscriptions("acme") == [FIRST, LAST]
        assert directory.read_revision(connection) == before + 6
        in_force = [directory.read(connection).plans.plan_of("acme", at_us) for at_us in (5, 6, 7, 8)]
        assert in_force == [None, ONE._replace(content=""), TWO._replace(content=""), None]


def test_one_subscription_an_instant(database: Database) -> None:
    """A subscription takes the place of one from the same instant."""
    with database.write() as connection:
        plans = StoredPlans(connection)
        plans.add_subscription(FIRST)
        plans.add_subscription(FIRST._replace(plan=None))

        assert plans.subscriptions("acme") == [FIRST._replace(plan=None)]
