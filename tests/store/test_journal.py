"""Files of lines: what was written whole is read again, once, and by one process."""

import os
import resource
from pathlib import Path

import pytest

from pertoken.store.journal import UNREADABLE_END, Journal, all_set_aside, set_aside, whole_lines

LINES = [b'{"cost":120}', b'{"cost":7}', b"any \xff byte"]


def written(folder: Path, owner: str = "host:1", kind: str = "owed") -> Journal:
    """Return a journal with lines."""
    journal = Journal(folder, owner, kind)
    assert all(journal.append(line) for line in LINES)
    return journal


def taken(journal: Journal) -> list[Path]:
    """Return the files that a process takes over, and let them go."""
    found = []
    for file, path in journal.take_over():
        found.append(path)
        os.close(file)
    return found


def test_lines_come_back_in_order(tmp_path: Path) -> None:
    """The file is made with its first line, for its owner alone, and its lines come back with their numbers."""
    folder = tmp_path / "state"
    Journal(folder, "host:2", "owed").close()
    assert not folder.exists()
    journal = written(folder)

    assert list(whole_lines(journal.path)) == list(enumerate(LINES, 1))
    assert journal.path.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in folder.iterdir()] == ["host-1.owed"]
    journal.remove()
    assert list(folder.iterdir()) == []


def test_only_files_of_dead_processes_are_taken_over(tmp_path: Path) -> None:
    """A file is its process' own while that lives, and free once it is let go; other kinds are left alone."""
    alive, dead, other = written(tmp_path, "a"), written(tmp_path, "b"), written(tmp_path, "c", "events")
    dead.close()
    other.close()
    new = Journal(tmp_path, "d", "owed")

    assert taken(new) == [dead.path]
    alive.close()
    assert taken(new) == [alive.path, dead.path]


def test_a_line_that_changed_comes_as_an_empty_one(tmp_path: Path) -> None:
    """A line with any byte changed is not read as what it says now; the lines around it are, and those without sum."""
    journal = written(tmp_path)
    journal.close()
    text = journal.path.read_bytes()
    for at in range(len(text.split(b"\n")[0])):
        changed = b"9" if text[at : at + 1] != b"9" else b"8"
        journal.path.write_bytes(text[:at] + changed + text[at + 1 :])
        assert list(whole_lines(journal.path)) == [(1, b""), (2, LINES[1]), (3, LINES[2])]
    journal.path.write_bytes(b'{"cost":1}\n\n' + text)

    assert list(whole_lines(journal.path)) == [(1, b'{"cost":1}'), *enumerate(LINES, 3)]


def test_a_line_that_was_cut_off_is_ignored(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Wherever the last line ends before its line end, the others are read and the log says what was ignored."""
    journal = written(tmp_path)
    journal.close()
    text = journal.path.read_bytes()
    for end in range(text[:-1].rindex(b"\n") + 2, len(text)):
        journal.path.write_bytes(text[:end])
        caplog.clear()
        assert list(whole_lines(journal.path)) == list(enumerate(LINES[:-1], 1))
        assert "host-1.owed is incomplete and was ignored" in caplog.text


def test_a_line_that_does_not_fit_leaves_no_trace(tmp_path: Path) -> None:
    """Where the system takes a part of a line only, or none of it, the file stays as it was and takes the next line."""
    journal = written(tmp_path)
    size = journal.path.stat().st_size
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 5, before[1]))
    try:
        whole = journal.append(b"long line")
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
        with pytest.raises(OSError, match="too large"):
            journal.append(b"long line")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)

    assert not whole
    assert journal.path.stat().st_size == size
    assert journal.append(b"next")
    assert list(whole_lines(journal.path)) == list(enumerate([*LINES, b"next"], 1))
    journal.close()


def test_a_file_set_aside_is_kept(tmp_path: Path) -> None:
    """It is listed and whole under its new name, and nobody takes it over any more."""
    journal = written(tmp_path)
    journal.close()
    text = journal.path.read_bytes()
    set_aside(journal.path)
    [kept] = all_set_aside(tmp_path, "owed")

    assert kept.name == "host-1.owed" + UNREADABLE_END
    assert kept.read_bytes() == text
    assert all_set_aside(tmp_path, "events") == []
    assert taken(Journal(tmp_path, "new", "owed")) == []
