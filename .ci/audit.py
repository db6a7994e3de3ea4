"""Asks the vulnerability services about every version that requirements.lock pins: `make audit`.

A known vulnerability is exit 1. What could not be asked, since no service is reachable from here or none knows the
package, is said on stderr and does not fail: it tells of this machine, not of the lock file.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

LOCK = Path(__file__).parent.parent / "requirements.lock"
SERVICES = ("osv", "pypi")  # the first that knows any of the packages is believed
TIMEOUT_S = 10
AUDIT_S_MAX = 300
PIP_AUDIT = (sys.executable, "-m", "pip_audit", "-r", str(LOCK), "--require-hashes", "--disable-pip",
             "--progress-spinner", "off", "--format", "json", "--desc", "off", "--timeout", str(TIMEOUT_S))  # fmt: skip


class Unreachable(Exception):
    """A service gave no report."""


def main() -> int:
    """Audit by the first service that can; return the exit code."""
    read = run("--dry-run")
    if read.returncode:
        say(f"cannot read the lock file: {last_line(read.stderr)}")
        return 2
    failures = []
    for service in SERVICES:
        try:
            packages = ask(service)
        except Unreachable as error:
            failures.append(f"{service}: {error}")
            continue
        if any("vulns" in one for one in packages):
            return judge(service, packages)
        failures.append(f"{service}: knows none of the {len(packages)} packages")
    say(f"dependencies are NOT audited, no vulnerability service is reachable from here ({'; '.join(failures)})")
    return 0


def ask(service: str) -> list[dict[str, Any]]:
    """Return what a service says of each package: its `vulns`, or why it was skipped. Raises Unreachable."""
    try:
        done = run("--vulnerability-service", service)
    except subprocess.TimeoutExpired as error:
        raise Unreachable(f"no answer within {AUDIT_S_MAX} s") from error
    if not done.stdout:
        raise Unreachable(last_line(done.stderr))
    packages: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    return packages


def judge(service: str, packages: list[dict[str, Any]]) -> int:
    """Say what is vulnerable and what was not looked at; return the exit code."""
    skipped = [one["name"] for one in packages if "vulns" not in one]
    found = [(one, vulnerability) for one in packages for vulnerability in one.get("vulns", ())]
    if skipped:
        say(f"not audited, since {service} does not know them: {', '.join(skipped)}")
    for one, vulnerability in found:
        mended = " or ".join(vulnerability["fix_versions"]) or "no version yet"
        say(f"{one['name']} {one['version']} is vulnerable: {vulnerability['id']}, mended in {mended}; run: make lock")
    print(f"audited {len(packages) - len(skipped)} dependencies by {service}: {len(found)} known vulnerabilities")
    return 1 if found else 0


def run(*options: str) -> subprocess.CompletedProcess[str]:
    """Run pip-audit over the lock file."""
    words = (*PIP_AUDIT, *options)
    return subprocess.run(words, capture_output=True, text=True, timeout=AUDIT_S_MAX, check=False)


def last_line(text: str) -> str:
    """Return how an error ends, without its long tail."""
    return text.strip().rpartition("\n")[2][:120]


def say(text: str) -> None:
    """Tell whoever runs it."""
    print(f"audit: {text}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
