"""The models that can be called (configured, or with a price in force), and suggestions for misspelt ones."""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from pertoken.core.price_book import PriceBook
from pertoken.core.texts import nearest
from pertoken.ports.provider import Provider

LETTERS_MAX = 100  # of a name that a suggestion is looked for: comparing names takes time
LETTERS_OFF = 3  # by how much a name may be longer or shorter than what it was meant to be
COMPARED_MAX = 500
NEAR = 0.75  # as in core.texts; names of models are alike


class Model(NamedTuple):
    """A name that can be called, and the provider that serves it."""

    name: str
    owner: str


def callable_models(
    book: PriceBook, providers: Mapping[str, Provider], routes: Mapping[str, str], wire: str, now_us: int
) -> Iterator[Model]:
    """Yield each name once that a client which speaks `wire` can call now; `routes` says who serves a configured name.

    What a provider sells that still lacks its key is left out, and what its wire does not answer.
    """
    ready = {
        name: provider for name, provider in providers.items() if provider.wire == wire and provider.missing_key is None
    }
    told = set()
    for name, owner in routes.items():
        if owner in ready:
            told.add(name)
            yield Model(name, owner)
    for owner in ready:
        for name in book.callable_of(owner, now_us):
            if name not in told:
                told.add(name)
                yield Model(name, owner)


def closest(name: str, models: Iterable[Model]) -> str | None:
    """Return the model that a misspelt name most likely meant, None where none is near."""
    if len(name) > LETTERS_MAX:
        return None
    lower = name.lower()
    near = [
        model.name
        for model in models
        if abs(len(model.name) - len(name)) <= LETTERS_OFF and model.name[:1].lower() == lower[:1]
    ]
    return nearest(lower, near[:COMPARED_MAX], NEAR)
