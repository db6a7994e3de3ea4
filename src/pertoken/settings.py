"""Every setting, in one frozen object. Only this module reads the configuration file and the environment.

A setting has one name in the YAML file and one PERTOKEN_ variable: `providers.openai.base_url` is
PERTOKEN_PROVIDERS__OPENAI__BASE_URL (two underscores go one level down; a dash in a name is written as one underscore
if the file names it). The environment wins over the file. The registry (`catalogs.providers`) supplies
provider settings that neither has. A provider of the registry is active if it is one of the defaults, if it is
configured, or if the environment has its usual key.
"""

import os
import re
from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import msgspec
import platformdirs

from pertoken.catalogs import shapes
from pertoken.catalogs.providers import Auth, KnownProvider, OutputCap, Stops, StreamUsage, canonical, registry
from pertoken.catalogs.settings_files import NoSettings, read_settings_file
from pertoken.core.census import DEFAULTS
from pertoken.core.currencies import NotACurrency, check_currency
from pertoken.core.customers import Unknown
from pertoken.core.money import NotAnAmount, parse_price
from pertoken.core.periods import NotATime, load_zone
from pertoken.core.texts import meant, nearest
from pertoken.wire.families import FAMILIES

PREFIX = "PERTOKEN_"
FROM_ENVIRONMENT = "env:"  # after loading, a provider's key that begins so names a variable that is not set
ENCRYPTED = "encrypted:"  # a provider's key that begins so is decrypted with the secret key (`wiring.provider_keys`)
SECRET_KEY_CHARACTERS_MIN = 32


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
    """One provider. `api_key` may be `env:NAME` or `encrypted:...`; without a key, the usual variable is read.

    `base_url` may hold `{model}`, which stands for the model of each call. The defaults here are those of an endpoint
    that the registry does not know: `max_tokens` is the cap that every compatible server honours.
    A model without a price of its own costs what the providers in `prices_from` list for it.
    """

    base_url: str = ""
    api_key: str | None = None
    wire: str = "openai"
    auth: Auth = "bearer"
    stream_usage: StreamUsage = StreamUsage.OPTION
    stops_billing_on_abort: Stops = Stops.UNKNOWN
    on_hangup: Literal["drain", "cut"] = "drain"
    output_cap: OutputCap = "max_tokens"
    query: dict[str, str] = {}
    prices_from: tuple[str, ...] = ()
    prices: dict[str, PriceSetting] = {}


class ModelSetting(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where calls for a model name go. `priced_as` is the model whose price and size apply to a deployment.

    `fallbacks` are model names that are tried in turn if the provider fails before it answers.
    `cheaper` is the model name that is used if a budget allows it and has not enough left for this one.
    """

    provider: str
    model: str
    priced_as: str | None = None
    cheaper: str | None = None
    fallbacks: tuple[str, ...] = ()


AtLeastOne = Annotated[int, msgspec.Meta(ge=1, le=2**40)]  # of bytes, of calls
Milliseconds = Annotated[int, msgspec.Meta(ge=1, le=7 * 24 * 3600 * 1_000)]


class LimitSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Sizes and times that bound one call."""

    body_bytes_max: AtLeastOne = 32 * 1024 * 1024
    # Fields, entries, objects and lists in one body:
    body_values_max: Annotated[int, msgspec.Meta(ge=10_000, le=2**40)] = 250_000
    key_bodies_bytes_max: AtLeastOne = 256 * 1024 * 1024  # of one key's unanswered calls, in each process
    bodies_bytes_max: AtLeastOne = 1024 * 1024 * 1024  # of all unanswered calls, in each process
    answer_bytes_max: AtLeastOne = 64 * 1024 * 1024
    connect_ms: Milliseconds = 5_000
    first_byte_ms: Milliseconds = 600_000
    idle_ms: Milliseconds = 120_000
    total_ms: Milliseconds = 900_000
    # A client that reads nothing of its answer for this long is disconnected (nginx has the same default):
    client_idle_ms: Milliseconds = 60_000
    credit: str | None = None  # dollars of calls that a process may serve while the store is down; None: no calls
    reported_event: str = "100"  # the most that one reported event may cost, in the currency of its price
    # How long a hold outlives the process that made it:
    hold_s: Annotated[int, msgspec.Meta(ge=1, le=7 * 24 * 3600)] = 120
    # How often a call is sent again if its provider fails before it answers:
    retries: Annotated[int, msgspec.Meta(ge=0, le=100)] = 0
    # How long a call waits for room under a limit on requests or concurrent calls:
    queue_ms: Annotated[int, msgspec.Meta(ge=0, le=24 * 3600 * 1_000)] = 0
    drain_calls_max: Annotated[int, msgspec.Meta(ge=0, le=2**40)] = 1_000
    connections_max: AtLeastOne = 1_000
    key_customers_max: AtLeastOne = DEFAULTS.customers  # that calls of one key may name; a further one is refused
    key_users_max: AtLeastOne = DEFAULTS.users  # further ones are counted as `other`
    key_conversations_max: AtLeastOne = DEFAULTS.conversations  # of one day (UTC)
    key_tag_values_max: AtLeastOne = DEFAULTS.tag_values
    key_series_max: AtLeastOne = DEFAULTS.series  # combinations of a customer, a user and tags


Days = Annotated[int, msgspec.Meta(ge=1, le=36_500)]


class RetentionSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long to keep records that nothing else depends on."""

    ended_holds_days: Days = 90  # holds that were voided or expired
    counters_days: Days = 90  # counters of budgets by the minute and the hour


class CustomersSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What happens when a customer is named that nobody has made. If it is made, it has this currency and time zone."""

    unknown: Unknown = Unknown.ALLOW
    currency: str = "USD"
    timezone: str = "UTC"

    def __post_init__(self) -> None:
        """Raise ValueError for an unknown currency or time zone."""
        check_currency(self.currency)
        load_zone(self.timezone)


class PagesSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How pages are reached. `trusted_proxies`: networks, with commas; their x-forwarded-for and -proto count."""

    trusted_proxies: str = ""

    def __post_init__(self) -> None:
        """Raise ValueError for an invalid network."""
        _ = self.networks

    @property
    def networks(self) -> tuple[IPv4Network | IPv6Network, ...]:
        """The networks of trusted proxies."""
        return tuple(ip_network(one.strip()) for one in self.trusted_proxies.split(",") if one.strip())


class MetricsSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who may read /metrics and /health. `open`: everybody; None: this machine, if it listens only there."""

    open: bool | None = None


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All settings, defaults filled in."""

    database_url: str = ""
    admin_key: str = ""  # may do everything in the control plane; empty: only admin keys in the database are valid
    secret_key: str | None = None  # the key under which secrets are hashed; None: it is in a file of its own
    durability: Literal["full", "relaxed"] = "full"
    providers: dict[str, ProviderSetting] = {}
    models: dict[str, ModelSetting] = {}
    limits: LimitSettings = LimitSettings()
    retention: RetentionSettings = RetentionSettings()
    customers: CustomersSettings = CustomersSettings()
    pages: PagesSettings = PagesSettings()
    metrics: MetricsSettings = MetricsSettings()
    timezone: str = "UTC"
    log: Literal["text", "json", "off"] = "text"  # the format of the log; off: no lines for calls


# The allowed words of some fields; true and false stand for the first two.
_CHOICES: Mapping[str, tuple[str, ...]] = {
    "wire": tuple(FAMILIES),
    "auth": get_args(Auth),
    "stream_usage": ("option", "none", "unasked"),
    "stops_billing_on_abort": ("yes", "no", "unknown"),
    "on_hangup": ("drain", "cut"),
    "output_cap": get_args(OutputCap),
}
_BOOLEANS = {"stream_usage", "stops_billing_on_abort"}


# Variables that are not settings: those of the tests, and those that Kubernetes sets for a service called pertoken.
_OTHERS = {"CONFIG", "DATA", "API_EXAMPLES"}
_OF_KUBERNETES = re.compile(r"SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP)(_\w+)?")
_FIELDS: Mapping[str, type[msgspec.Struct]] = {
    "limits": LimitSettings, "retention": RetentionSettings, "pages": PagesSettings, "metrics": MetricsSettings,
    "customers": CustomersSettings, "providers": ProviderSetting, "models": ModelSetting,
}  # fmt: skip


def has_key(provider: ProviderSetting) -> bool:
    """Tell whether there is a key to send; a reference to an unset variable does not count."""
    return bool(provider.api_key) and not (provider.api_key or "").startswith(FROM_ENVIRONMENT)


def load(environ: Mapping[str, str] | None = None, path: str | None = None) -> Settings:
    """Return the settings from file and environment. Raises BadSettings, which names the fault and its place."""
    environ = os.environ if environ is None else environ
    try:
        tree = read_settings_file(path or environ.get(PREFIX + "CONFIG"))
    except NoSettings as error:
        raise BadSettings(str(error)) from error
    unread = shapes.unread_variable(tree)
    if unread is not None:
        raise BadSettings(f"{unread}: {shapes.how_to_name_variable(unread)}")
    _name_providers(tree)
    _overlay(tree, environ)
    _fill_providers(tree, environ)
    try:
        settings = msgspec.convert(tree, Settings, strict=False)
    except msgspec.ValidationError as error:
        raise BadSettings(_shape(error, tree)) from error
    models = {
        name: msgspec.structs.replace(one, provider=canonical(one.provider)) for name, one in settings.models.items()
    }
    _check_models(models, settings)
    if settings.secret_key is not None and len(settings.secret_key) < SECRET_KEY_CHARACTERS_MIN:
        raise BadSettings(f"secret_key is too short: it takes at least {SECRET_KEY_CHARACTERS_MIN} characters")
    for name in ("credit", "reported_event"):
        _check_amount(f"limits.{name}", getattr(settings.limits, name) or "0", "USD")
    try:
        load_zone(settings.timezone)
    except NotATime as error:
        raise BadSettings(f"timezone: {error}") from error
    _check_providers(settings)
    database_url = settings.database_url or f"sqlite:///{default_database()}"
    return msgspec.structs.replace(settings, models=models, database_url=database_url)


def _check_amount(where: str, text: str, currency: str) -> None:
    try:
        parse_price(text, currency)
    except NotAnAmount as error:
        raise BadSettings(f"{where}: {error}") from error


def _check_providers(settings: Settings) -> None:
    """Raise BadSettings naming the invalid price or the unknown provider."""
    for name, provider in settings.providers.items():
        for model, price in provider.prices.items():
            where = f"providers.{name}.prices.{model}"
            try:
                check_currency(price.currency)
            except NotACurrency as error:
                raise BadSettings(f"{where}.currency: {error}") from error
            for field in ("input", "output", "cache_read", "cache_write"):
                amount = getattr(price, field)
                if amount is not None:
                    _check_amount(f"{where}.{field}", amount, price.currency)
        for other in provider.prices_from:
            known = {*registry(), *settings.providers}
            near = nearest(other, known)
            if other not in known and near is not None:  # price lists also have sellers that are not configured
                raise BadSettings(f"providers.{name}.prices_from: unknown provider {other!r}; did you mean {near!r}?")


def _shape(error: msgspec.ValidationError, tree: Any) -> str:
    """Say which setting has the wrong shape, without its value, which may be a secret."""
    place, what, unknown = shapes.wrong(error, tree)
    if unknown is None:
        words = shapes.choices(Settings, place)
        hint = f"; write one of: {', '.join(words)}" if words else ""
        return f"{place or 'configuration'}: {what}{hint}"
    known = _FIELDS.get(place.partition(".")[0], Settings).__struct_fields__
    return f"{place}.{unknown}: ".lstrip(".") + shapes.unknown_setting(unknown, known)


def _check_models(models: Mapping[str, ModelSetting], settings: Settings) -> None:
    """Raise BadSettings naming the model that leads to no active provider."""
    for name, model in models.items():
        if model.provider not in settings.providers:
            raise BadSettings(f"models.{name}: {_not_active(model.provider, settings)}")
        if model.cheaper is not None and (model.cheaper not in models or model.cheaper == name):
            raise BadSettings(f"models.{name}.cheaper: name another of the models, not {model.cheaper!r}")
    for name, model in models.items():
        for other in model.fallbacks:
            if other not in models or other == name:
                raise BadSettings(f"models.{name}.fallbacks: name others of the models, not {other!r}")


def default_database() -> Path:
    """Return the default place of the database: the user's data directory."""
    return Path(platformdirs.user_data_dir("pertoken", appauthor=False)) / "pertoken.db"


def _overlay(tree: dict[str, Any], environ: Mapping[str, str]) -> None:
    for variable, value in environ.items():
        if not variable.startswith(PREFIX):
            continue
        names = variable[len(PREFIX) :].lower().split("__")
        if names[0] not in Settings.__struct_fields__:
            _check_variable(variable, value)
            continue
        if names[0] == "providers" and len(names) > 2:
            names[1] = canonical(names[1])
        node = tree
        for name in names[:-1]:
            node = node.setdefault(_as_written(name, node), {})
            if not isinstance(node, dict):
                raise BadSettings(f"{variable}: {name} is not a group of settings")
        name = names[-1].replace("_", "-") if names[-2:-1] == ["query"] else names[-1]  # a dash, as in api-version
        node[_as_written(name, node)] = value


def _check_variable(variable: str, value: str) -> None:
    """Raise BadSettings for an unknown variable, so that no misspelling goes unnoticed."""
    word = variable[len(PREFIX) :]
    if word in _OTHERS or _OF_KUBERNETES.fullmatch(word) or value.startswith("tcp://"):
        return
    if word == "PORT":
        raise BadSettings(f"{variable} sets nothing; the port is set by PORT, or by: pertoken serve --port")
    known = [*map(str.upper, Settings.__struct_fields__), "CONFIG"]
    head, separator, rest = word.partition("__")
    near = nearest(head, known)
    meaning = f"did you mean {PREFIX}{near}{separator}{rest}?" if near else f"settings are: {', '.join(known).lower()}"
    raise BadSettings(f"{variable} sets nothing; {meaning}")


def _as_written(name: str, node: Mapping[str, Any]) -> str:
    dashed = name.replace("_", "-")
    return next((key for key in node if key.lower() in (name, dashed)), name)


def _name_providers(tree: dict[str, Any]) -> None:
    """Put each provider under its name in price data, so that an alias and the environment mean the same provider."""
    given = tree.get("providers")
    if given is None:
        tree["providers"] = {}
        return
    if not isinstance(given, dict):
        raise BadSettings(f"providers must be a mapping of name to settings, not {type(given).__name__}")
    named: dict[str, Any] = {}
    for name, written in given.items():
        known = canonical(str(name))
        if known in named:
            raise BadSettings(f"providers.{name}: the provider {known!r} is configured twice")
        named[known] = {} if written is None else written
    tree["providers"] = named


def _fill_providers(tree: dict[str, Any], environ: Mapping[str, str]) -> None:
    """Complete the settings of each provider from the registry, and add providers that are active without settings.

    The order decides which provider serves a model that several sell: first the defaults, then configured ones, then
    those with a key in the environment, and last the defaults that have neither settings nor a key.
    """
    configured = tree["providers"]
    filled: dict[str, Any] = {}
    idle: dict[str, Any] = {}
    for name, row in registry().items():
        if row.active:
            one = _fill(name, row, configured.get(name, {}), environ)
            (filled if name in configured or one["api_key"] else idle)[name] = one
    for name, written in configured.items():
        if name not in filled:
            filled[name] = _fill(name, registry().get(name), written, environ)
    for name, row in registry().items():
        if name not in filled and name not in idle and _is_usable(row, environ):
            filled[name] = _fill(name, row, {}, environ)
    tree["providers"] = {**filled, **idle}


def _is_usable(row: KnownProvider, environ: Mapping[str, str]) -> bool:
    """Tell whether the environment alone has everything that calls to this provider need."""
    has_key = any(environ.get(variable) for variable in row.key_variables)
    return row.callable and has_key and bool(_usual_base_url(row, environ))


def _fill(name: str, row: KnownProvider | None, written: Any, environ: Mapping[str, str]) -> dict[str, Any]:
    where = f"providers.{name}"
    if not isinstance(written, dict):
        raise BadSettings(f"{where} must be a mapping such as {{base_url: ...}}, not {type(written).__name__}")
    for field in written:
        if field not in ProviderSetting.__struct_fields__:
            raise BadSettings(f"{where}.{field}: {shapes.unknown_setting(field, ProviderSetting.__struct_fields__)}")
    said = {field: _choice(f"{where}.{field}", field, value) for field, value in written.items()}
    filled: dict[str, Any] = {}
    if row is not None:
        filled = {
            "base_url": _usual_base_url(row, environ),
            "wire": row.wire,
            "auth": row.auth,
            "stream_usage": row.stream_usage,
            "stops_billing_on_abort": row.stops_billing_on_abort,
            "output_cap": row.output_cap,
            "query": row.query,
            "prices_from": row.prices_from,
        }
    if row is None or said.get("wire", row.wire) != row.wire:
        filled["auth"] = FAMILIES[said.get("wire", "openai")].auth
    filled.update(said)
    if not filled.get("base_url"):
        hint = f"; did you mean {near}?" if row is None and (near := nearest(name, registry())) else _how_to_reach(row)
        raise BadSettings(f"{where}.base_url is missing{hint}")
    filled["prices_from"] = _names(f"{where}.prices_from", filled.get("prices_from", ()))
    _check(where, filled)
    filled["api_key"] = _key(said.get("api_key"), key_variables(name), environ)
    return filled


def _check(where: str, filled: dict[str, Any]) -> None:
    """Raise BadSettings naming the provider and the field whose value has the wrong shape."""
    try:
        msgspec.convert(filled, ProviderSetting, strict=False)
    except msgspec.ValidationError as error:
        place, what, unknown = shapes.wrong(error, filled)
        if unknown is not None:  # the fields themselves are all known
            what = shapes.unknown_setting(unknown, PriceSetting.__struct_fields__)
        raise BadSettings(".".join(part for part in (where, place, unknown) if part) + f": {what}") from error


def _choice(where: str, field: str, value: Any) -> Any:
    """Return a field's word from its allowed words. Raises BadSettings naming the setting and the allowed words."""
    if field not in _CHOICES:
        return value
    word = {"true": True, "false": False}.get(value.lower(), value) if isinstance(value, str) else value
    if isinstance(word, bool) and field in _BOOLEANS:
        return _CHOICES[field][0 if word else 1]
    if word not in _CHOICES[field]:
        raise BadSettings(f"{where} is {value!r}; write one of: {', '.join(_CHOICES[field])}")
    return word


def _names(where: str, value: Any) -> tuple[str, ...]:
    """Return the providers that a setting names, as a list or, from the environment, separated by commas."""
    words = value.split(",") if isinstance(value, str) else value
    if not isinstance(words, list | tuple):
        raise BadSettings(f"{where} must be a list of providers such as [openai], not {value!r}")
    return tuple(canonical(str(word).strip()) for word in words if str(word).strip())


def key_variables(name: str) -> tuple[str, ...]:
    """Return the environment variables that usually hold a provider's key, the first one preferred."""
    row = registry().get(name)
    return row.key_variables if row is not None else (f"{name.upper().replace('-', '_')}_API_KEY",)


def missing_key(settings: Settings, name: str) -> str | None:
    """Return the settings that could give a provider its missing key; None if it has a key or needs none.

    Only a provider of the registry at its usual address is known to need a key; your own server may need none.
    """
    row, one = registry().get(name), settings.providers[name]
    if has_key(one) or one.auth == "none" or row is None or not row.key_variables or one.base_url != row.base_url:
        return None
    return " or ".join((*row.key_variables, f"providers.{name}.api_key"))


def _key(given: Any, variables: tuple[str, ...], environ: Mapping[str, str]) -> str | None:
    key = None if given is None else str(given)
    if key is not None and key.startswith(FROM_ENVIRONMENT):
        return environ.get(key.removeprefix(FROM_ENVIRONMENT)) or key  # reported when the key is needed
    if key is None:
        key = next((environ[variable] for variable in variables if environ.get(variable)), None)
    return key


def _usual_base_url(row: KnownProvider, environ: Mapping[str, str]) -> str:
    if row.base_url or not row.base_url_variable:
        return row.base_url
    place = environ.get(row.base_url_variable, "").rstrip("/")
    return place if not place or place.endswith(row.base_url_suffix) else place + row.base_url_suffix


def _how_to_reach(row: KnownProvider | None) -> str:
    if row is None:
        return ""
    if row.callable:
        return f"; write it as {row.base_url_example}"
    return f"; {row.title} is not called by itself: {row.note} (an endpoint of yours may be given as base_url and wire)"


def _not_active(name: str, settings: Settings) -> str:
    row = registry().get(name)
    if row is None:
        near = meant(name, {*settings.providers, *registry()})
        return f"unknown provider {name!r}{near or '; known: ' + ', '.join(sorted(settings.providers))}"
    keys = f"set {row.key_variables[0]} or " if row.key_variables and row.callable else ""
    return f"the provider {name!r} is not active; {keys}configure providers.{name}"
