"""A file of lines for what the database cannot take now: each process has one of its own, locked while it lives.

A line is on disk before anything goes on. What a dead process left is found by the next one that starts.
"""

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path


class Journal:
    """The file of this process. It is made with its first line."""

    def __init__(self, folder: Path, owner: str, kind: str) -> None:
        """Files are in `folder`; `owner` names this process, and no other process ever; `kind` ends the file's name."""
        self._folder = folder
        self._kind = kind
        self.path = folder / f"{owner.replace(':', '-')}.{kind}"
        self.file: int | None = None

    def append(self, line: bytes) -> bool:
        """Write a line, flushed; tell whether it was written whole. Raises OSError."""
        if self.file is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            self.file = os.open(self.path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
            fcntl.flock(self.file, fcntl.LOCK_EX)
            _flush_names(self._folder)
        text = line + b"\n"
        whole = os.write(self.file, text) == len(text)
        os.fsync(self.file)
        return whole

    def remove(self) -> None:
        """Take the file away: nothing in it is needed any more."""
        if self.file is not None:
            self.path.unlink(missing_ok=True)
            self.close()

    def close(self) -> None:
        """Let the file go as it is: another process may take it over."""
        if self.file is not None:
            os.close(self.file)
            self.file = None

    def take_over(self) -> Iterator[tuple[int, Path]]:
        """Yield the files of dead processes, each open and locked by us."""
        for path in sorted(self._folder.glob(f"*.{self._kind}")):
            file = os.open(path, os.O_RDWR)
            if _is_free(file):
                yield file, path
            else:
                os.close(file)


def _is_free(file: int) -> bool:
    """Tell whether nobody alive has a file; then it is ours."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _flush_names(folder: Path) -> None:
    """See that the name of a new file is on disk."""
    names = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(names)
    finally:
        os.close(names)
