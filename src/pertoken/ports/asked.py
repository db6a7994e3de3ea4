"""The call as shape and reuse see it, before it is sent."""

from typing import Protocol

from pertoken.core.budgets import Attribution
from pertoken.core.facts import RequestFacts
from pertoken.ports.provider import Provider
from pertoken.wire.routes import Endpoint


class AskedCall(Protocol):
    """A request as pertoken understood it. Its key, team and customer are certain, because the key was checked."""

    @property
    def endpoint(self) -> Endpoint:
        """The path, and the wire format of the client."""

    @property
    def facts(self) -> RequestFacts:
        """The facts of the request, such as the model's name and whether it is streamed."""

    @property
    def body(self) -> bytes:
        """The bytes of the body."""

    @property
    def attribution(self) -> Attribution:
        """The attribution of the call."""

    @property
    def provider(self) -> Provider:
        """The provider that will serve it."""

    @property
    def model(self) -> str:
        """The provider's name for the model."""

    @property
    def opened_at_us(self) -> int:
        """When the call began; the prices and policies of that time apply."""
