"""What the scope of a budget names and nobody has: most have misspelt it, and such a budget counts nothing."""

from collections.abc import Iterator, Mapping

from pertoken.cli.session import administration, database, load_settings, now_us
from pertoken.core.texts import meant


def misspelt(db: str | None, scope: Mapping[str, str]) -> Iterator[str]:
    """Yield a sentence for each name of a scope that is none we know, where one that we know is near."""
    team, provider, model = scope.get("team"), scope.get("provider"), scope.get("model")
    if team is not None:
        with administration(db) as admin:
            teams = {key.team for key in admin.list_keys() if key.team is not None}
        if team not in teams and (near := meant(team, teams)):
            yield f"no key is of the team {team!r}{near}"
    if provider is not None or model is not None:
        yield from _not_sold(db, provider, model)


def _not_sold(db: str | None, provider: str | None, model: str | None) -> Iterator[str]:
    from pertoken.wiring import read_price_book  # noqa: PLC0415 - keeps --help fast

    settings, at_us = load_settings(db), now_us()
    with database(db) as opened:
        book = read_price_book(opened, settings)
    providers = {*book.providers, *settings.providers}
    if provider is not None and provider not in providers and (near := meant(provider, providers)):
        yield f"no provider is known as {provider!r}{near}"
    if model is None or model in settings.models or book.providers_of(model, at_us, book.providers):
        return
    names = {*settings.models, *(name for seller in book.providers for name in book.models_of(seller, at_us))}
    if near := meant(model, names):
        yield f"no model is known as {model!r}{near}"
