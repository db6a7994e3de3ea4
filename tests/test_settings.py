"""Settings: one name in the file, one in the environment, and clear words when they are wrong."""

import re
from pathlib import Path

import pytest

from pertoken.catalogs.providers import registry
from pertoken.settings import BadSettings, load

FILE = """
database_url: sqlite:///from-file.db
providers:
  openai: {base_url: "http://127.0.0.1:4100/v1", api_key: env:MY_KEY}
  my-vllm: {base_url: "http://10.0.0.5:8000/v1", prices: {my-model: {input: "0.1", output: "0.3"}}}
models:
  fast: {provider: openai, model: gpt-4o-mini}
"""


def write(folder: Path, text: str) -> str:
    """Write a configuration file and return its path."""
    path = folder / "pertoken.yaml"
    path.write_text(text)
    return str(path)


def test_the_file(tmp_path: Path) -> None:
    """Everything in the file is read; keys come from the environment they name."""
    settings = load({"PERTOKEN_CONFIG": write(tmp_path, FILE), "MY_KEY": "secret"})

    assert settings.database_url == "sqlite:///from-file.db"
    assert settings.providers["openai"].api_key == "secret"
    assert settings.providers["my-vllm"].prices["my-model"].output == "0.3"
    assert settings.models["fast"].model == "gpt-4o-mini"
    assert settings.providers["anthropic"].base_url == "https://api.anthropic.com"


def test_the_admin_key() -> None:
    """The operator's own key to the control plane comes from the environment; without it there is none."""
    assert load({"PERTOKEN_ADMIN_KEY": "secret"}).admin_key == "secret"
    assert not load({}).admin_key


def test_the_environment_wins(tmp_path: Path) -> None:
    """Two underscores go one level down; a dash in a name may be written as an underscore."""
    environ = {
        "PERTOKEN_CONFIG": write(tmp_path, FILE),
        "PERTOKEN_DATABASE_URL": "sqlite:///from-environment.db",
        "PERTOKEN_PROVIDERS__OPENAI__BASE_URL": "http://other/v1",
        "PERTOKEN_PROVIDERS__MY_VLLM__BASE_URL": "http://vllm/v1",
        "PERTOKEN_LIMITS__IDLE_MS": "1500",
        "ANTHROPIC_API_KEY": "usual",
    }
    settings = load(environ)

    assert settings.database_url == "sqlite:///from-environment.db"
    assert settings.providers["openai"].base_url == "http://other/v1"
    assert settings.providers["my-vllm"].base_url == "http://vllm/v1"
    assert settings.limits.idle_ms == 1_500
    assert settings.providers["anthropic"].api_key == "usual"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("databse_url: x", "databse_url"),
        ("limits: {idle_ms: soon}", "idle_ms"),
        ("providers: {mine: {wire: openai}}", "providers.mine.base_url is missing"),
        ("providers: {azure: {}}", "write it as https://RESOURCE.openai.azure.com/openai/v1"),
        ("providers: {bedrock: {}}", "Amazon Bedrock is not called by itself"),
        (
            "providers: {openai: {wire: grpc}}",
            "providers.openai.wire is 'grpc'; write one of: openai, anthropic, gemini",
        ),
        ("providers: {openai: {on_hangup: stop}}", "providers.openai.on_hangup is 'stop'; write one of: drain, cut"),
        ("providers: {openai: {stream_usage: maybe}}", "write one of: option, none, unasked"),
        ("providers: {openai: {auth: basic}}", "write one of: bearer, x-api-key"),
        ("providers: {openai: {bse_url: x}}", "providers.openai.bse_url: unknown setting; did you mean base_url?"),
        ("providers: {openai: https://x}", "providers.openai must be a mapping"),
        ("providers: {openai: {prices_from: 3}}", "providers.openai.prices_from must be a list of providers"),
        ("providers: [openai]", "providers must be a mapping"),
        ("providers: {xai: {}, x-ai: {}}", "the provider 'x-ai' is configured twice"),
        (
            "providers: {openai: {prices: {m: {output: '1'}}}}",
            "providers.openai.prices: object missing required field `input`",
        ),
        ("providers: {openai: {base_url: [x]}}", "providers.openai.base_url: expected `str`, got `array`"),
        ("models: {fast: {provider: mistral, model: m}}", "set MISTRAL_API_KEY or configure providers.mistral"),
        ("models: {fast: {provider: nobody, model: m}}", "unknown provider 'nobody'"),
        ("- a list", "must be a mapping"),
        ("a: [", "not valid yaml"),
        ("durability: none", "durability"),
    ],
)
def test_wrong_settings_are_named(tmp_path: Path, text: str, said: str) -> None:
    """A misspelt name, a wrong value, a missing one: the message says which."""
    with pytest.raises(BadSettings, match=re.escape(said)):
        load({"PERTOKEN_CONFIG": write(tmp_path, text)})


def test_a_missing_file_is_said() -> None:
    """A file that is not there is no silent default."""
    with pytest.raises(BadSettings, match="cannot read"):
        load({"PERTOKEN_CONFIG": "/no/such/file.yaml"})


THREE_LINES = """
providers:
  my-server:
    base_url: http://10.0.0.5:8000/v1
"""


def test_three_lines_are_a_provider(tmp_path: Path) -> None:
    """A name and a base URL are enough for any OpenAI-compatible endpoint; its key may be in its usual variable."""
    environ = {"PERTOKEN_CONFIG": write(tmp_path, THREE_LINES), "MY_SERVER_API_KEY": "k"}
    mine = load(environ).providers["my-server"]

    assert (mine.wire, mine.auth, mine.stream_usage, mine.on_hangup) == ("openai", "bearer", "option", "drain")
    assert mine.output_cap == "max_tokens"
    assert mine.stops_billing_on_abort == "unknown"
    assert mine.api_key == "k"


def test_the_defaults_are_always_there() -> None:
    """Without file and keys, three providers are active, and nothing else."""
    assert list(load({}).providers) == ["openai", "anthropic", "google"]


@pytest.mark.parametrize("name", [name for name, row in registry().items() if row.key_variables and row.base_url])
def test_a_key_makes_a_provider_active(name: str) -> None:
    """The usual variable of a provider's key is all it takes; what the registry knows of it is filled in."""
    row = registry()[name]
    for variable in row.key_variables:
        made = load({variable: "secret"}).providers[name]

        assert made.api_key == "secret"
        assert (made.base_url, made.wire, made.auth) == (row.base_url, row.wire, row.auth)
        assert (made.stream_usage, made.output_cap) == (row.stream_usage, row.output_cap)
    assert row.active or name not in load({row.key_variables[0]: ""}).providers


def test_azure_from_its_usual_variables() -> None:
    """The endpoint of a resource and its key make Azure active at the v1 surface; a key alone does not."""
    key = {"AZURE_OPENAI_API_KEY": "k"}
    assert "azure" not in load(key).providers
    for endpoint in ("https://r.openai.azure.com/", "https://r.openai.azure.com/openai/v1"):
        azure = load({**key, "AZURE_OPENAI_ENDPOINT": endpoint}).providers["azure"]
        assert azure.base_url == "https://r.openai.azure.com/openai/v1"
        assert (azure.auth, azure.api_key) == ("api-key", "k")


def test_who_is_asked_first() -> None:
    """Providers with a key, or configured, come before a default that has neither."""
    environ = {"GROQ_API_KEY": "k", "ANTHROPIC_API_KEY": "k", "PERTOKEN_PROVIDERS__MINE__BASE_URL": "http://x/v1"}

    assert list(load(environ).providers) == ["anthropic", "mine", "groq", "openai", "google"]


def test_every_field_has_a_variable(tmp_path: Path) -> None:
    """What the environment says wins over the file, which wins over the registry, field by field and by any alias."""
    text = "providers: {xai: {on_hangup: cut, stream_usage: false}, azure: {base_url: 'https://a/openai/v1'}}"
    environ = {
        "PERTOKEN_CONFIG": write(tmp_path, text),
        "PERTOKEN_PROVIDERS__X_AI__STREAM_USAGE": "unasked",
        "PERTOKEN_PROVIDERS__GROK__OUTPUT_CAP": "max_tokens",
        "PERTOKEN_PROVIDERS__XAI__STOPS_BILLING_ON_ABORT": "false",
        "PERTOKEN_PROVIDERS__XAI__AUTH": "x-api-key",
        "PERTOKEN_PROVIDERS__XAI__API_KEY": "written",
        "XAI_API_KEY": "usual",
        "PERTOKEN_PROVIDERS__AZURE__QUERY__API_VERSION": "2024-10-21",
        "PERTOKEN_PROVIDERS__DEEPSEEK__WIRE": "anthropic",
        "PERTOKEN_PROVIDERS__DEEPSEEK__BASE_URL": "https://api.deepseek.com/anthropic",
        "PERTOKEN_PROVIDERS__MINE__BASE_URL": "http://mine/v1",
        "PERTOKEN_PROVIDERS__MINE__PRICES__M__INPUT": "1",
        "PERTOKEN_PROVIDERS__MINE__PRICES_FROM": "openai, gemini",
    }
    providers = load(environ).providers
    xai = providers["x-ai"]

    assert (xai.on_hangup, xai.stream_usage, xai.output_cap) == ("cut", "unasked", "max_tokens")
    assert (xai.stops_billing_on_abort, xai.auth, xai.api_key) == ("no", "x-api-key", "written")
    assert xai.base_url == "https://api.x.ai/v1"
    assert providers["azure"].query == {"api-version": "2024-10-21"}
    assert (providers["deepseek"].wire, providers["deepseek"].auth) == ("anthropic", "x-api-key")
    assert providers["mine"].prices["m"].input == "1"
    assert providers["mine"].prices_from == ("openai", "google")


@pytest.mark.parametrize(
    ("written", "meant"), [("true", "option"), ("false", "none"), ("unasked", "unasked"), ("option", "option")]
)
def test_stream_usage_may_be_a_boolean(tmp_path: Path, written: str, meant: str) -> None:
    """True asks for usage, false never does."""
    config = write(tmp_path, f"providers: {{mistral: {{stream_usage: {written}}}}}")

    assert load({"PERTOKEN_CONFIG": config}).providers["mistral"].stream_usage == meant


def test_a_model_may_name_its_provider_by_an_alias(tmp_path: Path) -> None:
    """Routes lead to the provider's name in price data."""
    config = write(tmp_path, "models: {fast: {provider: xai, model: grok-4.5}, own: {provider: gemini, model: g}}")
    models = load({"PERTOKEN_CONFIG": config, "XAI_API_KEY": "k"}).models

    assert (models["fast"].provider, models["own"].provider) == ("x-ai", "google")
