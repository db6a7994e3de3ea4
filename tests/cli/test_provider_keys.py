"""Providers' keys: encrypted at rest, and never shown, whatever is asked and whatever is wrong."""

import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result
from tests.cli.conftest import Pertoken

from pertoken import settings
from pertoken.cli.main import cli
from pertoken.wiring.provider_keys import provider_key

MARKER = "marker-that-nobody-may-see"
OTHER_SECRET_KEY = "another secret key, long enough for all that"
NOWHERE = ("--host", "192.0.2.1", "--port", "0")  # an address of nobody's (RFC 5737): the server ends before it begins
ADD = ("--provider", "mine", "--model", "m", "--input", "1")
ARGUMENTS = {
    "serve": NOWHERE,
    "simulate": NOWHERE,
    "demo": ("--calls", "1"),
    "key create": ("app", "--budget", "5/day"),
    "key list": (),
    "key rotate": ("app",),
    "key revoke": ("app",),
    "admin create": ("ann", "--role", "viewer"),
    "admin list": (),
    "admin revoke": ("ann",),
    "admin team": ("growth",),
    "admin link": (),
    "budget set": ("all", "--limit", "5"),
    "budget status": (),
    "budget remove": ("all",),
    "usage": (),
    "top": ("--once",),
    "calls": (),
    "daily": (),
    "weekly": (),
    "monthly": (),
    "conversation": (),
    "explain": ("call_1",),
    "verify": (),
    "price show": ("gpt-4o",),
    "price history": ("gpt-4o",),
    "price import": ("rules",),
    "price diff": ("book", "shipped"),
    "price add": ADD,
    "price stated": (),
    "price withdraw": ("no-such-price",),
    "rerate": ("--from", "2026-01-01"),
    "plan check": ("no-such-plan.yaml",),
    "plan apply": ("no-such-plan.yaml",),
    "plan diff": ("no-such-plan.yaml",),
    "plan list": (),
    "plan show": ("growth",),
    "subscribe": ("acme", "growth"),
    "bill": ("--plan", "no-such-plan.yaml"),
    "customer create": ("acme",),
    "customer list": (),
    "customer show": ("acme",),
    "customer change": ("acme", "--name", "Acme"),
    "customer close": ("acme",),
    "archive import": ("no-such-folder",),
    "archive verify": ("no-such-folder",),
    "provider list": (),
    "provider trust": (),
    "provider encrypt": (),
    "count": (),
    "extract": (),
    "rate": (),
    "ingest": ("-",),
    "doctor": (),
    "completion": ("bash",),
    "latency": (),
}


def leaves(group: click.Group, words: str = "") -> Iterator[str]:
    """Yield every command that is no group."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        yield from leaves(command, f"{words}{name} ") if isinstance(command, click.Group) else [f"{words}{name}"]


def encrypted(pertoken: Pertoken, key: str = MARKER, **environ: str) -> str:
    """Return what `pertoken provider encrypt` makes of a key."""
    return pertoken("provider", "encrypt", stdin=f"{key}\n", **environ).stdout.strip()


def loaded(pertoken: Pertoken, api_key: str, **environ: str) -> settings.Settings:
    """Return settings with this key."""
    url = {"PERTOKEN_DATABASE_URL": pertoken.url}
    return settings.load({**url, "PERTOKEN_PROVIDERS__OPENAI__API_KEY": api_key, **environ})


@pytest.mark.parametrize("secret_key", [{}, {"PERTOKEN_SECRET_KEY": OTHER_SECRET_KEY}], ids=["file", "variable"])
def test_an_encrypted_key_stands_for_the_key(bare: Pertoken, tmp_path: Path, secret_key: dict[str, str]) -> None:
    """What it prints opens to the key that was piped in, is another text each time, and has nothing of the key."""
    token = encrypted(bare, **secret_key)

    assert token.startswith("encrypted:")
    assert MARKER not in token
    assert token != encrypted(bare, **secret_key)
    assert provider_key(loaded(bare, token, **secret_key), "openai") == MARKER
    assert (tmp_path / "pertoken.db.key").exists() == (not secret_key)
    as_json = bare("provider", "encrypt", "--json", stdin=MARKER, **secret_key).stdout
    assert provider_key(loaded(bare, json.loads(as_json)["api_key"], **secret_key), "openai") == MARKER


def test_a_wrong_secret_key_or_a_changed_token_is_one_clear_line(bare: Pertoken, tmp_path: Path) -> None:
    """The line names the setting and what to do next, never the key; nothing is served, nothing is made."""
    token = encrypted(bare)
    middle = len(token) // 2
    changed = f"{token[:middle]}{'A' if token[middle] != 'A' else 'B'}{token[middle + 1 :]}"
    gone = tmp_path / "elsewhere"
    cases: list[tuple[str, dict[str, str], str]] = [
        (changed, {}, "was changed, or encrypted under another secret key than that of the file"),
        (token, {"PERTOKEN_SECRET_KEY": OTHER_SECRET_KEY}, "than that of PERTOKEN_SECRET_KEY"),
        ("encrypted:", {}, "was changed"),
        ("encrypted:ä", {}, "was changed"),
        (token, {"PERTOKEN_DATABASE_URL": f"sqlite:///{gone}/p.db"}, f"restore {gone}/p.db.key"),
    ]
    for api_key, environ, said in cases:
        config = tmp_path / "pertoken.yaml"
        config.write_text(f"providers: {{openai: {{api_key: '{api_key}'}}}}")
        served = bare("serve", *NOWHERE, "--config", str(config), code=1, **environ)
        looked = bare.json("doctor", code=1, PERTOKEN_CONFIG=str(config), PORT="1", **environ)
        [problem] = [check for check in looked["checks"] if check["check"] == "provider openai"]

        for text in (served.stderr, problem["found"]):
            assert "providers.openai.api_key" in text
            assert said in text
            assert "pertoken provider encrypt" in text
            assert MARKER not in text
        assert len(served.stderr.splitlines()) == 1
        assert "pertoken provider encrypt" in problem["fix"]
    assert not gone.exists()


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("", "no key was given"),
        (" \n", "no key was given"),
        (f"{MARKER} two", "one line of printable ASCII"),
        (f"{MARKER}\n{MARKER}", "one line of printable ASCII"),
        (f"{MARKER}ü", "one line of printable ASCII"),
        (MARKER.encode() + b"\xff", "one line of printable ASCII"),
        (MARKER * 1_000, "at most 8,192 characters"),
        ("encrypted:abc", "encrypted already"),
    ],
)
def test_what_is_no_key_is_refused(bare: Pertoken, typed: str | bytes, said: str) -> None:
    """A line says what was expected, and does not repeat what was typed."""
    result = bare("provider", "encrypt", code=1, stdin=typed)

    assert said in result.stderr
    assert MARKER not in result.output
    assert result.stdout == ""


def test_the_key_is_no_argument(bare: Pertoken) -> None:
    """Arguments can be seen by every process of the machine: there is no place for a key among them."""
    assert "Usage: pertoken provider encrypt" in bare("provider", "encrypt", MARKER, code=2).stderr


def test_no_command_shows_a_key(pertoken: Pertoken, tmp_path: Path) -> None:
    """Each command in each form of output, on settings that hold keys in every way they can: none comes out."""
    assert set(ARGUMENTS) == set(leaves(cli))
    config = tmp_path / "pertoken.yaml"
    config.write_text(
        f"providers: {{mine: {{base_url: 'http://127.0.0.1:9/v1', api_key: '{MARKER}-file'}},"
        f" third: {{base_url: 'http://127.0.0.1:9/v1', api_key: '{encrypted(pertoken)}'}}}}"
    )
    environ = {"OPENAI_API_KEY": MARKER, "PERTOKEN_CONFIG": str(config), "PORT": "1"}
    for words, arguments in ARGUMENTS.items():
        for more in ((), ("--json",), ("--csv",)):
            shown = run(pertoken, *words.split(), *arguments, *more, **environ)
            assert MARKER not in shown.output, words


@pytest.mark.parametrize(
    "written",
    [
        f"providers: {{openai: {{api_key: {MARKER}, base_url: [",
        f"providers:\n  openai: {{api_key: {MARKER}\n  other",
        f"providers: {{openai: {{api_key: *{MARKER}}}}}",
        f"providers: {{openai: {{api_key: !{MARKER} x}}}}",
        f"providers: {{openai: {{api_key: @{MARKER}}}}}",
        f"providers: {{openai: {{api_key: '{MARKER}}}}}",
        f"providers: {{openai: {{api_key: [{MARKER}]}}}}",
        f"providers: {{openai: {MARKER}}}",
        f"providers: {MARKER}",
        f"{MARKER}",
        f"providers: {{openai: {{api_key: {MARKER}, base_url: 'ftp://u:{MARKER}@host'}}}}",
        f"providers: {{openai: {{base_url: 'http://u:{MARKER}/@host'}}}}",
        f"providers: {{openai: {{base_url: 'http://host/v1?key={MARKER}'}}}}",
        f"providers: {{openai: {{base_url: 'http://u:{MARKER}@host:port/v1'}}}}",
        f"providers: {{openai: {{base_url: 'http://[{MARKER}/v1'}}}}",
    ],
)
def test_settings_that_are_wrong_do_not_show_it(bare: Pertoken, tmp_path: Path, written: str) -> None:
    """A file with a mistake in it is spoken of without its text; so is an address that holds a secret."""
    config = tmp_path / "pertoken.yaml"
    for text in (written.encode(), written.encode("utf-16"), written.encode() + b"\0", written.encode() + b"\xff"):
        config.write_bytes(text)
        for words in (("serve", *NOWHERE), ("doctor", "--port", "1"), ("provider", "list"), ("usage", "--json")):
            shown = run(bare, *words, PERTOKEN_CONFIG=str(config))
            assert MARKER not in shown.output, words
            assert len(shown.stderr.splitlines()) <= 1


def test_a_terminal_does_not_echo_it(bare: Pertoken) -> None:
    """Asked at a terminal, the key is typed unseen, and the token alone is on stdout."""
    ours, theirs = pty.openpty()
    environ = {name: value for name, value in bare.environ.items() if value is not None}
    command = [sys.executable, "-m", "pertoken", "provider", "encrypt", "--db", bare.url]
    process = subprocess.Popen(
        command, stdin=theirs, stderr=theirs, stdout=subprocess.PIPE, env=environ, start_new_session=True
    )
    os.close(theirs)
    seen = b""
    while b"not shown" not in seen:
        seen += os.read(ours, 1_000)
    os.write(ours, f"{MARKER}\n".encode())
    out, _ = process.communicate(timeout=30)
    os.close(ours)

    assert out.startswith(b"encrypted:")
    assert MARKER.encode() not in seen


def run(pertoken: Pertoken, *words: str, **environ: str) -> Result:
    """Run a command, however it ends, but for a crash."""
    env = {**pertoken.environ, "PERTOKEN_DATABASE_URL": pertoken.url, **environ}
    result = CliRunner().invoke(cli, words, input=MARKER if "encrypt" in words else "", env=env, prog_name="pertoken")
    assert result.exception is None or isinstance(result.exception, SystemExit), (words, result.exception)
    return result
