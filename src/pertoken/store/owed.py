"""Settlements that are not yet posted, kept on disk until they are.

One is owed while the store is away. One is parked when the store works and did not take it: it is tried again once a
minute, by this process or the next. Meanwhile its hold stays open, so that no budget gives its money away, and no call
goes to its provider, for that might end in the same way.
"""

import logging
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from pertoken.core.commands import Settle, Void
from pertoken.store.commands import UNREADABLE, as_object, read_settle, read_void
from pertoken.store.journal import Journal, all_set_aside, set_aside, whole_lines

KIND = "owed"
RETRY_US = 60 * 1_000_000  # between two tries of what was parked

log = logging.getLogger("pertoken.store")

Ending = Settle | Void


class _Line(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True):
    """One line of a file: a settlement that is owed, a hold that is owed its end, or one of both that was posted."""

    settle: Any = None  # a Settle, as `commands` writes and reads it
    void: Any = None  # a Void
    reason: str = ""
    parked: bool = False
    posted: str | None = None  # the id of its hold


_read = msgspec.json.Decoder(_Line)


class Owing(NamedTuple):
    """What is owed, and why it is not in the books."""

    command: Ending
    reason: str
    parked: bool

    @property
    def provider(self) -> str:
        """Whom the call went to."""
        command = self.command
        attribution = command.event.attribution if isinstance(command, Settle) else command.attribution
        return attribution.provider or ""


class Owed:
    """What this process owes to the books. Used by one thread at a time; without a folder it is in memory alone."""

    def __init__(self, folder: Path | None = None, owner: str = "") -> None:
        """Files are in `folder`; `owner` names this process, and no other process ever."""
        self._journal = None if folder is None else Journal(folder, owner, KIND)
        self._owing: dict[str, Owing] = {}  # by hold
        self._tried_at_us = 0
        self._damaged: list[Path] = []  # files that could not be set aside yet

    def __len__(self) -> int:
        """Return how much is owed."""
        return len(self._owing)

    @property
    def parked(self) -> list[Owing]:
        """What the store works for and did not take."""
        return [one for one in tuple(self._owing.values()) if one.parked]  # another thread may count them

    def take_over(self) -> None:
        """Take what processes before this one could not post."""
        for file, path in () if self._journal is None else self._journal.take_over():
            left, unreadable = read(path)
            kept = [self.keep(*one) for one in left.values()]
            if not all(kept):
                self._damaged += [path] if unreadable else []
            elif unreadable:
                set_aside(path)
            else:
                path.unlink(missing_ok=True)
            os.close(file)

    @property
    def unreadable(self) -> list[Path]:
        """Files with lines that nobody can read: what they say is owed as well."""
        if self._journal is None:
            return []
        return [*all_set_aside(self._journal.path.parent, KIND), *(path for path in self._damaged if path.exists())]

    def keep(self, command: Ending, reason: str, parked: bool = False) -> bool:
        """Keep what is owed; tell whether it is on disk."""
        known = self._owing.get(command.hold_id)
        owing = Owing(command, reason, parked)
        if known == owing:
            return True
        self._owing[command.hold_id] = owing
        kept = as_object(command)
        settle, void = (kept, None) if isinstance(command, Settle) else (None, kept)
        return self._append(_Line(settle, void, reason, parked))

    def due(self, now_us: int) -> list[Ending]:
        """Return what is to be tried now; of what was parked all, or nothing."""
        parked = not 0 <= now_us - self._tried_at_us < RETRY_US  # also after the clock went back
        if parked:
            self._tried_at_us = now_us
        return [one.command for one in self._owing.values() if parked or not one.parked]

    def posted(self, commands: Iterable[Ending]) -> None:
        """Forget what the books have now; the file goes with the last."""
        for command in commands:
            if self._owing.pop(command.hold_id, None) is not None and self._owing:
                self._append(_Line(posted=command.hold_id))
        if not self._owing and self._journal is not None:
            self._journal.remove()

    def close(self) -> None:
        """Leave what is owed to another process."""
        if self._journal is not None:
            self._journal.close()

    def _append(self, line: _Line) -> bool:
        if self._journal is None:
            return True
        try:
            return self._journal.append(msgspec.json.encode(line))
        except OSError as error:
            log.error("owed settlements are only in memory: %s", error)  # noqa: TRY400 - the reason says it all
            return False


def read(path: Path) -> tuple[dict[str, Owing], list[int]]:
    """Return what a file says is owed, by hold, and the numbers of the lines that cannot be read."""
    owing: dict[str, Owing] = {}
    unreadable: list[int] = []
    for number, text in whole_lines(path):
        try:
            line = _read.decode(text)
            command = _command(line)
        except UNREADABLE as error:
            log.warning("line %d of %s cannot be read: %s", number, path, error)
            unreadable.append(number)
            continue
        if command is not None:
            owing[command.hold_id] = Owing(command, line.reason, line.parked)
        elif line.posted is not None:
            owing.pop(line.posted, None)
        else:
            unreadable.append(number)
    return owing, unreadable


def _command(line: _Line) -> Ending | None:
    if line.settle is not None:
        return read_settle(line.settle)
    return None if line.void is None else read_void(line.void)


def read_all(folder: Path) -> Sequence[tuple[Path, Owing]]:
    """Return what all processes on this machine owe, dead ones too, with the file that has it."""
    found = []
    for path in sorted(folder.glob(f"*.{KIND}")):
        try:
            found += [(path, one) for one in read(path)[0].values()]
        except FileNotFoundError:  # it was all posted just now
            continue
    return found
