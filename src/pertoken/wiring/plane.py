"""The control plane of one serving process."""

from pertoken.api.app import Plane
from pertoken.core.secrets import Hasher
from pertoken.store.committer import Committer
from pertoken.store.transactions import Transactions
from pertoken.wiring.clock import SystemClock
from pertoken.wiring.installation import Installation
from pertoken.wiring.pricing import make_pricing


def make_plane(installation: Installation, committer: Committer, hasher: Hasher) -> Plane:
    """Return everything that the control plane of one serving process uses."""
    settings = installation.settings
    reported_max = settings.limits.reported_event
    store = Transactions(installation.database)
    pricing = make_pricing(lambda: committer.directory.plans)
    unknown = settings.customers.unknown
    return Plane(store, committer, SystemClock(), hasher, settings.admin_key, reported_max, pricing, unknown)
