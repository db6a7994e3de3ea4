"""Changing a request before anything is held for it: shorter, or to another model."""

from typing import NamedTuple, Protocol

from pertoken.ports.asked import Asked


class Shaped(NamedTuple):
    """A request as it is to be understood, held for and sent."""

    said: str | None = None  # what was changed, for x-pertoken-changed and the event; of a model, that is said anyway
    body: bytes | None = None  # None: as it came
    model: str | None = None  # the model name to take for the one that was asked for, None: that one


class Shape(Protocol):
    """Decides what of a request is changed. It is asked once a call, and not for calls that are free."""

    async def shape(self, asked: Asked) -> Shaped | None:
        """Return what the request becomes, None where nothing is changed.

        The result is understood anew, so what is held for and charged is what is sent. Where it cannot be understood,
        the call is refused as if its client had sent it.
        """
