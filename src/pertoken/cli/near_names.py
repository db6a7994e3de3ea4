"""Warnings about names in scopes and filters that match nothing; most of them are misspelt."""

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING

from pertoken.cli.output import echo
from pertoken.cli.session import archive, database, now_us
from pertoken.core.texts import meant

if TYPE_CHECKING:
    from pertoken.core.directory import Key
    from pertoken.ports.archive import Archive

_DIGITS = re.compile(r"\d+")
RECENT_DAYS = 31  # days of usage that are searched for names
NAMES_MAX = 10_000  # the most names that are compared


def misspelt(db: str | None, scope: Mapping[str, str]) -> Iterator[str]:
    """Yield a sentence for each unknown name of a scope that resembles a known one."""
    team, provider, model = scope.get("team"), scope.get("provider"), scope.get("model")
    if team is not None:
        with archive(db) as stored:
            teams = {key.team for key in stored.list_keys() if key.team is not None}
        if team not in teams and (near := meant(team, teams)):
            yield f"no key belongs to the team {team!r}{near}"
    if provider is not None or model is not None:
        yield from _not_sold(db, provider, model)


def _not_sold(db: str | None, provider: str | None, model: str | None) -> Iterator[str]:
    from pertoken.wiring.prices import read_price_book

    with database(db) as opened:
        book = read_price_book(opened)
    settings, at_us = opened.settings, now_us()
    providers = {*book.providers, *settings.providers}
    if provider is not None and provider not in providers and (near := meant(provider, providers)):
        yield f"unknown provider {provider!r}{near}"
    if model is None or model in settings.models or book.providers_of(model, at_us, book.providers):
        return
    names = {*settings.models, *(name for seller in book.providers for name in book.models_of(seller, at_us))}
    if near := meant(model, names):
        yield f"unknown model {model!r}{near}"


def say_new_names(keys: Iterable["Key"], team: str | None, customer: str | None) -> None:
    """Warn on stderr if a new name of a team or a customer resembles one that a key already has.

    A key with a misspelt name would be outside the budgets of the intended team or customer. Names that differ only in
    their numbers are not compared.
    """
    for what, name in (("team", team), ("customer", customer)):
        known = {getattr(key, what) for key in keys} - {None}
        if name is None or name in known:
            continue
        others = [one for one in known if _DIGITS.sub("", one) != _DIGITS.sub("", name)]
        if near := meant(name, others):
            echo(f"no key belongs to the {what} {name!r} yet{near} the new name is used anyway", err=True)


def say_near_values(archive: "Archive", where: Mapping[str, str]) -> None:
    """If a filter found nothing, say on stderr which value was most likely meant."""
    for name, value in where.items():
        if name == "conversation":
            continue
        known = set(_values(archive, name))
        if value not in known and (near := meant(value, known)):
            echo(f"no usage of {name} {value!r}{near}", err=True)


def _values(archive: "Archive", name: str) -> Iterator[str]:
    """Yield the values of a dimension from keys and from the last days with usage."""
    from pertoken.core.periods import DAY_US
    from pertoken.core.reporting import QUARTER_US, slices

    for key in archive.list_keys():
        of_key = {"key": (key.key_id, key.name), "team": (key.team,), "customer": (key.customer,)}
        yield from (value for value in of_key.get(name, ()) if value)
    newest_us = archive.newest_us()
    if newest_us is None:
        return
    since_us = max(0, newest_us - newest_us % DAY_US - RECENT_DAYS * DAY_US)
    sums = (
        one.values[0]
        for piece in slices(since_us, newest_us + QUARTER_US, (name,), "UTC")
        for one in archive.sums(piece, (name,), {})
    )
    yield from (value for value in islice(sums, NAMES_MAX) if value)
