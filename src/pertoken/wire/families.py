"""The families of providers that speak alike, one row each: what holds for every format of a family."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from pertoken.core.errors import Refusal
from pertoken.wire import anthropic_family, gemini_family, openai_family


class FamilyShapes(Protocol):
    """What the SDKs of a family read alike, whatever they call."""

    def error(self, refusal: Refusal) -> bytes:
        """Return the body of an error answer."""

    def is_client(self, path: str, headers: Mapping[bytes, bytes], query: bytes) -> bool:
        """Tell whether a request for models, whose path is the same for all, comes from these SDKs."""

    def show_model(self, name: str, owner: str) -> dict[str, Any]:
        """Return one model that can be called."""

    def list_models(self, shown: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """Return a list of models, each as `show_model` shows it."""


class WireFamily(NamedTuple):
    """Providers that speak alike."""

    name: str
    """As `wire` in the settings of a provider."""

    auth: str
    """Where its providers take their key, as `auth` in the settings of a provider that says nothing else."""

    shapes: FamilyShapes
    """The module that writes what its SDKs read."""


# The first is taken for the family of a client that nobody knows.
FAMILIES: Mapping[str, WireFamily] = {
    family.name: family
    for family in (
        WireFamily("openai", "bearer", openai_family),
        WireFamily("anthropic", "x-api-key", anthropic_family),
        WireFamily("gemini", "x-goog-api-key", gemini_family),
    )
}


def of_client(path: str, headers: Mapping[bytes, bytes], query: bytes) -> WireFamily:
    """Return the family of the client that asks for models."""
    known = [family for family in FAMILIES.values() if family.shapes.is_client(path, headers, query)]
    return known[-1] if known else next(iter(FAMILIES.values()))
