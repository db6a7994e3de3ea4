"""The months of events of an installation."""

from pertoken.ports.months import Months
from pertoken.store.months import DatabaseMonths
from pertoken.wiring.bookkeeper import make_bookkeeper
from pertoken.wiring.installation import Installation


def make_months(installation: Installation) -> Months:
    """Return the months of events, which can be archived and brought back."""
    return DatabaseMonths(installation.database, lambda: make_bookkeeper(installation))
