"""A file of lines for records that the database cannot take now. Each process has its own file, locked while it lives.

A line is on disk before anything goes on. What a dead process left is found by the next one that starts. A file with
lines that cannot be read is set aside and never removed: a person has to look at it. Each line has its sum behind it: a
digit that is another one is still a number.
"""

import fcntl
import hashlib
import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

SUM_BYTES = 8
SUM_LETTERS = 1 + 2 * SUM_BYTES  # with the blank before them
UNREADABLE_END = ".unreadable"  # of the name of a file that was set aside

log = logging.getLogger("pertoken.store")


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
        size = os.fstat(self.file).st_size
        text = line + _sum(line) + b"\n"
        whole = False
        try:
            whole = os.write(self.file, text) == len(text)
        finally:
            if not whole:  # or the next line would be the end of this one
                os.ftruncate(self.file, size)
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


def whole_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield the lines of a file with their numbers, empty ones left out.

    What has no line end was cut off while it was written: its process died before anything followed from it. A line
    that is not as it was written comes as an empty one, which no reader takes.
    """
    *lines, rest = path.read_bytes().split(b"\n")
    if rest:
        log.warning("the last line of %s is incomplete and was ignored: nothing depended on it", path)
    return ((number, _checked(line)) for number, line in enumerate(lines, 1) if line.strip())


def _sum(line: bytes) -> bytes:
    return b" " + hashlib.blake2b(line, digest_size=SUM_BYTES).hexdigest().encode()


def _checked(line: bytes) -> bytes:
    """Return what a line says; earlier versions wrote no sum behind it."""
    said, sum_ = line[:-SUM_LETTERS], line[-SUM_LETTERS:]
    if sum_ == _sum(said):
        return said
    return line if line.endswith(b"}") else b""


def set_aside(path: Path) -> None:
    """Keep a file that has lines nobody can read, under a name that says so."""
    kept = path.with_name(path.name + UNREADABLE_END)
    log.error("%s has lines that cannot be read and is kept as %s; see: pertoken doctor", path, kept.name)
    path.rename(kept)


def all_set_aside(folder: Path, kind: str) -> Sequence[Path]:
    """Return the files that were set aside, by any process."""
    return sorted(folder.glob(f"*.{kind}{UNREADABLE_END}"))


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
