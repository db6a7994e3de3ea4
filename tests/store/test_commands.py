"""What is kept as lines is read back as it was, also from earlier versions and where the classes are compiled."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
from tests.factories import hold, settle, with_own

import pertoken
from pertoken.core.budgets import Attribution
from pertoken.core.claims import Claim, Outcome
from pertoken.core.commands import Settle, Void
from pertoken.core.events import GATEWAY, NOT_TIMED, Event, EventStatus, OfCall, Timeline
from pertoken.core.holds import Hold
from pertoken.core.provider_errors import ErrorKind
from pertoken.core.trust import Disagreement, Measured
from pertoken.core.usage import Completeness
from pertoken.store import credit, owed
from pertoken.store.commands import UNREADABLE, as_object, read_hold, read_settle, read_void

LINES = Path(__file__).parent / "data" / "lines"  # written by this version and by earlier ones, each by its own code
T_US = 1_764_000_000_000_000
WHO = Attribution(
    "key_1", "growth", "ada", None, "openai", "gpt-4o-mini", (("env", "test"), ("feature", "chat")), "conv_1"
)
OWN = OfCall(
    10**10, 0, late=True, changed="output_max=9", timeline=Timeline(1, 2, None, 4), attempts=2, error=ErrorKind.CUT
)
EVENT = Event(
    GATEWAY, "call_1", WHO, T_US, T_US + 1, T_US, EventStatus.PRICED, Completeness.FINAL,
    {"input_tokens": 10, "output_tokens": 5}, "USD", 5 * 10**9, None, (("input_tokens", 10, "pr_1", 5 * 10**9),), OWN,
    "gpt-4o-mini-2", "default", "r_1", b"\x00\xff", "why", (("batch", "true"),), "gpt-4o",
    (("m", {"input_tokens": 1}),), (("requests", 1, "pr_2", 2),),
)  # fmt: skip
FULL = Settle(
    "call_1",
    EVENT,
    Claim("key_1", "name", b"\xff"),
    Outcome(200, ((b"a", b"\xfe"),), b"\xfd", stream=True),
    Disagreement("openai", "m", Measured(1, 2, 3), 4),
)
VOID = Void("call_3", WHO, T_US, ErrorKind.RATE_LIMITED)


def through(value: Hold | Settle | Void) -> Any:
    """Return what the line of a command says, read as JSON."""
    return msgspec.json.decode(msgspec.json.encode(as_object(value)))


def told_by(version: str) -> Settle:
    """Return the full settlement as far as a version knew it."""
    if version == "with_errors":
        return FULL
    event = EVENT._replace(of=OWN._replace(error=None))
    if version in {"by_name", "by_place", "before_kinds"}:
        return FULL._replace(event=event)
    event = EVENT._replace(of=OWN._replace(timeline=NOT_TIMED, attempts=0, error=None))
    event = event if version == "before_timeline" else event._replace(book_lines=())
    return FULL._replace(event=event, disagreement=None)


def plain(of: Settle, picos: int) -> Settle:
    """Return the second settlement of the files: of another call and amount, which nobody named."""
    lines = (("input_tokens", 10, "pr_1", picos),)
    event = with_own(of.event, overrun_picos=picos - 10**10)
    return Settle("call_2", event._replace(event_id="call_2", cost_picos=picos, lines=lines))


@pytest.mark.parametrize("path", sorted(LINES.glob("*.owed")), ids=lambda path: path.stem)
def test_what_any_version_owed_is_read(path: Path) -> None:
    """No settlement or void that a version wrote is lost, and no digit of it is another."""
    full = told_by(path.stem)
    owing, unreadable = owed.read(path)

    assert unreadable == []
    assert owing == {
        "call_1": owed.Owing(full, "a rule of the table", parked=True),
        "call_2": owed.Owing(plain(full, 10**40), "the disk is full", parked=False),
        "call_3": owed.Owing(
            VOID if path.stem == "with_errors" else VOID._replace(error=None), "the disk is full", parked=False
        ),
    }


@pytest.mark.parametrize("path", sorted(LINES.glob("*.credit")), ids=lambda path: path.stem)
def test_what_any_version_served_on_credit_is_read(path: Path) -> None:
    """Every call that a version served on credit is known: with its settlement, or as one without."""
    full = told_by(path.stem)
    picos = 3 * 10**10 if path.stem == "before_book_lines" else 10**40

    assert credit.read(path) == ([full, plain(full, picos)], ["call_4"], [])


def test_this_version_writes_as_its_file_says(tmp_path: Path) -> None:
    """The lines of the file are those that are written now: another form needs another file."""
    line = owed.Owed(tmp_path, "with_errors")
    line.keep(FULL, "a rule of the table", parked=True)
    line.close()

    assert (LINES / "with_errors.owed").read_bytes().startswith((tmp_path / "with_errors.owed").read_bytes())


def test_commands_come_back_as_they_were() -> None:
    """A hold, a void and a settlement with all that it may have, amounts of any size among it, survive being a line."""
    one = hold("call_1")
    full = FULL._replace(event=with_own(EVENT._replace(cost_picos=10**40, price_picos=10**41), overrun_picos=10**39))

    assert read_hold(through(one)) == one
    assert read_settle(through(settle(one))) == settle(one)
    assert read_settle(through(full)) == full
    assert read_void(through(VOID)) == VOID


DEFAULTS = [
    *(("event", name, Event._field_defaults[name]) for name in Event._field_defaults),
    *(("event", name, OfCall._field_defaults[name]) for name in OfCall._fields if name != "timeline"),
    *(("event", name, None) for name in Timeline._fields),
    *(("event", name, Attribution._field_defaults[name]) for name in Attribution._fields),
    *(("", name, None) for name in ("claim", "outcome", "disagreement")),
]


def value_of(command: Settle, name: str) -> object:
    """Return what a settlement has under a name, whichever of its records has it."""
    records: tuple[Any, ...] = (command, command.event, command.event.attribution, command.event.of)
    for record in (*records, records[-1].timeline):
        if name in record._fields:
            return getattr(record, name)
    raise KeyError(name)


@pytest.mark.parametrize(("within", "name", "default"), DEFAULTS)
def test_a_field_that_was_not_written_is_its_default(within: str, name: str, default: object) -> None:
    """A line from before a field was there is read, with the default of that field and all else as it is."""
    row = through(FULL)
    del (row[within] if within else row)[name]
    read = read_settle(row)
    now, then = through(FULL), through(read)
    for one in (now, then):
        del (one[within] if within else one)[name]

    assert value_of(read, name) == default
    assert then == now


@pytest.mark.parametrize("within", ["", "event", "claim", "outcome", "disagreement"])
def test_a_field_of_a_newer_version_is_refused(within: str) -> None:
    """What this version does not know may be money: the line is not read without it, and the reason names it."""
    row = through(FULL)
    (row[within] if within else row)["paid_by"] = None

    with pytest.raises(ValueError, match=r"written by a newer version of pertoken: .* has no paid_by"):
        read_settle(row)


@pytest.mark.parametrize("name", ["source", "cost_picos", "occurred_at_us", "price_picos", "lines"])
def test_an_event_without_what_has_no_default_is_refused(name: str) -> None:
    """No amount, time or identity is made up."""
    row = through(FULL)
    del row["event"][name]

    with pytest.raises(UNREADABLE):
        read_settle(row)


def test_a_line_of_a_newer_version_is_kept(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A file with such a line is set aside whole, the log says why, and the lines around it are still owed."""
    one = settle(hold("call_1"))
    newer = owed.Owed(tmp_path, "newer")
    newer.keep(one, "the disk is full")
    newer.close()
    path = tmp_path / "newer.owed"
    row = as_object(settle(hold("call_2")))
    path.write_bytes(path.read_bytes() + msgspec.json.encode({"settle": {**row, "paid_by": "card"}}) + b"\n")
    text = path.read_bytes()
    taking = owed.Owed(tmp_path, "taking")
    taking.take_over()

    assert taking.due(0) == [one]
    assert [(kept.name, kept.read_bytes()) for kept in taking.unreadable] == [("newer.owed.unreadable", text)]
    assert "line 2 of" in caplog.text
    assert "written by a newer version of pertoken: Settle has no paid_by" in caplog.text
    taking.close()


class Change(NamedTuple):
    """A line of the program, and what stands for it in a copy whose events have a field more."""

    path: str
    line: str
    becomes: str


BOOK_LINES = "    book_lines: Lines = ()  # where the provider's own statement is charged: what the price book says\n"
ENTRY = '    EventValue(OfCall, "attempts", COUNT, nullable=True, since=3, absent=0),\n'
COLUMN = '    sa.Column("book_lines"'
MADE_UP = (
    Change("core/events.py", BOOK_LINES, BOOK_LINES + '    made_up: str = "as before"\n'),
    Change("store/event_columns.py", ENTRY, ENTRY + '    EventValue(Event, "made_up", TEXT, since=4),\n'),
    Change("store/schema.py", COLUMN, '    sa.Column("made_up", sa.String),\n' + COLUMN),
)
SCENE = """
import sys
from pathlib import Path
from pertoken.store import credit, owed
for path in sorted(Path(sys.argv[1]).iterdir()):
    if path.suffix == ".owed":
        owing, unreadable = owed.read(path)
        commands = [one.command for one in owing.values() if hasattr(one.command, "event")]
    else:
        commands, _, unreadable = credit.read(path)
    assert unreadable == [], path
    print(path.name, [(one.event.made_up, str(one.event.cost_picos)) for one in commands])
"""


def test_an_upgrade_that_adds_a_field_strands_no_settlement(tmp_path: Path) -> None:
    """A copy of the program whose events have a field more reads every line that was written without it."""
    copy = tmp_path / "pertoken"
    shutil.copytree(Path(pertoken.__file__).parent, copy, ignore=shutil.ignore_patterns("__pycache__", "*.so"))
    for path, line, becomes in MADE_UP:
        text = (copy / path).read_text()
        assert text.count(line) == 1, (path, line)
        (copy / path).write_text(text.replace(line, becomes))
    done = subprocess.run(
        [sys.executable, "-c", SCENE, str(LINES)],
        env={**os.environ, "PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    last = {"before_book_lines.credit": 3 * 10**10}

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        f"{path.name} {[('as before', str(5 * 10**9)), ('as before', str(last.get(path.name, 10**40)))]}"
        for path in sorted(LINES.iterdir())
    ]


@pytest.mark.parametrize("row", [None, [], ["call_1"], ["call_1", ["gateway"], None, None, None], {}, "text", 1])
def test_what_is_no_command_is_refused(row: object) -> None:
    """A line of another shape raises one of the errors that its readers know."""
    with pytest.raises(UNREADABLE):
        read_settle(row)


def test_a_settlement_without_an_event_is_refused() -> None:
    """What a call cost is in its event."""
    with pytest.raises(UNREADABLE):
        read_settle({**through(FULL), "event": None})
