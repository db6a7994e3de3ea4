import csv
import io
from decimal import Decimal

import pytest

from pertoken.cli.bars import CostBar
from pertoken.cli.tables import print_table, rows_of, write_csv

COLUMNS = {"name": "model", "calls": "calls", "cost": "cost USD"}
ROWS = [
    {"name": "a-model-with-a-long-name of several words", "calls": 1234567, "cost": "12.5"},
    {"name": "b", "calls": 3, "cost": "1234.000075"},
    {"name": "[bold]c[/bold]", "calls": 0, "cost": None},
]
TOTAL = {"name": "total", "calls": 1234570, "cost": "1246.500075"}


def drawn(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], width: int) -> list[str]:
    """Return the lines of a table in a terminal of some width."""
    # Without LINES rich takes a dumb terminal for one of 80 columns.
    for name, value in {"TTY_COMPATIBLE": "1", "TERM": "dumb", "COLUMNS": str(width), "LINES": "25"}.items():
        monkeypatch.setenv(name, value)
    print_table("a title", COLUMNS, ROWS, total=TOTAL, caption="a caption")
    return capsys.readouterr().out.splitlines()


def test_points_stand_under_each_other(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Numbers stand right with thousands separated, amounts with as many decimals as the finest of them."""
    lines = drawn(monkeypatch, capsys, 100)
    amounts = [line.split()[-1] for line in lines if line.split()[-1:] and line.split()[-1][-1].isdigit()]

    assert amounts == ["12.500000", "1,234.000075", "1,246.500075"]
    assert len({len(line.rstrip()) for line in lines if line.rstrip()[-1:].isdigit()}) == 1
    assert any("1,234,567" in line for line in lines)


def test_a_name_of_wide_characters_stays_whole(capsys: pytest.CaptureFixture[str]) -> None:
    """A column is as wide as its names are in a terminal, where East Asian characters take two cells each."""
    print_table("a title", COLUMNS, [{"name": "株式会社さくら", "calls": 1, "cost": "1"}])

    assert "株式会社さくら" in capsys.readouterr().out


def test_amounts_of_lists_are_as_short_as_on_pages(capsys: pytest.CaptureFixture[str]) -> None:
    """Rounded columns have two decimals from 1 up and four significant digits below 1; counts stay as they are."""
    amounts = {
        "1234.000075": "1,234.00",
        "0.00420987654": "0.004210",
        "0": "0",
        "-0.5": "-0.5000",
        12_345: "12,345",
    }
    rows = [{"name": "one", "cost": amount} for amount in [*amounts, None]]
    print_table("a title", {"name": "model", "cost": "cost USD"}, rows, rounded=("cost",))
    said = [line.split()[-1] for line in capsys.readouterr().out.splitlines() if line.split()[:1] == ["one"]]

    assert said == [*amounts.values(), "-"]


@pytest.mark.parametrize("width", [100, 60, 50, 40])
def test_no_number_is_ever_cut(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], width: int) -> None:
    """A narrow terminal makes texts wrap; numbers stay whole, and the table fits."""
    lines = drawn(monkeypatch, capsys, width)

    assert max(map(len, lines)) <= width
    assert "…" not in "".join(lines)
    for number in ("1,234,567", "1,234.000075", "1,246.500075"):
        assert any(number in line for line in lines)


def test_what_is_not_known_is_a_dash_and_text_is_not_markup(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A missing amount is shown as such, and square brackets in a name are shown as they are."""
    (line,) = [line for line in drawn(monkeypatch, capsys, 100) if "[bold]c[/bold]" in line]

    assert line.split()[-1] == "-"


def test_a_file_gets_whole_lines(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """What is piped is not wrapped to the terminal's width."""
    monkeypatch.setenv("COLUMNS", "40")
    print_table("a title", COLUMNS, ROWS)

    assert "a-model-with-a-long-name of several words" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("acme", "acme"), ("", ""), (None, ""), (True, "true"), (1234567, "1234567"), ("-0.5", "-0.5"),
        ("=1+1", "'=1+1"), ("+49 30", "'+49 30"), ("-cmd|' /C calc'!A0", "'-cmd|' /C calc'!A0"), ("@sum", "'@sum"),
        ("\t=1+1", "\\x09=1+1"), ("a\x1b[2Jb", "a\\x1b[2Jb"), ('a,"b"', 'a,"b"'), (["a", 1], '["a",1]'),
    ],
)  # fmt: skip
def test_a_cell_of_csv(capsysbinary: pytest.CaptureFixture[bytes], value: object, shown: str) -> None:
    """A cell holds a value as it is; no text in it is a formula or moves a terminal."""
    write_csv([{"name": value, "next": 1}])
    head, row = csv.reader(io.StringIO(capsysbinary.readouterr().out.decode()))

    assert (head, row) == (["name", "next"], [shown, "1"])


def test_the_rows_of_a_document() -> None:
    """A document's rows are its first list of objects; a list that may be empty stays one; else it is one row."""
    assert rows_of({"a": 1, "rows": [{"x": 1}], "totals": [{"y": 1}]}) == [{"x": 1}]
    assert rows_of({"rows": [], "totals": [{"y": 1}]}) == []
    assert rows_of({"ok": True, "differences": [], "tags": ["a"]}) == [{"ok": True, "differences": [], "tags": ["a"]}]
    assert rows_of([{"x": 1}]) == [{"x": 1}]


CALL = "call_01m8f68zx8n2bygbzckjrmzegn"
WIDE = {"call": "call", "user": "user", "model": "model", "cost": "cost USD"}


@pytest.mark.parametrize(("width", "shown"), [(120, ["call", "user", "model"]), (80, ["call", "model"])])
def test_a_narrow_terminal_has_fewer_columns(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], width: int, shown: list[str]
) -> None:
    """What can be spared is left out where it has no room, and named; the rest is not cut."""
    for name, value in {"TTY_COMPATIBLE": "1", "TERM": "dumb", "COLUMNS": str(width), "LINES": "25"}.items():
        monkeypatch.setenv(name, value)
    row = {"call": CALL, "user": "somebody@example.com", "model": "claude-sonnet-4-5", "cost": "0.00000001"}
    print_table("calls", WIDE, [row], spared=["user"])
    lines = capsys.readouterr().out.splitlines()
    (heading,) = [line for line in lines if "cost USD" in line]

    assert heading.split()[:-2] == shown
    assert any(CALL in line and "claude-sonnet-4-5" in line for line in lines)
    assert ("too narrow for: user; --csv shows all" in "".join(lines)) == ("user" not in shown)
    assert max(map(len, lines)) <= width


def test_an_id_is_never_cut(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """People copy ids into the next command: one stays on its line, however narrow the terminal is."""
    for name, value in {"TTY_COMPATIBLE": "1", "TERM": "dumb", "COLUMNS": "50", "LINES": "25"}.items():
        monkeypatch.setenv(name, value)
    print_table("calls", WIDE, [{"call": CALL, "user": "a" * 30, "model": "m" * 30, "cost": "1"}])

    assert CALL in capsys.readouterr().out


@pytest.mark.parametrize(("width", "longest"), [(40, 3), (80, 43), (200, 60)])
def test_bars_get_the_room_that_is_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], width: int, longest: int
) -> None:
    """A column of bars is as wide as the terminal allows; half the cost has half the bar; figures stay whole."""
    for name, value in {"TTY_COMPATIBLE": "1", "TERM": "dumb", "COLUMNS": str(width), "LINES": "25"}.items():
        monkeypatch.setenv(name, value)
    costs = {"alpha": "1234.567890123456", "beta": "617.283945061728", "gamma": None}
    rows = [
        {"name": name, "calls": 1, "cost": cost, "bar": cost and CostBar(Decimal(cost), Decimal(costs["alpha"] or 0))}
        for name, cost in costs.items()
    ]
    print_table("costs", {**COLUMNS, "bar": ""}, rows, total={"name": "total", "calls": 3, "cost": "0"})
    lines = capsys.readouterr().out.splitlines()
    bars = [sum(line.count(block) for block in "█▌") for line in lines]

    assert max(map(len, lines)) <= width
    assert max(bars) == longest
    [half] = [line for line in lines if "617.28" in line]
    assert half.rstrip().endswith("█" * (longest // 2) + "▌" * (longest % 2))
    assert all(any(f"{Decimal(cost):,}" in line for line in lines) for cost in costs.values() if cost)


def test_bars_are_plain_where_the_output_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """An output that has no blocks gets bars of #."""
    written = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(written, "ascii", write_through=True))
    print_table("costs", {"name": "model", "bar": ""}, [{"name": "a", "bar": CostBar(Decimal(1), Decimal(1))}])

    assert b"a" in written.getvalue()
    assert b"#" * 60 in written.getvalue()
