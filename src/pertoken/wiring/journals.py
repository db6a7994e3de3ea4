"""Files of lines that the books do not have yet: owed settlements, and calls that were served on credit."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from pertoken.core.money import parse_amount
from pertoken.settings import Settings
from pertoken.store import credit, journal, owed
from pertoken.wiring.paths import credit_folder, owed_folder


class Waiting(NamedTuple):
    """A settlement that is not in the books yet; a parked one cannot be posted as it is."""

    path: Path  # the file that contains it
    hold_id: str
    provider: str
    reason: str
    parked: bool


class Unreadable(NamedTuple):
    """A file that was set aside, and the numbers of its lines that cannot be read."""

    path: Path
    lines: list[int]


def make_owed(settings: Settings, owner: str) -> owed.Owed:
    """Return the owed settlements of this process; `owner` names the process."""
    return owed.Owed(owed_folder(settings), owner)


def make_credit_line(settings: Settings, owner: str) -> credit.CreditLine | None:
    """Return the credit of this process, None if the settings allow none."""
    limit = settings.limits.credit
    return None if limit is None else credit.CreditLine(credit_folder(settings), owner, parse_amount(limit, "USD"))


def read_waiting(settings: Settings) -> list[Waiting]:
    """Return the settlements of all processes on this machine that are not in the books yet."""
    found = owed.read_all(owed_folder(settings))
    return [Waiting(path, one.command.hold_id, one.provider, one.reason, one.parked) for path, one in found]


def read_unreadable(settings: Settings) -> Iterator[Unreadable]:
    """Yield the files that were set aside because some of their lines cannot be read."""
    for path in journal.all_set_aside(owed_folder(settings), owed.KIND):
        yield Unreadable(path, owed.read(path)[-1])
    for path in journal.all_set_aside(credit_folder(settings), credit.KIND):
        yield Unreadable(path, credit.read(path)[-1])
