"""The families of providers with similar APIs: one row for each, with what all formats of the family share."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from pertoken.core.errors import Refusal
from pertoken.wire import anthropic_family, gemini_family, openai_family


class FamilyShapes(Protocol):
    """The errors and the list of models, as the SDKs of a family read them in every API."""

    def error(self, refusal: Refusal) -> bytes:
        """Return the body of an error answer."""

    def is_client(self, path: str, headers: Mapping[bytes, bytes], query: bytes) -> bool:
        """Tell whether a request for the list of models comes from one of these SDKs. All families share its path."""

    def show_model(self, name: str, owner: str) -> dict[str, Any]:
        """Return one entry of the list of models."""

    def list_models(self, shown: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """Return the list of models from the entries that `show_model` returned."""


class WireFamily(NamedTuple):
    """Providers with similar APIs."""

    name: str
    """The value of `wire` in the settings of a provider."""

    auth: str
    """The default of `auth` in the settings of a provider: where the provider expects its key."""

    shapes: FamilyShapes
    """The module that writes the errors and the list of models for these SDKs."""


# The first family is used for a client that matches none.
FAMILIES: Mapping[str, WireFamily] = {
    family.name: family
    for family in (
        WireFamily("openai", "bearer", openai_family),
        WireFamily("anthropic", "x-api-key", anthropic_family),
        WireFamily("gemini", "x-goog-api-key", gemini_family),
    )
}


def of_client(path: str, headers: Mapping[bytes, bytes], query: bytes) -> WireFamily:
    """Return the family of a client that requests the list of models."""
    known = [family for family in FAMILIES.values() if family.shapes.is_client(path, headers, query)]
    return known[-1] if known else next(iter(FAMILIES.values()))
