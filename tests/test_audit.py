"""The audit of dependencies, against a vulnerability service of our own: a machine without one is not a clean one."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

SCRIPT = Path(__file__).parent.parent / ".ci" / "audit.py"
NOWHERE = "http://127.0.0.1:9"  # nothing listens there


@contextmanager
def service(vulnerable: str | None) -> Iterator[str]:
    """Yield the address of a service that speaks OSV, and has an advisory for one package or none."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
            name = asked["package"]["name"]
            said: dict[str, Any] = {}
            if name == vulnerable:
                ranges = [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "999.0"}]}]
                affected = [{"package": asked["package"], "ranges": ranges}]
                said = {"vulns": [{"id": "PYSEC-0000-1", "affected": affected}]}
            body = json.dumps(said).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def audit(osv_url: str) -> subprocess.CompletedProcess[str]:
    """Run the audit where only what is given is reachable."""
    environ = {**os.environ, "PIP_AUDIT_OSV_URL": osv_url, "HTTPS_PROXY": NOWHERE, "NO_PROXY": "127.0.0.1"}
    return subprocess.run([sys.executable, str(SCRIPT)], env=environ, capture_output=True, text=True, check=False)


def test_a_known_vulnerability_fails() -> None:
    """The package, its version, the advisory and where it is mended are said, and the exit is 1."""
    with service("httptools") as url:
        done = audit(url)

    assert done.returncode == 1, done.stderr
    [line] = done.stderr.splitlines()
    assert line.startswith("audit: httptools ")
    assert line.endswith("is vulnerable: PYSEC-0000-1, mended in 999.0; run: make lock")


def test_what_is_clean_is_counted() -> None:
    """Without any advisory it says how many were looked at."""
    with service(None) as url:
        done = audit(url)

    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert done.stdout.endswith("dependencies by osv: 0 known vulnerabilities\n")
    assert int(done.stdout.split()[1]) > 50


def test_an_unreachable_service_is_not_a_clean_bill() -> None:
    """Where nobody can be asked it says so, claims nothing, and does not fail."""
    done = audit(NOWHERE)

    assert done.returncode == 0
    assert "dependencies are NOT audited" in done.stderr
    assert "known vulnerabilities" not in done.stdout
