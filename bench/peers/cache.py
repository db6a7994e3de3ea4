"""Where peers are installed: the user's cache folder. Each version is installed once, and a refusal is remembered."""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import platformdirs

from peers.peer import Absent

INSTALL_S = 900


def installed(name: str, install: Callable[[Path], None]) -> Path:
    """Return the folder of what `install` puts there; it is asked once. Raises Absent, with the reason of then."""
    folder = platformdirs.user_cache_path("pertoken-bench", appauthor=False) / name
    there, refused = folder / ".installed", folder / ".refused"
    if there.exists():
        return folder
    if refused.exists():
        raise Absent(refused.read_text())
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    print(f"installing {name} into {folder}", file=sys.stderr, flush=True)
    try:
        install(folder)
    except Absent as absent:
        refused.write_text(str(absent))
        print(f"{name} is not to be had: {absent} (to try again, remove {folder})", file=sys.stderr, flush=True)
        raise
    there.touch()
    return folder


def need(program: str) -> str:
    """Return the path of a program. Raises Absent."""
    found = shutil.which(program)
    if found is None:
        raise Absent(f"no {program} here")
    return found


def run(command: Sequence[str], folder: Path, environ: Mapping[str, str] | None = None) -> None:
    """Run one step of an installation. Raises Absent with the last line that it said."""
    name = Path(command[0]).name
    try:
        done = subprocess.run(
            command, cwd=folder, env=environ, check=False, capture_output=True, text=True, timeout=INSTALL_S,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Absent(f"{name}: {error}") from error
    if done.returncode:
        raise Absent(f"{name}: {_last_words(done.stderr or done.stdout)}")


def _last_words(said: str) -> str:
    """Return the lines that tell why, without the address that was asked: it is of this network, not of the peer."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return re.sub(r"^.*https?://\S+ *", "", " ".join(lines[-2:]))[:200]
