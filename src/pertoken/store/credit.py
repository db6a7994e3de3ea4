"""A bounded line of credit for when the store is down: calls that are served without a hold in the books.

Only where the operator opens it (`limits.credit`). What is granted and what it came to is appended to a file on this
machine, flushed, before anything goes on: nothing is served that is not on record somewhere. When the store works
again the settlements are posted, marked late, and the file goes. Each process has a file of its own, locked while it
lives; the next process that starts takes over what a dead one has left.
"""

import logging
import os
from pathlib import Path
from typing import Any

import msgspec

from pertoken.core.commands import Settle
from pertoken.core.holds import Hold
from pertoken.store.commands import UNREADABLE, as_object, read_hold, read_settle
from pertoken.store.journal import Journal, all_set_aside, set_aside, whole_lines

KIND = "credit"

log = logging.getLogger("pertoken.store")


class _Line(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True):
    """One line of a file: a granted hold, a settlement, or a released hold."""

    granted: Any = None  # a Hold, as `commands` writes and reads it
    settled: Any = None  # a Settle
    released: str | None = None


_read = msgspec.json.Decoder(_Line)


class CreditLine:
    """What may be served while the store is down. Used by one thread at a time."""

    def __init__(self, folder: Path, owner: str, limit_picos: int) -> None:
        """Files are in `folder`; `owner` names this process, and no other process ever."""
        self._journal = Journal(folder, owner, KIND)
        self._limit_picos = limit_picos
        self._granted: dict[str, int] = {}  # hold id -> picos, settled or not, until the books have it
        self._inherited: dict[int, set[str]] = {}  # files of dead processes -> what of them is not posted yet
        self._paths: dict[int, Path] = {}
        self._damaged: set[Path] = set()  # of these the files with lines that cannot be read

    @property
    def unreadable(self) -> list[Path]:
        """Files with lines that nobody can read: what they say is owed as well."""
        return [*all_set_aside(self._journal.path.parent, KIND), *sorted(self._damaged)]

    @property
    def left_picos(self) -> int:
        """How much more may be granted."""
        return max(0, self._limit_picos - sum(self._granted.values()))

    def take_over(self) -> list[Settle]:
        """Return the settlements that processes before this one could not post."""
        found = []
        for file, path in self._journal.take_over():
            unposted, lost, unreadable = read(path)
            for hold_id in lost:
                log.error("%s was served on credit and its process ended before its cost was known", hold_id)
            if unreadable:
                self._damaged.add(path)
            self._paths[file], self._inherited[file] = path, {one.hold_id for one in unposted}
            found += unposted
            self._forget_done()
        return found

    def grant(self, hold: Hold) -> bool:
        """Tell whether a call may be served on credit; then it is on record."""
        if hold.amount_picos > self.left_picos or not self._append(_Line(granted=as_object(hold))):
            return False
        self._granted[hold.hold_id] = hold.amount_picos
        log.warning("%s is served on credit; %d picos of credit are left", hold.hold_id, self.left_picos)
        return True

    def settle(self, command: Settle) -> bool:
        """Record what a call came to; tell whether it was on credit and is on record now."""
        if command.hold_id not in self._granted or not self._append(_Line(settled=as_object(command))):
            return False
        self._granted[command.hold_id] = command.event.cost_picos
        return True

    def release(self, hold_id: str) -> bool:
        """Give back the credit of a call that came to nothing; tell whether it had any."""
        return hold_id in self._granted and self._append(_Line(released=hold_id)) and self.posted(hold_id)

    def posted(self, hold_id: str) -> bool:
        """Give back the credit of a call that no longer needs it. A file is removed with the last of its calls."""
        had = self._granted.pop(hold_id, None) is not None
        if had and not self._granted:
            self._journal.remove()
        for unposted in self._inherited.values():
            unposted.discard(hold_id)
        self._forget_done()
        return had

    def _forget_done(self) -> None:
        for file in [file for file, unposted in self._inherited.items() if not unposted]:
            path = self._paths.pop(file)
            if path in self._damaged:
                set_aside(path)
                self._damaged.remove(path)
            else:
                path.unlink(missing_ok=True)
            os.close(file)
            del self._inherited[file]

    def _append(self, line: _Line) -> bool:
        try:
            return self._journal.append(msgspec.json.encode(line))
        except OSError as error:
            log.error("credit cannot be recorded, so no call is served on credit: %s", error)  # noqa: TRY400 - the reason says it all
            return False


def read(path: Path) -> tuple[list[Settle], list[str], list[int]]:
    """Return the settlements in a file, the holds without one, and the numbers of the lines that cannot be read."""
    granted: set[str] = set()
    settled: dict[str, Settle] = {}
    unreadable: list[int] = []
    for number, text in whole_lines(path):
        try:
            line = _read.decode(text)
            hold = None if line.granted is None else read_hold(line.granted)
            settle = None if line.settled is None else read_settle(line.settled)
        except UNREADABLE as error:
            log.warning("line %d of %s cannot be read: %s", number, path, error)
            unreadable.append(number)
            continue
        if hold is not None:
            granted.add(hold.hold_id)
        elif settle is not None:
            settled[settle.hold_id] = settle
        elif line.released is not None:
            granted.discard(line.released)
        else:
            unreadable.append(number)
    return list(settled.values()), sorted(granted - settled.keys()), unreadable
