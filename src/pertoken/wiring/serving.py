"""Everything that one serving process uses, started and closed in order."""

import contextlib
from collections.abc import AsyncIterator, Callable
from typing import NamedTuple

from pertoken.api.app import Plane
from pertoken.core.calls import CallLine
from pertoken.ports.readers import Readers
from pertoken.services.world import World
from pertoken.wiring.committer import start_committer
from pertoken.wiring.hasher import make_hasher
from pertoken.wiring.installation import Installation
from pertoken.wiring.plane import make_plane
from pertoken.wiring.providers import make_client
from pertoken.wiring.world import make_world


class Serving(NamedTuple):
    """Everything that serves calls and the control plane."""

    world: World
    plane: Plane


@contextlib.asynccontextmanager
async def serving(
    installation: Installation, readers: Readers, tell: Callable[[CallLine], None] | None = None
) -> AsyncIterator[Serving]:
    """Yield what one process serves with; at the end, settle running calls. Raises StoreFailed, BadSettings."""
    settings = installation.settings
    hasher = make_hasher(installation)
    committer = start_committer(installation)
    client = make_client(settings)
    world = make_world(settings, committer, client, hasher, readers, tell)
    plane = make_plane(installation, committer, hasher)
    try:
        yield Serving(world, plane)
    finally:
        plane.close()
        await client.close()
        await committer.close()
