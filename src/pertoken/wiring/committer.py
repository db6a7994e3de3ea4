"""The ledger of one serving process: what commits its commands."""

import asyncio
import os
import socket

from pertoken.core.periods import DAY_US
from pertoken.store.committer import Committer, HoldOwner
from pertoken.store.retention import Kept
from pertoken.wiring.census import make_bounds
from pertoken.wiring.clock import SystemClock
from pertoken.wiring.customers import unknown_rule
from pertoken.wiring.installation import Installation
from pertoken.wiring.journals import make_credit_line, make_owed
from pertoken.wiring.sellers import sellers


def start_committer(installation: Installation) -> Committer:
    """Return a running committer that answers on the running event loop."""
    settings, clock = installation.settings, SystemClock()
    limits, retention = settings.limits, settings.retention
    name = f"{socket.gethostname()}:{os.getpid()}:{clock.random_bits(32):08x}"  # the rest may repeat in a container
    committer = Committer(
        installation.database,
        clock.now_us,
        sellers(settings),
        HoldOwner(name, limits.hold_s * 1_000_000, limits.total_ms * 1_000 + limits.queue_ms * 1_000),
        make_credit_line(settings, name),
        owed=make_owed(settings, name),
        kept=Kept(retention.ended_holds_days * DAY_US, retention.counters_days * DAY_US),
        bounds=make_bounds(settings),
        customers=unknown_rule(settings),
    )
    committer.start(asyncio.get_running_loop())
    return committer
