"""Settings: one name in the file, one in the environment, and clear words when they are wrong."""

from pathlib import Path

import pytest

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
        ("models: {fast: {provider: nobody, model: m}}", "unknown provider 'nobody'"),
        ("- a list", "must be a mapping"),
        ("a: [", "not valid yaml"),
        ("durability: none", "durability"),
    ],
)
def test_wrong_settings_are_named(tmp_path: Path, text: str, said: str) -> None:
    """A misspelt name, a wrong value, a missing one: the message says which."""
    with pytest.raises(BadSettings, match=said.replace(".", r"\.")):
        load({"PERTOKEN_CONFIG": write(tmp_path, text)})


def test_a_missing_file_is_said() -> None:
    """A file that is not there is no silent default."""
    with pytest.raises(BadSettings, match="cannot read"):
        load({"PERTOKEN_CONFIG": "/no/such/file.yaml"})
