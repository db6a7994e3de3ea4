"""The families: every name of one exists, and a client's family is recognized by what its SDK sends."""

import pytest

from pertoken.catalogs.providers import registry
from pertoken.core.errors import Code, Refusal
from pertoken.wire import families, formats

REFUSAL = Refusal(Code.INVALID_REQUEST, "it is refused")


def test_every_provider_is_of_a_family() -> None:
    """Every provider of the registry has a family that exists."""
    assert {provider.wire for provider in registry().values()} == set(families.FAMILIES)


@pytest.mark.parametrize("row", formats.ROWS, ids=lambda row: row.format.name)
def test_every_format_is_of_a_family(row: formats.FormatRow) -> None:
    """A format's errors are those of its family, because the same SDK reads them."""
    assert row.format.error(REFUSAL) == families.FAMILIES[row.wire].shapes.error(REFUSAL)


@pytest.mark.parametrize(
    ("path", "header", "query", "name"),
    [
        ("/v1/models", b"authorization", b"", "openai"),
        ("/v1/models", b"anthropic-version", b"", "anthropic"),
        ("/v1/models", b"x-goog-api-key", b"", "gemini"),
        ("/v1/models", b"accept", b"key=k", "gemini"),
        ("/v1beta/models", b"accept", b"", "gemini"),
        ("/v1beta/models/m", b"anthropic-version", b"", "gemini"),
    ],
)
def test_a_client_is_known_by_what_it_sends(path: str, header: bytes, query: bytes, name: str) -> None:
    """All families share the path of the list of models; a header, the query or the version shows the SDK."""
    assert families.of_client(path, {header: b"x"}, query).name == name
