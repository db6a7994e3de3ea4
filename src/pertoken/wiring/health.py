"""Data of the page Health that is not in the books."""

import importlib
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

from pertoken.settings import Settings
from pertoken.store import lease
from pertoken.web.health import DoctorFinding, Facts
from pertoken.wiring.installation import Installation
from pertoken.wiring.paths import credit_folder, owed_folder

DOCTOR_S_MAX = 30


def read_facts(installation: Installation) -> Facts:
    """Return facts about an installation. Raises StoreFailed."""
    database, settings = installation.database, installation.settings
    with database.read() as connection:
        held = lease.read_all(connection)
        is_server = connection.dialect.name == "postgresql"
        asked = "SELECT pg_database_size(current_database())" if is_server else "SELECT 0"
        store_bytes = connection.exec_driver_sql(asked).scalar_one()
        named = "SHOW server_version" if is_server else "SELECT sqlite_version()"
        server = connection.exec_driver_sql(named).scalar_one()
    if not is_server:
        files = [Path(f"{database.place}{suffix}") for suffix in ("", "-wal")]
        store_bytes = sum(file.stat().st_size for file in files if file.exists())
    compiled = Path(importlib.import_module("pertoken.core.ledger").__file__ or "").suffix != ".py"
    folders = {"credit": credit_folder(settings), "owed": owed_folder(settings)}
    lines = [
        ("python", platform.python_version()),
        ("database", f"{'PostgreSQL' if is_server else 'SQLite'} {server}"),
        ("compiled", "yes" if compiled else "no, in plain Python"),
        *((f"{name} files", str(sum(1 for _ in folder.glob("*")))) for name, folder in folders.items()),
    ]
    return Facts(store_bytes, lines, held)


def ask_doctor(settings: Settings) -> list[DoctorFinding]:
    """Run `pertoken doctor` and return its findings; it runs as a command because it checks more than this process."""
    environ = {**os.environ, "PERTOKEN_DATABASE_URL": settings.database_url}
    command = [sys.executable, "-m", "pertoken", "doctor", "--json"]
    try:
        ran = subprocess.run(command, env=environ, capture_output=True, timeout=DOCTOR_S_MAX, check=False)  # noqa: S603 - this program itself
        checks = json.loads(ran.stdout)["checks"]
    except (OSError, subprocess.TimeoutExpired, ValueError, KeyError) as error:
        return [DoctorFinding("doctor", "problem", f"it did not answer: {type(error).__name__}", "pertoken doctor")]
    found = [DoctorFinding(one["check"], one["level"], one["found"], one["fix"]) for one in checks]
    return [one for one in found if not one.check.startswith("port")]  # these pages use that port, so it is never free
