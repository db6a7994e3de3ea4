import pytest

from pertoken.cli.tables import print_table

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
