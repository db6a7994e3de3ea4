import asyncio
from typing import Any

import pytest
from tests.factories import hold
from tests.readers import Here

from pertoken.core.commands import Held, OpenHold
from pertoken.counting.tokenizers import Tokenizers
from pertoken.ports.ledger import StoreUnavailable
from pertoken.services.world import World
from pertoken.wiring.installation import Installation
from pertoken.wiring.serving import serving


def open_hold(world: World, name: str) -> "asyncio.Future[Any]":
    """Ask the ledger of a world for a hold."""
    return world.ledger.submit(OpenHold(hold(name), world.ledger.directory.revision))


def test_calls_and_control_plane_share_a_ledger(installation: Installation) -> None:
    """One process serves both from one ledger, which commits while it serves and takes nothing afterwards."""

    async def story() -> None:
        async with serving(installation, Here(Tokenizers())) as (world, plane):
            assert plane.ledger is world.ledger
            assert plane.hasher is world.hasher
            assert isinstance(await open_hold(world, "call_1"), Held)
        with pytest.raises(StoreUnavailable):
            await open_hold(world, "call_2")

    asyncio.run(story())
    with installation.archive() as stored:
        assert [one.hold_id for one in stored.open_holds()] == ["call_1"]


def test_what_fails_while_serving_still_closes(installation: Installation) -> None:
    """Where serving fails, the ledger is closed all the same, and the failure is what comes out."""
    worlds: list[World] = []

    async def fail() -> None:
        async with serving(installation, Here(Tokenizers())) as (world, _):
            worlds.append(world)
            raise ZeroDivisionError

    async def story() -> None:
        with pytest.raises(ZeroDivisionError):
            await fail()
        with pytest.raises(StoreUnavailable):
            await open_hold(worlds[0], "call_1")

    asyncio.run(story())
