"""The providers that pertoken knows by itself: `data/providers.toml`, one frozen row each."""

import fnmatch
import importlib.resources
import re
import tomllib
from collections.abc import Mapping
from datetime import date
from enum import StrEnum
from functools import cache
from typing import Literal

import msgspec

Auth = Literal["bearer", "x-api-key", "x-goog-api-key", "api-key", "none"]
OutputCap = Literal["max_completion_tokens", "max_tokens"]


class StreamUsage(StrEnum):
    """How a provider's streams come to carry usage."""

    OPTION = "option"  # asked for with stream_options.include_usage
    UNASKED = "unasked"  # always there
    NONE = "none"  # never there: the option is refused or ignored, and output must be counted


class Stops(StrEnum):
    """Whether a provider stops charging for a stream when its connection is closed."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


class KnownProvider(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One row of the registry; the fields are described in `data/README.md`."""

    name: str
    title: str
    aliases: tuple[str, ...] = ()
    wire: str  # of wire.families
    base_url: str = ""  # empty: must be configured
    base_url_example: str = ""
    base_url_variable: str = ""
    base_url_suffix: str = ""
    auth: Auth
    key_variables: tuple[str, ...] = ()
    stream_usage: StreamUsage
    stops_billing_on_abort: Stops
    output_cap: OutputCap = "max_completion_tokens"
    query: dict[str, str] = {}
    callable: bool = True  # False: its usage is only taken in by ingest, unless a base URL is configured
    active: bool = False  # True: one of the defaults, there even without a key
    prices_from: tuple[str, ...] = ()
    variants: tuple[str, ...] = ()
    elsewhere: tuple[str, ...] = ()  # patterns of names that its wire does not answer
    charges_as_stated: bool = False  # True: the cost that its answers state is charged
    as_of: date
    source: str
    note: str = ""


@cache
def registry() -> Mapping[str, KnownProvider]:
    """Return every known provider by its name in price data, in the order of the file."""
    text = importlib.resources.files("pertoken.data").joinpath("providers.toml").read_text(encoding="utf-8")
    rows = {name: {"name": name, **row} for name, row in tomllib.loads(text).items()}
    return msgspec.convert(rows, dict[str, KnownProvider])


def canonical(name: str) -> str:
    """Return the name in price data that `name` stands for ("xai" and "X_AI" are "x-ai"); an unknown one as it is."""
    return names().get(_plain(name), name)


@cache
def variants() -> Mapping[str, tuple[str, ...]]:
    """Return, by provider, the endings of a model's name that leave the model what it is."""
    return {name: row.variants for name, row in registry().items() if row.variants}


@cache
def elsewhere() -> Mapping[str, re.Pattern[str]]:
    """Return, by provider, which of the models that it has prices for its wire does not answer."""
    rows = registry().items()
    return {name: re.compile("|".join(map(fnmatch.translate, row.elsewhere))) for name, row in rows if row.elsewhere}


@cache
def names() -> Mapping[str, str]:
    """Return the name in price data of every name and alias, in lower case with dashes."""
    return {_plain(word): name for name, row in registry().items() for word in (name, *row.aliases)}


def _plain(name: str) -> str:
    return name.lower().replace("_", "-")
