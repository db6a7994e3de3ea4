"""Files of an archive that somebody else made: a few bytes that mean gigabytes, or something else, are refused."""

import hashlib
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.store import history

from pertoken.core.periods import parse_time
from pertoken.ports.months import FolderFailed, MonthFile, StoredEvent
from pertoken.store import month_files
from pertoken.store.month_files import MonthFolder
from pertoken.store.month_rows import SCHEMA

MONTH_US, END_US = parse_time("2026-04-01"), parse_time("2026-05-01")
EVENTS = [event for event in history.made(1, 200) if MONTH_US <= event.occurred_at_us < END_US]
DAMAGED = 150  # files; each is read in four ways
DEEP = 3_000
JSON = ("tags", "quantities", "lines", "context", "parts", "book_lines")


class House(NamedTuple):
    """A folder with one good file, which a test writes anew."""

    folder: MonthFolder
    path: Path

    def listed(self) -> MonthFile:
        """List the file as it is now, its hash and size too, as whoever forged it would."""
        manifest = self.path.parent / "manifest.json"
        tree = json.loads(manifest.read_text())
        content = self.path.read_bytes()
        tree["files"][0] |= {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
        manifest.write_text(json.dumps(tree))
        [file] = self.folder.files()
        return file

    def write(self, columns: dict[str, Any]) -> MonthFile:
        """Write the file with other columns, and list it."""
        table = pq.read_table(self.path)
        for name, values in columns.items():
            table = table.set_column(table.column_names.index(name), SCHEMA.field(name), values)
        pq.write_table(table, self.path, compression="zstd", store_schema=False)
        return self.listed()


@pytest.fixture
def house(tmp_path: Path) -> House:
    """Return a folder with the events of a month."""
    folder = MonthFolder(tmp_path, "test")
    events = sorted(EVENTS, key=lambda event: event.occurred_at_us)
    file = folder.write(MONTH_US, (StoredEvent(event, 1) for event in events), {}, MONTH_US)
    folder.publish(file, [])
    assert folder.faults(file) == []
    return House(folder, tmp_path / file.name)


READERS: dict[str, Callable[[MonthFolder, MonthFile], Any]] = {
    "read": lambda folder, file: list(folder.read(file)),
    "chunks": lambda folder, file: list(folder.chunks(file, 10**9)),
    "of_call": lambda folder, file: list(folder.of_call(file, 10**9, EVENTS[0].event_id)),
    "prices": lambda folder, file: folder.prices(file),
}


def faults(house: House, file: MonthFile) -> str:
    """Return what is wrong with a file; whoever reads it all the same is refused, with nothing but FolderFailed."""
    for read in READERS.values():
        try:
            read(house.folder, file)
        except FolderFailed:
            continue
    return "; ".join(house.folder.faults(file))


def test_more_events_in_a_group_than_are_written(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """A group of millions of equal rows takes no space in a file; it is refused by its number, unread."""
    monkeypatch.setattr(month_files, "GROUP", len(EVENTS) - 1)
    said = f"a group of {len(EVENTS)} events"

    assert said in faults(house, house.listed())
    for read in READERS.values():
        with pytest.raises(FolderFailed, match=said):
            read(house.folder, house.listed())


def test_a_text_that_is_there_a_thousand_times(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """One text of 100 KB, which each event has, is counted as often, before any event has it."""
    monkeypatch.setattr(month_files, "GROUP_BYTES_MAX", 100_000 * (len(EVENTS) - 1))
    reason = pa.array([0] * len(EVENTS)).cast(pa.int32())
    same = pa.DictionaryArray.from_arrays(reason, pa.array(["x" * 100_000]))
    made: list[int] = []
    monkeypatch.setattr(month_files, "from_batch", lambda batch: made.append(len(batch)))
    file = house.write({"reason": same.cast(pa.string())})

    assert house.path.stat().st_size < 100_000
    assert "bytes of text, and pertoken writes at most" in faults(house, file)
    assert made == []


def test_more_bytes_than_are_written(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """A group that says that it unpacks to more than we write is not unpacked."""
    monkeypatch.setattr(month_files, "GROUP_BYTES_MAX", 1_000)

    assert "pertoken writes at most 20,000 and 1,000" in faults(house, house.listed())


@pytest.mark.parametrize(
    "text", ["[" * DEEP, "[" * DEEP + "]" * DEEP, '{"a":' * DEEP, "null", "[]", "{}", "[[]]", '"x"', "1e999", "", "\0"]
)
@pytest.mark.parametrize("name", [field.name for field in SCHEMA if field.type == pa.string() and not field.nullable])
def test_texts_that_are_no_part_of_an_event(house: House, name: str, text: str) -> None:
    """Whatever stands in a column is an event's, or the file is refused."""
    file = house.write({name: pa.array([text] * len(EVENTS))})
    faults(house, file)
    if name in JSON and len(text) >= DEEP:
        with pytest.raises(FolderFailed):
            READERS["read"](house.folder, file)


def test_a_file_of_another_kind(house: House) -> None:
    """Other columns are refused wherever a file is read."""
    pq.write_table(pa.table({"a": [1, 2, 3]}), house.path)
    file = house.listed()

    assert "its columns are those of another version" in faults(house, file)
    for read in READERS.values():
        with pytest.raises(FolderFailed, match="another version"):
            read(house.folder, file)


def flip(content: bytearray, dice: random.Random) -> None:
    """Turn some bits."""
    for _ in range(dice.randint(1, 5)):
        content[dice.randrange(len(content))] ^= 1 << dice.randrange(8)


def spoil_footer(content: bytearray, dice: random.Random) -> None:
    """Change some bytes of what says where everything is."""
    size = int.from_bytes(content[-8:-4], "little")
    for _ in range(dice.randint(1, 4)):
        content[len(content) - 8 - dice.randrange(size)] = dice.randrange(256)


def tear(content: bytearray, dice: random.Random) -> None:
    """Cut the end off."""
    del content[dice.randrange(len(content)) :]


@pytest.mark.parametrize("damage", [flip, spoil_footer, tear])
def test_a_damaged_file_that_is_listed_as_it_is(
    house: House, damage: Callable[[bytearray, random.Random], None]
) -> None:
    """Whatever the bytes are, and although the list has their hash, reading ends in events or in FolderFailed."""
    good, dice = house.path.read_bytes(), random.Random(16)
    for _ in range(DAMAGED):
        content = bytearray(good)
        damage(content, dice)
        house.path.write_bytes(content)
        faults(house, house.listed())
