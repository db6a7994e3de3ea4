import socket
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from tests.cli.conftest import Pertoken, WriteLines
from tests.conftest import MakeDatabase
from tests.factories import event_line, hold, settle
from tests.postgresql import PostgresServer

from pertoken.cli import doctor
from pertoken.store.owed import Owed


@pytest.fixture
def port() -> int:
    """Return a port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def problems(found: dict[str, Any]) -> dict[str, str]:
    """Return what is wrong, with what mends it."""
    return {check["check"]: check["fix"] for check in found["checks"] if not check["ok"]}


def test_a_sound_installation_is_ok(pertoken: Pertoken, port: int) -> None:
    """With a database, prices, a key of ours and a key of a provider, all is well and the exit is 0."""
    pertoken("key", "create", "app")
    found = pertoken.json("doctor", OPENAI_API_KEY="sk-very-secret", PORT=str(port))

    assert found["ok"] is True
    assert problems(found) == {}
    looked_at = {check["check"] for check in found["checks"]}
    assert {"python", "time zones", "settings", "database", "price book", "virtual keys", "clock"} < looked_at


def test_it_never_shows_a_secret(pertoken: Pertoken, port: int) -> None:
    """Provider keys, and passwords in addresses, are not printed."""
    secrets = {
        "OPENAI_API_KEY": "sk-very-secret",
        "PERTOKEN_PROVIDERS__ANTHROPIC__BASE_URL": "http://user:hidden@proxy.example/v1",
    }
    shown = pertoken("doctor", code=1, PORT=str(port), **secrets).output

    assert "https://api.openai.com/v1, key present" in shown
    assert "proxy.example" in shown
    assert "very-secret" not in shown
    assert "hidden" not in shown


def test_each_problem_names_what_mends_it(bare: Pertoken, tmp_path: Path, port: int) -> None:
    """On a new machine it says what is missing, each with a command, and makes nothing itself."""
    found = bare.json("doctor", code=1, PORT=str(port))

    assert problems(found) == {
        "provider keys": "export OPENAI_API_KEY=...",
        "database": "pertoken key create my-app --budget 5/day",
    }
    assert "fix: export OPENAI_API_KEY" in bare("doctor", code=1, PORT=str(port)).stdout
    assert not (tmp_path / "pertoken.db").exists()


@pytest.mark.parametrize(
    ("change", "check"),
    [
        ("DELETE FROM prices", "price book"),
        ("UPDATE prices SET recorded_at_us = 1577836800000000", "price book"),  # 2020-01-01
        ("UPDATE prices SET recorded_at_us = 4102444800000000", "clock"),  # 2100-01-01
        ("UPDATE alembic_version SET version_num = 'of-tomorrow'", "database"),
    ],
)
def test_it_finds_what_is_wrong_in_the_database(
    pertoken: Pertoken, tmp_path: Path, port: int, change: str, check: str
) -> None:
    """An empty or old price book, a clock behind what is stored, and tables of another version are problems."""
    pertoken("key", "create", "app")
    with sqlite3.connect(tmp_path / "pertoken.db") as connection:
        connection.execute(change)
    connection.close()

    assert list(problems(pertoken.json("doctor", code=1, OPENAI_API_KEY="k", PORT=str(port)))) == [check]


@pytest.mark.parametrize("parked", [True, False])
def test_what_is_not_in_the_books_is_found(pertoken: Pertoken, tmp_path: Path, port: int, parked: bool) -> None:
    """Settlements that wait for the database, or that it did not take, are told: how many, where and why."""
    pertoken("key", "create", "app")
    environ = {"OPENAI_API_KEY": "k", "PORT": str(port)}
    assert problems(pertoken.json("doctor", **environ)) == {}
    owed = Owed(tmp_path / "pertoken.db.owed", "host:1")
    for name in ("call_1", "call_2", "call_3"):
        owed.keep(settle(hold(name)), "a rule of the table", parked)
    owed.posted([settle(hold("call_3"))])
    found = pertoken.json("doctor", code=1, **environ)
    [said] = [check for check in found["checks"] if not check["ok"]]

    assert said["check"] == "settlements"
    assert f"2 {'cannot be posted' if parked else 'wait for the database'}, in {tmp_path}" in said["found"]
    if parked:
        assert "no call goes to openai" in said["found"]
        assert "call_1: a rule of the table" in said["found"]
        assert "upgrade and restart pertoken" in said["fix"]


@pytest.mark.parametrize("kind", ["owed", "credit"])
def test_a_line_that_cannot_be_read_is_found(pertoken: Pertoken, tmp_path: Path, port: int, kind: str) -> None:
    """A file that was set aside is told with its lines, and with what to do; when it is gone, all is well."""
    pertoken("key", "create", "app")
    environ = {"OPENAI_API_KEY": "k", "PORT": str(port)}
    path = tmp_path / f"pertoken.db.{kind}" / f"host-1.{kind}.unreadable"
    path.parent.mkdir()
    path.write_bytes(b"\ngarbage\n{}\n")
    found = pertoken.json("doctor", code=1, **environ)
    [said] = [check for check in found["checks"] if not check["ok"]]

    assert said["check"] == "unreadable settlements"
    assert f"{path} cannot be read (2, 3)" in said["found"]
    assert f"rename the file to host-1.{kind}," in said["fix"]
    assert "all are posted" not in str(found)
    path.unlink()
    assert problems(pertoken.json("doctor", **environ)) == {}


def test_a_full_account_is_found(pertoken: Pertoken, tmp_path: Path, port: int) -> None:
    """An account that has no room for more, so that no call goes to its provider, is told."""
    pertoken("key", "create", "app")
    with sqlite3.connect(tmp_path / "pertoken.db") as connection:
        connection.execute("INSERT INTO accounts VALUES ('provider_cost:openai', 'USD', 2000000000000000000, 0)")
    connection.close()
    found = pertoken.json("doctor", code=1, OPENAI_API_KEY="k", PORT=str(port))

    assert list(problems(found)) == ["accounts"]
    assert "openai in USD" in str(found)


@pytest.mark.parametrize("there", [True, False])
def test_a_server_without_our_tables_is_found(
    bare: Pertoken, postgresql: PostgresServer, make_database: MakeDatabase, tmp_path: Path, port: int, there: bool
) -> None:
    """An empty or a missing database of PostgreSQL is named, with the command that makes it."""
    url = make_database("postgresql", tmp_path) if there else postgresql.get_uri(database="no_such_database")
    found = bare.json("doctor", "--db", url, code=1, PORT=str(port), OPENAI_API_KEY="k")
    (said,) = [check for check in found["checks"] if check["check"] == "database"]

    assert ("empty, no tables" if there else "does not exist") in said["found"]
    assert said["fix"].startswith("pertoken key create" if there else "createdb no_such_database")
    assert "there is no database at" in bare("usage", "--db", url, code=1).stderr or not there


def test_a_note_is_no_problem(pertoken: Pertoken, port: int) -> None:
    """A provider without a key is a note: all works, and the exit is 0."""
    pertoken("key", "create", "app")
    found = pertoken.json("doctor", OPENAI_API_KEY="k", PORT=str(port))
    levels = {check["check"]: check["level"] for check in found["checks"]}

    assert (levels["provider openai"], levels["provider anthropic"]) == ("ok", "note")
    assert {check["level"] for check in found["checks"] if not check["ok"]} == set()


def test_a_key_that_names_no_variable_is_found(pertoken: Pertoken, tmp_path: Path, port: int) -> None:
    """A key that is to be read from a variable which is not set is a problem, though the usual variable is set."""
    config = tmp_path / "config.yaml"
    config.write_text("providers: {openai: {api_key: 'env:MISSPELT'}}")
    pertoken("key", "create", "app")
    found = pertoken.json("doctor", code=1, OPENAI_API_KEY="k", PORT=str(port), PERTOKEN_CONFIG=str(config))

    assert problems(found)["provider openai"].startswith("export MISSPELT=...")


def test_a_model_name_that_stands_for_none_is_found(pertoken: Pertoken, tmp_path: Path, port: int) -> None:
    """A routed name whose model has no price is a note, with the model that was meant; one that has a price is none."""
    config = tmp_path / "config.yaml"
    config.write_text(
        "models: {fast: {provider: openai, model: gpt-4o-mni}, good: {provider: openai, model: gpt-4o-mini},"
        " priced: {provider: openai, model: mine, priced_as: gpt-4o-mini}}"
    )
    pertoken("key", "create", "app")
    found = pertoken.json("doctor", OPENAI_API_KEY="k", PORT=str(port), PERTOKEN_CONFIG=str(config))
    named = {check["check"]: check for check in found["checks"] if check["check"].startswith("model ")}

    assert list(named) == ["model fast"]
    assert named["model fast"]["level"] == "note"
    assert "did you mean 'gpt-4o-mini'?" in named["model fast"]["fix"]


def test_a_price_list_that_is_none_is_found(pertoken: Pertoken, tmp_path: Path, port: int) -> None:
    """A provider that sells at the list of nobody is told, with the setting; one that sells at a known list is not."""
    config = tmp_path / "config.yaml"
    config.write_text("providers: {my: {base_url: 'http://h', prices_from: [nonsense, openai]}}")
    pertoken("key", "create", "app")
    found = pertoken.json("doctor", OPENAI_API_KEY="k", PORT=str(port), PERTOKEN_CONFIG=str(config))
    told = [
        check
        for check in found["checks"]
        if check["check"] == "provider my" and "its list prices are those of" in check["found"]
    ]

    assert [(check["ok"], check["fix"]) for check in told] == [(True, "correct providers.my.prices_from")]
    assert "its list prices are those of 'nonsense', but none is known" in told[0]["found"]


def test_any_free_port_will_do(pertoken: Pertoken) -> None:
    """Port 0 is what `serve` takes for any free one, and no problem."""
    pertoken("key", "create", "app")

    assert pertoken.json("doctor", OPENAI_API_KEY="k", PORT="0")["ok"] is True


def test_a_damaged_database_is_found(bare: Pertoken, tmp_path: Path, port: int) -> None:
    """A file that is no database is a problem of its own."""
    (tmp_path / "pertoken.db").write_bytes(b"this is not a database, it only has its name" * 40)

    assert "database" in problems(bare.json("doctor", code=1, PORT=str(port)))


def test_a_port_that_others_use_is_found(pertoken: Pertoken, monkeypatch: pytest.MonkeyPatch) -> None:
    """A port on which no gateway answers is a problem; one on which a gateway answers is not."""
    monkeypatch.setattr(doctor, "ANSWER_S_MAX", 0.1)
    pertoken("key", "create", "app")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])

        assert f"port {port}" in problems(pertoken.json("doctor", code=1, OPENAI_API_KEY="k", PORT=port))

        monkeypatch.setattr(doctor, "_is_a_gateway", lambda _port: True)

        assert pertoken.json("doctor", OPENAI_API_KEY="k", PORT=port)["ok"] is True


def test_bad_settings_are_found(pertoken: Pertoken, port: int) -> None:
    """Settings that cannot be read are the problem that is named."""
    found = pertoken.json("doctor", code=1, PERTOKEN_LIMITS__HOLD_S="soon", PORT=str(port))

    assert list(problems(found)) == ["settings"]


def test_it_says_of_each_provider_what_is_known(pertoken: Pertoken, port: int) -> None:
    """Base URL, key, wire and capabilities of every active provider; a local one needs no key."""
    environ = {"GROQ_API_KEY": "k", "PERTOKEN_PROVIDERS__OLLAMA__ON_HANGUP": "drain"}
    pertoken("key", "create", "app")
    found = pertoken.json("doctor", PORT=str(port), **environ)
    said = {check["check"]: check["found"] for check in found["checks"]}

    assert said["provider groq"] == (
        "https://api.groq.com/openai/v1, key present; wire openai, usage in streams: on request, "
        "abort stops billing: no, on hang-up: drain"
    )
    assert "no key is set (ANTHROPIC_API_KEY or providers.anthropic.api_key), so calls" in said["provider anthropic"]
    assert "sent without a key; wire openai" in said["provider ollama"]


@pytest.mark.parametrize(
    ("name", "more", "warned"),
    [
        ("GROQ", {}, True),
        ("OPENROUTER", {}, True),
        ("OPENROUTER", {"STOPS_BILLING_ON_ABORT": "yes"}, False),
        ("OPENAI", {}, False),
        ("DEEPSEEK", {}, False),
    ],
)
def test_a_cut_that_saves_nothing_is_a_problem(
    pertoken: Pertoken, port: int, name: str, more: dict[str, str], warned: bool
) -> None:
    """Cutting a stream whose provider goes on charging hides a charge: doctor says so, and what to write instead."""
    pertoken("key", "create", "app")
    fields = {"ON_HANGUP": "cut", **more}
    environ = {f"PERTOKEN_PROVIDERS__{name}__{field}": value for field, value in fields.items()}
    found = pertoken.json("doctor", code=int(warned), PORT=str(port), **{f"{name}_API_KEY": "k"}, **environ)
    check = f"provider {name.lower()}"

    assert set(problems(found)) == ({check} if warned else set())
    if warned:
        assert "on_hangup to drain" in problems(found)[check]


@pytest.mark.parametrize(("key", "weak"), [("hunter2", True), ("2f8a1c0d9be47563a4", False)])
def test_a_weak_admin_key_is_a_problem(pertoken: Pertoken, port: int, key: str, weak: bool) -> None:
    """The key that opens everything must not be one that can be guessed; it is not shown."""
    pertoken("key", "create", "app")
    environ = {"OPENAI_API_KEY": "k", "PERTOKEN_ADMIN_KEY": key, "PORT": str(port)}
    found = pertoken.json("doctor", code=int(weak), **environ)

    assert list(problems(found)) == (["admin key"] if weak else [])
    assert key not in str(found)


def test_keys_that_have_named_as_many_as_they_may(pertoken: Pertoken, write_lines: WriteLines, port: int) -> None:
    """A bound that is reached is told with the key's name and the setting; it is no problem, for growth is bounded."""
    key_id = pertoken.json("key", "create", "app")["id"]
    pertoken("ingest", write_lines(*[event_line(str(n), user=f"u{n}", key=key_id) for n in range(3)]))
    said = {}
    for most in ("3", "4"):
        asked = {"OPENAI_API_KEY": "x", "PORT": str(port), "PERTOKEN_LIMITS__KEY_USERS_MAX": most}
        [said[most]] = [one for one in pertoken.json("doctor", **asked)["checks"] if one["check"] == "what keys name"]

    assert said["3"]["ok"] is said["4"]["ok"] is True
    assert said["4"]["found"] == "within its limits"
    assert "app 3 users" in said["3"]["found"]
    assert "limits.key_users_max" in said["3"]["found"]
