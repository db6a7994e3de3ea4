"""What a capability is shown of a call before it is sent."""

from typing import Protocol

from pertoken.core.budgets import Attribution
from pertoken.core.facts import RequestFacts
from pertoken.ports.provider import Provider
from pertoken.wire.routes import Endpoint


class Asked(Protocol):
    """A request as it is understood. Its key, team and customer are known for sure: the key was shown."""

    @property
    def endpoint(self) -> Endpoint:
        """The path, and the wire format that its client speaks."""

    @property
    def facts(self) -> RequestFacts:
        """What the request says, the model's name and whether it is streamed among it."""

    @property
    def body(self) -> bytes:
        """Its bytes."""

    @property
    def attribution(self) -> Attribution:
        """Whom the call belongs to."""

    @property
    def provider(self) -> Provider:
        """Who is to serve it."""

    @property
    def model(self) -> str:
        """The model as the provider is asked for it."""

    @property
    def opened_at_us(self) -> int:
        """When it was opened: prices and policies of that time apply."""
