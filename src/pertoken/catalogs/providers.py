"""Reads `data/providers.toml`: the providers that pertoken knows without settings, one frozen row each."""

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
    """Whether a provider's streams contain usage, and how to get it."""

    OPTION = "option"  # only if the request sets stream_options.include_usage
    UNASKED = "unasked"  # always
    NONE = "none"  # never: the option is refused or ignored, and output must be counted


class Stops(StrEnum):
    """Whether a provider stops charging for a stream when the client closes the connection."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


class KnownProvider(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One row of the registry. `data/README.md` describes the fields."""

    name: str
    title: str
    aliases: tuple[str, ...] = ()
    wire: str  # the name of a family in wire.families
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
    callable: bool = True  # False: only ingest reads its usage, unless a base URL is configured
    active: bool = False  # True: active by default, even without a key
    prices_from: tuple[str, ...] = ()
    variants: tuple[str, ...] = ()
    elsewhere: tuple[str, ...] = ()  # patterns of model names that are not served by this wire format
    charges_as_stated: bool = False  # True: the cost that its answers state is charged
    as_of: date
    source: str
    note: str = ""


@cache
def registry() -> Mapping[str, KnownProvider]:
    """Return every known provider, by its name in price data, in the order of the file."""
    text = importlib.resources.files("pertoken.data").joinpath("providers.toml").read_text(encoding="utf-8")
    rows = {name: {"name": name, **row} for name, row in tomllib.loads(text).items()}
    return msgspec.convert(rows, dict[str, KnownProvider])


def canonical(name: str) -> str:
    """Return the name in price data for a name or alias ("xai" and "X_AI" are "x-ai"). An unknown name is unchanged."""
    return names().get(_plain(name), name)


@cache
def variants() -> Mapping[str, tuple[str, ...]]:
    """Return, by provider, the endings of model names that do not change which model is meant."""
    return {name: row.variants for name, row in registry().items() if row.variants}


@cache
def elsewhere() -> Mapping[str, re.Pattern[str]]:
    """Return, by provider, a pattern of the models that have prices but are not served by its wire format."""
    rows = registry().items()
    return {name: re.compile("|".join(map(fnmatch.translate, row.elsewhere))) for name, row in rows if row.elsewhere}


@cache
def names() -> Mapping[str, str]:
    """Return a map from every name and alias, in lower case with dashes, to the name in price data."""
    return {_plain(word): name for name, row in registry().items() for word in (name, *row.aliases)}


def _plain(name: str) -> str:
    return name.lower().replace("_", "-")
