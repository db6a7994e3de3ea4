"""Reading large bodies outside the event loop."""

from typing import Any, Protocol


class NotRead(Exception):
    """A body could not be read apart; asking again may help."""


class Readers(Protocol):
    """Reads and counts apart from the event loop, fairly between keys."""

    async def read(self, key_id: str, work: str, body: bytes, args: tuple[object, ...]) -> Any:
        """Return what a work of `services.call.works` finds in a body. Raises BadRequest and NotRead."""
