"""Reading large bodies outside the event loop."""

from typing import Any, Protocol


class NotRead(Exception):
    """A body could not be read in a separate process; trying again may help."""


class Readers(Protocol):
    """Reads and counts in separate processes; keys take turns."""

    async def read(self, key_id: str, work: str, body: bytes, args: tuple[object, ...]) -> Any:
        """Run a job of `services.call.works` on a body, and return its result. Raises BadRequest and NotRead."""
