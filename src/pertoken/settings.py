"""Every setting, in one frozen object: the only reader of configuration file and environment.

A setting has one name in the YAML file and one PERTOKEN_ variable: `providers.openai.base_url` is
PERTOKEN_PROVIDERS__OPENAI__BASE_URL (two underscores go one level down; a dash in a name is written as one underscore
if the file names it). The environment wins over the file.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec
import platformdirs
import yaml

PREFIX = "PERTOKEN_"


class BadSettings(Exception):
    """A setting is unknown, missing or has the wrong shape."""


class PriceSetting(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one model costs, in the major unit per million tokens."""

    input: str
    output: str = "0"
    cache_read: str | None = None
    cache_write: str | None = None
    currency: str = "USD"


class ProviderSetting(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One provider. `api_key` may say `env:NAME`; without any, its usual variable is looked at."""

    base_url: str = ""
    api_key: str | None = None
    wire: Literal["openai", "anthropic", "gemini"] = "openai"
    stream_usage: bool = True
    prices: dict[str, PriceSetting] = {}


class ModelSetting(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where calls for a model name go."""

    provider: str
    model: str


class LimitSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Sizes and times that bound one call."""

    body_bytes_max: int = 32 * 1024 * 1024
    answer_bytes_max: int = 64 * 1024 * 1024
    connect_ms: int = 5_000
    first_byte_ms: int = 600_000
    idle_ms: int = 120_000
    total_ms: int = 900_000
    hold_s: int = 1_200
    drain_calls_max: int = 1_000
    connections_max: int = 1_000


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All settings, defaults filled in."""

    database_url: str = ""
    durability: Literal["full"] = "full"
    providers: dict[str, ProviderSetting] = {}
    models: dict[str, ModelSetting] = {}
    limits: LimitSettings = LimitSettings()
    timezone: str = "UTC"


# name in price data: wire, base URL, the variables that usually hold its key
KNOWN_PROVIDERS: Mapping[str, tuple[str, str, tuple[str, ...]]] = {
    "openai": ("openai", "https://api.openai.com/v1", ("OPENAI_API_KEY",)),
    "anthropic": ("anthropic", "https://api.anthropic.com", ("ANTHROPIC_API_KEY",)),
    "google": ("gemini", "https://generativelanguage.googleapis.com", ("GEMINI_API_KEY", "GOOGLE_API_KEY")),
}


def load(environ: Mapping[str, str] | None = None, path: str | None = None) -> Settings:
    """Return the settings of file and environment. Raises BadSettings naming what is wrong and where."""
    environ = os.environ if environ is None else environ
    tree = _read_file(path or environ.get(PREFIX + "CONFIG"))
    _overlay(tree, environ)
    try:
        settings = msgspec.convert(tree, Settings, strict=False)
    except msgspec.ValidationError as error:
        raise BadSettings(f"configuration: {error}") from error
    providers = {**{name: ProviderSetting() for name in KNOWN_PROVIDERS}, **settings.providers}
    filled = {name: _fill(name, provider, environ) for name, provider in providers.items()}
    for name, model in settings.models.items():
        if model.provider not in filled:
            raise BadSettings(f"models.{name}: unknown provider {model.provider!r}; known: {', '.join(sorted(filled))}")
    database_url = settings.database_url or f"sqlite:///{default_database()}"
    return msgspec.structs.replace(settings, providers=filled, database_url=database_url)


def default_database() -> Path:
    """Return where the database lives when nothing says otherwise: the user's data directory."""
    return Path(platformdirs.user_data_dir("pertoken", appauthor=False)) / "pertoken.db"


def _read_file(path: str | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        tree = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise BadSettings(f"cannot read the configuration file: {error}") from error
    except yaml.YAMLError as error:
        raise BadSettings(f"{path} is not valid yaml: {error}") from error
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise BadSettings(f"{path}: the configuration must be a mapping, not {type(tree).__name__}")
    return tree


def _overlay(tree: dict[str, Any], environ: Mapping[str, str]) -> None:
    fields = set(Settings.__struct_fields__)
    for variable, value in environ.items():
        if not variable.startswith(PREFIX):
            continue
        names = variable[len(PREFIX) :].lower().split("__")
        if names[0] not in fields:
            continue  # PERTOKEN_CONFIG, PERTOKEN_DATA and what other programs may add
        node = tree
        for name in names[:-1]:
            node = node.setdefault(_as_written(name, node), {})
            if not isinstance(node, dict):
                raise BadSettings(f"{variable}: {name} is not a group of settings")
        node[_as_written(names[-1], node)] = value


def _as_written(name: str, node: Mapping[str, Any]) -> str:
    dashed = name.replace("_", "-")
    return next((key for key in node if key.lower() in (name, dashed)), name)


def _fill(name: str, provider: ProviderSetting, environ: Mapping[str, str]) -> ProviderSetting:
    wire, base_url, variables = KNOWN_PROVIDERS.get(
        name, (provider.wire, "", (f"{name.upper().replace('-', '_')}_API_KEY",))
    )
    if not provider.base_url and not base_url:
        raise BadSettings(f"providers.{name}.base_url is missing")
    key = provider.api_key
    if key is not None and key.startswith("env:"):
        key = environ.get(key[4:])
    if key is None:
        key = next((environ[variable] for variable in variables if environ.get(variable)), None)
    return msgspec.structs.replace(provider, base_url=provider.base_url or base_url, api_key=key, wire=wire)
