"""Progress bars: on a terminal, after two seconds by a clock that the test moves, never on stdout."""

import gzip
import io
import json
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.live import _RefreshThread
from tests.cli.conftest import Pertoken, WriteLines
from tests.factories import event_line as event

from pertoken.cli import progress, progress_bar
from pertoken.cli.progress import WAIT_S, Progress
from pertoken.cli.usage_logs import open_log, read_so_far


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """Say so."""
        return True


class Waiting:
    """A timer whose time a test decides."""

    daemon = False

    def __init__(self, seconds: float, call: Callable[[], None]) -> None:
        self.seconds, self.call = seconds, call
        self.is_waiting = False

    def start(self) -> None:
        """Begin to wait."""
        self.is_waiting = True

    def cancel(self) -> None:
        """Do not call it any more."""
        self.is_waiting = False


class Clock:
    """Makes timers; when the time is over, what waits is called."""

    def __init__(self) -> None:
        self.timers: list[Waiting] = []

    def __call__(self, seconds: float, call: Callable[[], None]) -> Waiting:
        """Make a timer."""
        self.timers.append(Waiting(seconds, call))
        return self.timers[-1]

    def pass_time(self) -> None:
        """Let the time of all timers pass."""
        for timer in self.timers:
            if timer.is_waiting:
                timer.is_waiting = False
                timer.call()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Return a clock, on a terminal on which a bar can be drawn."""
    for name, value in {"TERM": "xterm", "COLUMNS": "100", "LINES": "25"}.items():
        monkeypatch.setenv(name, value)
    return Clock()


def test_nothing_is_shown_before_two_seconds(clock: Clock) -> None:
    """What ends before writes nothing at all, and the timer is cancelled."""
    terminal = Terminal()
    with Progress("reading", 10, stream=terminal, timer=clock) as reading:
        assert list(reading.over(range(10))) == list(range(10))
        assert [(timer.seconds, timer.is_waiting) for timer in clock.timers] == [(WAIT_S, True)]
        assert terminal.getvalue() == ""
    clock.pass_time()

    assert (WAIT_S, reading.done, terminal.getvalue()) == (2.0, 10, "")


def test_a_timer_that_fires_at_the_end_shows_nothing(clock: Clock) -> None:
    """A timer that could not be cancelled in time finds that all is over."""
    terminal = Terminal()
    with Progress("reading", stream=terminal, timer=clock):
        pass
    clock.timers[0].call()

    assert terminal.getvalue() == ""


def test_then_it_says_how_far_it_is(clock: Clock) -> None:
    """It says what is done and which part of it, with another step as well, and is gone at the end."""
    terminal = Terminal()
    with Progress("reading \x1b[2J[bold]x", 8, stream=terminal, timer=clock) as reading:
        reading.add(2)
        clock.pass_time()
        assert is_drawing()
        assert "reading \\x1b[2J[bold]x" in terminal.getvalue()
        assert "25%" in terminal.getvalue()
        reading.begin("writing")
        reading.add(1_234)
        with reading.aside():
            before = len(terminal.getvalue())
            terminal.write("|")
            assert terminal.getvalue()[before:] == "|"
        assert "writing" in terminal.getvalue()
        assert "1,234" in terminal.getvalue()
    written = terminal.getvalue()

    assert written.endswith("\x1b[?25h\r\x1b[1A\x1b[2K")  # the cursor is back, the line is gone
    assert "\x1b[2J" not in written
    assert not is_drawing()


@pytest.mark.parametrize("term", ["dumb", "unknown"])
def test_a_terminal_that_cannot_draw_gets_nothing(clock: Clock, monkeypatch: pytest.MonkeyPatch, term: str) -> None:
    """A terminal without movements of the cursor gets no bar."""
    monkeypatch.setenv("TERM", term)
    terminal = Terminal()
    with Progress("reading", stream=terminal, timer=clock):
        clock.pass_time()

    assert terminal.getvalue() == ""


def test_what_is_no_terminal_gets_nothing(clock: Clock) -> None:
    """A file or a pipe gets no bar, and no timer is started."""
    with Progress("reading", stream=io.StringIO(), timer=clock) as reading:
        reading.add()

    assert clock.timers == []


def test_a_failure_takes_the_bar_away(clock: Clock) -> None:
    """A command that is interrupted leaves the terminal as it was."""
    terminal = Terminal()

    def interrupted() -> None:
        with Progress("reading", stream=terminal, timer=clock):
            clock.pass_time()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()

    assert terminal.getvalue().endswith("\x1b[2K")
    assert terminal.getvalue().count("\x1b[?25l") == terminal.getvalue().count("\x1b[?25h") == 1


@pytest.mark.parametrize("name", ["log.jsonl", "log.jsonl.gz"])
def test_a_log_says_how_much_of_it_was_read(tmp_path: Path, name: str) -> None:
    """At its end all bytes of the file are read, those of a packed one as they are packed."""
    path = tmp_path / name
    content = b"".join(b"line %d\n" % number for number in range(100_000))
    path.write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    with open_log(path) as log:
        log.readline()
        begun = read_so_far(log)
        assert log.read() == content[7:]
        ended = read_so_far(log)

    assert 0 < begun < ended == path.stat().st_size


def is_drawing() -> bool:
    """Tell whether a thread still draws."""
    drawing = [thread for thread in threading.enumerate() if isinstance(thread, _RefreshThread)]
    return any(not thread.done.is_set() for thread in drawing)


class Seen:
    """What commands asked bars to show, with a terminal on stderr whose two seconds are over at once."""

    def __init__(self) -> None:
        self.steps: list[tuple[str, int | None]] = []
        self.done: dict[str, int] = {}


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Iterator[Seen]:
    """Let each command show its bar from the start, and note what it says."""
    noted = Seen()
    make, enter, leave, begin = Progress.__init__, Progress.__enter__, Progress.__exit__, Progress.begin
    monkeypatch.setenv("TERM", "xterm")
    clock = Clock()

    def note(of: Progress) -> None:
        noted.done[of.doing] = of.done

    def made(of: Progress, doing: str, total: int | None = None) -> None:
        make(of, doing, total, stream=Terminal(), timer=clock)

    def entered(of: Progress) -> Progress:
        enter(of)
        noted.steps.append((of.doing, of.total))
        clock.pass_time()
        assert is_drawing()
        return of

    def begun(of: Progress, doing: str, total: int | None = None) -> None:
        note(of)
        noted.steps.append((doing, total))
        begin(of, doing, total)

    def left(of: Progress, *why: Any) -> None:
        note(of)
        leave(of, *why)

    monkeypatch.setattr(Progress, "__init__", made)
    monkeypatch.setattr(Progress, "__enter__", entered)
    monkeypatch.setattr(Progress, "__exit__", left)
    monkeypatch.setattr(Progress, "begin", begun)
    yield noted
    assert not is_drawing()


def test_each_long_command_has_one(pertoken: Pertoken, write_lines: WriteLines, tmp_path: Path, seen: Seen) -> None:
    """ingest, verify, archive out and in, rerate and price import say what they do; stdout is what it is without."""
    folder = str(tmp_path / "files")
    path = write_lines(event("old", "2026-03-05T10:00:00Z"), event("a"), event("b", provider="acme", model="m"))
    assert pertoken.json("ingest", path)["accepted"] == 3
    assert seen.done == {"reading events.jsonl": Path(path).stat().st_size}
    assert pertoken.json("verify")["ok"]
    assert seen.steps[-3:] == [("checking the database", None), ("checking events", 3), ("checking postings", None)]
    assert (seen.done["checking events"], seen.done["checking postings"]) == (3, 2)
    assert pertoken("archive", "--before", "2026-05", "--to", folder).stdout.startswith("2026-03.parquet: 1 events")
    assert (seen.steps[-1], seen.done["archiving events"]) == (("archiving events", None), 1)
    assert "no fault" in pertoken("archive", "verify", folder).stdout
    assert seen.steps[-1] == ("checking the files", None)
    assert "2026-03.parquet: 1 events brought back" in pertoken("archive", "import", folder).stdout
    assert seen.done["bringing events back"] == 1
    pertoken("price", "add", "--provider", "acme", "--model", "m", "--input", "3", "--from", "2026-01-01")
    assert pertoken.json("rerate", "--from", "2026-01-01")["corrections"] == 1
    assert seen.steps[-2:] == [("rating events again", None), ("writing corrections", 1)]
    assert seen.done["rating events again"] == 3
    assert json.loads(pertoken("price", "import", "rules", "--json").stdout)["source"] == "rules"
    assert seen.steps[-1] == ("importing prices from rules", None)


def test_bars_are_drawn_by_a_module_of_their_own() -> None:
    """What every command imports does not load what draws: that takes longer than many commands."""
    source = Path(progress.__file__).read_text()

    assert re.findall(r"^(?:from|import) (?:rich|pertoken\.cli\.progress_bar)", source, re.MULTILINE) == []
    assert "rich" in Path(progress_bar.__file__).read_text()
