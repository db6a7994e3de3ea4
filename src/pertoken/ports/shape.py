"""Changing a request before anything is held for it: shorter, or to another model."""

from typing import NamedTuple, Protocol

from pertoken.ports.asked import AskedCall


class Shaped(NamedTuple):
    """A changed request, which is then understood, held for and sent."""

    said: str | None = None  # the change, for x-pertoken-changed and the event; a change of model is reported anyway
    body: bytes | None = None  # None: unchanged
    model: str | None = None  # the model name instead of the requested one; None: unchanged


class Shape(Protocol):
    """Decides whether and how a request is changed. It is asked once for a call, and never for a free call."""

    async def shape(self, asked: AskedCall) -> Shaped | None:
        """Return the changed request, or None if nothing changes.

        The result is understood again, so that the request that is sent is also the one that is held for and charged.
        If it is invalid, the call is refused as if the client had sent it.
        """
