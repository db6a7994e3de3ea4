import json
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.cli.conftest import Pertoken

from pertoken.cli.serve import JsonLines, OneLine


def record_with_traceback() -> logging.LogRecord:
    """Return a log record of a failure."""
    try:
        raise ValueError("two\nlines")
    except ValueError:
        return logging.LogRecord("pertoken", logging.ERROR, "file", 1, "it %s", ("failed",), sys.exc_info())


def test_a_log_record_is_one_line() -> None:
    """A traceback does not break a record into several lines."""
    line = OneLine().format(record_with_traceback())

    assert "\n" not in line
    assert "ERROR pertoken it failed" in line
    assert "ValueError" in line


def test_every_line_of_the_log_has_the_same_clock() -> None:
    """A record begins as the line of a call does, in UTC: lines of one log sort by their beginning."""
    record = record_with_traceback()
    record.created, record.msecs = 1_795_806_234.032, 32.0

    assert OneLine().format(record).startswith("2026-11-27T19:03:54.032Z ERROR pertoken it failed")


def test_a_json_log_record_is_one_object() -> None:
    """With --json every record is one JSON object on one line."""
    line = JsonLines().format(record_with_traceback())
    said = json.loads(line)

    assert "\n" not in line
    assert (said["level"], said["logger"], said["message"]) == ("ERROR", "pertoken", "it failed")
    assert "ValueError" in said["error"]
    assert said["at"].endswith("Z")


@pytest.mark.parametrize("words", [("serve",), ("simulate",)], ids=" ".join)
def test_a_taken_port_is_one_line(pertoken: Pertoken, words: tuple[str, ...]) -> None:
    """A port in use ends the command with one line that names it and another port to try."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = pertoken(*words, "--port", str(port), code=1)

    assert len(result.stderr.splitlines()) == 1
    assert f"127.0.0.1:{port}" in result.stderr
    assert f"pertoken {words[0]} --port {port + 1}" in result.stderr


def test_the_port_comes_from_the_environment(pertoken: Pertoken) -> None:
    """PORT names the port where no option does."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        assert f"127.0.0.1:{port}" in pertoken("serve", code=1, PORT=str(port)).stderr


def test_bad_settings_end_it(pertoken: Pertoken, tmp_path: Path) -> None:
    """`--config` names the settings; what is wrong in them is one line."""
    config = tmp_path / "config.yaml"
    config.write_text("no_such_setting: 1\n")
    result = pertoken("serve", "--port", "0", "--config", str(config), code=1)

    assert "no_such_setting" in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize(("key", "warned"), [("hunter2", 1), ("2f8a1c0d9be47563a4", 0), ("", 0)])
def test_a_weak_admin_key_is_warned_about(
    pertoken: Pertoken,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    workers: str,
    key: str,
    warned: int,
) -> None:
    """At the start the log says once, of however many workers, that the key can be guessed, and not which it is."""
    monkeypatch.setattr("pertoken.gateway.server.run", lambda *_: None)
    monkeypatch.setattr("pertoken.gateway.workers.run", lambda *_: None)
    pertoken("serve", "--port", "0", "--workers", workers, PERTOKEN_ADMIN_KEY=key)

    assert sum("is weak" in record.message for record in caplog.records) == warned
    assert "hunter2" not in caplog.text


@pytest.mark.parametrize(("name", "warned"), [("OPENIA", 1), ("MY_VLLM", 0), ("OPENAI", 0)])
def test_a_misspelt_provider_is_warned_about(
    pertoken: Pertoken, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, name: str, warned: int
) -> None:
    """A provider may have any name; one that is nearly a known provider's is said at the start."""
    monkeypatch.setattr("pertoken.gateway.server.run", lambda *_: None)
    pertoken("serve", "--port", "0", **{f"PERTOKEN_PROVIDERS__{name}__BASE_URL": "http://127.0.0.1:9/v1"})

    assert sum("did you mean 'openai'?" in record.message for record in caplog.records) == warned


@pytest.mark.parametrize("words", [("serve",), ("simulate",)], ids=" ".join)
def test_it_serves_until_interrupted(pertoken: Pertoken, tmp_path: Path, words: tuple[str, ...]) -> None:
    """It says where it listens, answers there, and ends cleanly when asked."""
    environ = {**os.environ, "PERTOKEN_DATABASE_URL": pertoken.url}
    log = tmp_path / "log"
    with log.open("wb") as sink:
        command = [sys.executable, "-m", "pertoken", *words, "--port", "0"]
        process = subprocess.Popen(command, env=environ, stdout=sink, stderr=sink)
    try:
        deadline = time.monotonic() + 30
        while not (found := re.search(r"listening on http://127\.0\.0\.1:(\d+)", log.read_text())):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, "it did not start within 30 s"
            time.sleep(0.02)
        with socket.create_connection(("127.0.0.1", int(found[1])), timeout=5):
            pass
        process.send_signal(signal.SIGTERM)

        assert process.wait(20) in (0, -signal.SIGTERM), log.read_text()
    finally:
        process.kill()
        process.wait(5)


@pytest.mark.parametrize("url", ["nonsense", "ftp://host/v1", "http://user:hidden@host/v1", "http://host/v1?key=x"])
def test_a_base_url_that_is_none_is_one_line(bare: Pertoken, url: str) -> None:
    """The gateway does not start with a provider that it could never call; the line names the setting."""
    result = bare("serve", "--port", "0", code=1, PERTOKEN_PROVIDERS__MINE__BASE_URL=url)

    assert "providers.mine.base_url" in result.stderr
    assert "hidden" not in result.stderr
    assert len(result.stderr.splitlines()) == 1
