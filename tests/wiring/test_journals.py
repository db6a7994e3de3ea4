from pathlib import Path

import pytest
from tests.factories import hold, settle

from pertoken.settings import Settings, load
from pertoken.wiring.journals import Unreadable, Waiting, make_credit_line, make_owed, read_unreadable, read_waiting
from pertoken.wiring.paths import credit_folder, owed_folder


@pytest.mark.parametrize("parked", [False, True])
def test_what_waits_is_read(settings: Settings, parked: bool) -> None:
    """A settlement that a process owes is told with its file, hold, provider and reason, until it is posted."""
    owed = make_owed(settings, "host:1")
    one = settle(hold("call_1"))
    owed.keep(one, "a rule of the table", parked)
    [path] = owed_folder(settings).iterdir()

    assert read_waiting(settings) == [Waiting(path, "call_1", "openai", "a rule of the table", parked)]
    owed.posted([one])
    assert read_waiting(settings) == []


def test_nothing_waits_where_nothing_was_kept(settings: Settings) -> None:
    """Where there is no folder yet, nothing waits and nothing is unreadable."""
    assert read_waiting(settings) == []
    assert list(read_unreadable(settings)) == []


def test_lines_that_cannot_be_read_are_numbered(settings: Settings) -> None:
    """A file that was set aside is told with the numbers of its bad lines, what is owed first."""
    paths = []
    for folder, name in ((owed_folder(settings), "a.owed"), (credit_folder(settings), "b.credit")):
        folder.mkdir()
        path = folder / f"{name}.unreadable"
        path.write_bytes(b"\ngarbage\n{}\n")
        paths.append(path)

    assert list(read_unreadable(settings)) == [Unreadable(path, [2, 3]) for path in paths]


def test_credit_is_given_by_the_settings_alone(tmp_path: Path) -> None:
    """There is a line of credit where the settings give one, of so many picos, and else none."""
    url = {"PERTOKEN_DATABASE_URL": f"sqlite:///{tmp_path}/pertoken.db"}
    path = tmp_path / "pertoken.yaml"
    path.write_text("limits:\n  credit: '2.5'\n")
    line = make_credit_line(load(url, str(path)), "host:1")

    assert make_credit_line(load(url), "host:1") is None
    assert line is not None
    assert line.left_picos == 25 * 10**11
