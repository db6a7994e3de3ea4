"""An issued, kept noun is eight files of source."""

import filecmp
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pertoken
from pertoken.wiring.schema import head

ROOT = Path(__file__).parents[2]
SOURCE = Path(pertoken.__file__).parent
MADE_UP = Path(__file__).parent / "made_up"

NEW = {
    "core/receipts.py": "core.py",
    "ports/receipts.py": "ports.py",
    "services/receipts.py": "services.py",
    "store/receipts.py": "store.py",
    "store/migrations/versions/receipts.py": "migration.py",
    "api/routes/receipts.py": "routes.py",
}
# a file -> a text that it has once, and what stands there with the noun
ACTIONS = """    AUDIT_READ = "audit.read"
    RECEIPTS_READ = "receipts.read"
    RECEIPTS_WRITE = "receipts.write"
"""
CHANGED = {
    "ports/store.py": (
        ("from pertoken.ports.sessions", "from pertoken.ports.receipts import Receipts\nfrom pertoken.ports.sessions"),
        ("    audit: AuditLog\n", "    audit: AuditLog\n    receipts: Receipts\n"),
    ),
    "core/access.py": (
        ('    AUDIT_READ = "audit.read"\n', ACTIONS),
        ("_VIEWER = _CUSTOMER | {", "_VIEWER = _CUSTOMER | {Action.RECEIPTS_READ} | {"),
        ("Role.FINANCE: _VIEWER | {", "Role.FINANCE: _VIEWER | {Action.RECEIPTS_WRITE} | {"),
    ),
}


def add_the_noun(copy: Path) -> None:
    """Add the noun to a copy of the program."""
    for path, made_up in NEW.items():
        (copy / path).write_text((MADE_UP / made_up).read_text().replace('"HEAD"', f'"{head()}"'))
    for path, changes in CHANGED.items():
        text = (copy / path).read_text()
        for old, new in changes:
            assert text.count(old) == 1, (path, old)
            text = text.replace(old, new)
        (copy / path).write_text(text)


def different(copy: Path) -> set[str]:
    """Return the files of a copy that its original has not, or has otherwise."""
    files = [path.relative_to(copy) for path in copy.rglob("*") if path.is_file()]
    return {
        one.as_posix()
        for one in files
        if not (SOURCE / one).exists() or not filecmp.cmp(SOURCE / one, copy / one, shallow=False)
    }


def test_a_new_noun_is_eight_files(tmp_path: Path) -> None:
    """A copy of the program with eight files more or changed keeps the noun and serves it on the control plane."""
    copy = tmp_path / "pertoken"
    shutil.copytree(SOURCE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    add_the_noun(copy)
    changed = different(copy)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-k", "sqlite", str(MADE_UP / "scene.py")]
    done = subprocess.run(
        command,
        env={**os.environ, "PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )

    assert len(changed) == 8
    assert changed == {*NEW, *CHANGED}
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout
