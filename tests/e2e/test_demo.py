"""`pertoken demo`: what it prints works, and it leaves nothing behind."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from openai import OpenAI
from tests.e2e.conftest import PATIENCE_S, is_running

EXPORT = re.compile(r"(\w+)=(\S+)")


def children(pid: int) -> list[int]:
    """Return the processes that a process has started and that still belong to it."""
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="children are found in /proc, which is not here")
def test_what_is_kept_up_can_be_used_and_ends_whole(tmp_path: Path) -> None:
    """What it prints makes an application and the commands use it; SIGTERM ends its processes and its files."""
    log = tmp_path / "log"
    environ = {**os.environ, "TMPDIR": str(tmp_path), "COLUMNS": "200"}
    with log.open("wb") as sink:
        demo = subprocess.Popen(
            [sys.executable, "-u", "-m", "pertoken", "demo", "--calls", "2", "--past", "500", "--keep"],
            stdout=sink,
            env=environ,
        )
    try:
        deadline = time.monotonic() + 2 * PATIENCE_S
        while "running until Ctrl-C" not in log.read_text() and demo.poll() is None and time.monotonic() < deadline:
            time.sleep(0.1)
        told = dict(EXPORT.findall(log.read_text()))
        sdk = OpenAI(base_url=told["OPENAI_BASE_URL"], api_key=told["OPENAI_API_KEY"], max_retries=0)
        sdk.chat.completions.create(model="gpt-4o-mini", messages=[{"role": "user", "content": "hello"}])
        usage, latency, times = (
            subprocess.run(
                [sys.executable, "-m", "pertoken", *words],
                env={**environ, "PERTOKEN_DATABASE_URL": told["PERTOKEN_DATABASE_URL"]},
                capture_output=True, text=True, timeout=PATIENCE_S, check=True,
            ).stdout
            for words in (("usage", "--by", "model"), ("latency",), ("latency", "--json"))
        )  # fmt: skip
        started = children(demo.pid)
    finally:
        demo.send_signal(signal.SIGTERM)
        status = demo.wait(PATIENCE_S)

    assert "gpt-4o-mini" in usage
    assert "claude-haiku-4-5" in usage  # of the days before
    assert "gpt-4o-mini" in latency
    for row in (*json.loads(times)["rows"], json.loads(times)["total"]):
        for timed in (row["first_byte"], row["total"]):
            assert timed["calls"] >= 1
            assert timed["p50_ms"] <= timed["p95_ms"] <= timed["p99_ms"]
    assert status == 128 + signal.SIGTERM
    assert len(started) == 2
    assert [pid for pid in started if is_running(pid)] == []
    assert list(tmp_path.glob("pertoken-demo-*")) == []
