"""What holds and events are to budgets, by axis."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.factories import event, hold

import pertoken
from pertoken.core.axes import AXES, Needs, currency_in, written
from pertoken.core.budgets import Axis, Budget
from pertoken.core.events import OfCorrection
from pertoken.core.periods import Window
from pertoken.core.reporting import event_sums

ROOT = Path(__file__).parents[2]
SOURCE = Path(pertoken.__file__).parent
SCENE = Path(__file__).parent / "made_up" / "scene.py"
# A made-up axis: what is put in the two files, and before which text of theirs.
MEMBER = ("\n\nDEFAULT_AXIS", '    WEIGHT = "weight"\n')
CLASS = (
    "AXES: Final",
    """class _Weight(AxisRow):
    def needed(self, needs: Needs, budget: Budget) -> int:
        return needs.tokens + 1_000 * needs.calls

    def held(self, hold: Hold, budget: Budget) -> int:
        return hold.tokens + 1_000

    def spent(self, event: Event, budget: Budget) -> int:
        return tokens_total(event.quantities) + (0 if is_correction(event) else 1_000)

    def spent_of_sums(self, sums: Sequence[int], currency: str, budget: Budget) -> int:
        return sums[_INPUT] + sums[_OUTPUT] + 1_000 * sums[_CALLS]


""",
)
ROW = (
    "}\n\nassert AXES",
    '    Axis.WEIGHT: _Weight("grams", is_money=False, is_gauge=False, shrinks=True, gets_cheaper=False),\n',
)

HOLD = hold("call_1")._replace(amount_picos=70, tokens=30)
EVENT = event(HOLD, 50)._replace(quantities={"input_tokens": 20, "output_tokens": 4})
CORRECTION = EVENT._replace(of=OfCorrection("call_1"), quantities={}, cost_picos=-5)
NEEDS = Needs(70, "USD", 30, 1)

# axis, currency of the budget; then what is needed by a hold, held, spent by an event, and spent by a correction
CASES = [
    (Axis.MONEY, "USD", 70, 70, 50, -5),
    (Axis.MONEY, "EUR", 0, 0, 0, 0),
    (Axis.TOKENS, "USD", 30, 30, 24, 0),
    (Axis.REQUESTS, "USD", 1, 1, 1, 0),
    (Axis.CONCURRENT, "USD", 1, 1, 0, 0),
]


@pytest.mark.parametrize(("axis", "currency", "need", "held", "spent", "corrected"), CASES)
def test_each_axis_counts_its_own(axis: Axis, currency: str, need: int, held: int, spent: int, corrected: int) -> None:
    """A budget counts of a hold, an event and a correction what its axis is about, and money in its own currency."""
    budget, row = Budget("b", "b", axis, 1_000, Window.TOTAL, currency=currency), AXES[axis]

    assert row.needed(NEEDS, budget) == need
    assert row.held(HOLD, budget) == held
    assert [row.spent(one, budget) for one in (EVENT, CORRECTION)] == [spent, corrected]


@pytest.mark.parametrize("axis", Axis)
def test_sums_spend_what_their_events_do(axis: Axis) -> None:
    """What events spend together is what their sums spend, on every axis and for every budget's currency."""
    together = [sum(parts) for parts in zip(*map(event_sums, (EVENT, CORRECTION)), strict=True)]
    for currency in ("USD", "EUR"):
        budget = Budget("b", "b", axis, 1_000, Window.TOTAL, currency=currency)
        spent = AXES[axis].spent
        assert AXES[axis].spent_of_sums(together, "USD", budget) == spent(EVENT, budget) + spent(CORRECTION, budget)


def test_every_axis_is_tried() -> None:
    """An axis that is new is missing in the cases above until it is written down."""
    assert {case[0] for case in CASES} == set(Axis)


@pytest.mark.parametrize("axis", Axis)
def test_a_row_does_not_contradict_itself(axis: Axis) -> None:
    """A smaller or cheaper call needs less where the row says so, and nowhere else; a gauge spends nothing."""
    budget, row = Budget("b", "b", axis, 1_000, Window.TOTAL), AXES[axis]
    need, spent = row.needed(NEEDS, budget), row.spent(EVENT, budget)

    assert row.shrinks == (row.needed(NEEDS._replace(money_picos=35, tokens=15), budget) < need)
    assert row.gets_cheaper == (row.needed(NEEDS._replace(money_picos=35), budget) < need)
    assert row.is_money == (row.needed(NEEDS._replace(currency="EUR"), budget) < need)
    assert row.is_gauge == (spent == 0)
    assert row.held(HOLD, budget) == need


@pytest.mark.parametrize("axis", Axis)
def test_amounts_are_written_as_the_axis_counts(axis: Axis) -> None:
    """Money is a decimal text in the budget's currency; anything else is a number without one."""
    budget, is_money = Budget("b", "b", axis, 25 * 10**11, Window.TOTAL), axis is Axis.MONEY

    assert written(budget.limit, budget) == ("2.5" if is_money else 25 * 10**11)
    assert currency_in(budget) == ("USD" if is_money else None)


def test_only_the_table_tells_axes_apart() -> None:
    """No other module names an axis, but for the default, or compares one with a text."""
    members = "|".join(axis.name for axis in Axis)
    named = re.compile(rf"\bAxis\.(?:{members})\b|axis(?:[\"']\])? [!=]= [\"']")
    found = {path.relative_to(SOURCE).as_posix(): named.findall(path.read_text()) for path in SOURCE.rglob("*.py")}
    table = found.pop("core/axes.py")

    assert sorted(table) == sorted(f"Axis.{axis.name}" for axis in Axis)
    assert {path: names for path, names in found.items() if names} == {"core/budgets.py": ["Axis.MONEY"]}


def a_copy(folder: Path, changes: dict[str, tuple[tuple[str, str], ...]]) -> Path:
    """Return a copy of the program with texts put in before others."""
    copy = folder / "pertoken"
    shutil.copytree(SOURCE, copy, ignore=shutil.ignore_patterns("*.so"))
    for path, inserted in changes.items():
        for before, text in inserted:
            old = (copy / path).read_text()
            assert old.count(before) == 1, (path, before)
            (copy / path).write_text(old.replace(before, text + before))
    return copy


def run(copy: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run Python on a copy."""
    environ = {**os.environ, "PYTHONPATH": f"{copy.parent}{os.pathsep}{ROOT}", "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, *words], cwd=copy.parent, env=environ, capture_output=True, text=True, check=False, timeout=120
    )


def test_an_axis_without_a_row_does_not_start(tmp_path: Path) -> None:
    """A member of `Axis` that the table does not have stops the program, which names it."""
    done = run(a_copy(tmp_path, {"core/budgets.py": (MEMBER,)}), "-c", "import pertoken.core.axes")

    assert done.returncode == 1
    assert "AssertionError: no row for: weight" in done.stderr


def test_a_new_axis_is_a_member_and_a_row(tmp_path: Path) -> None:
    """With two files changed a budget on a new axis is set, held against, full, settled, shown and verified."""
    copy = a_copy(tmp_path, {"core/budgets.py": (MEMBER,), "core/axes.py": (CLASS, ROW)})
    done = run(copy, str(SCENE))
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    listed, page = found["pages"]
    (shown,) = found["status"]["budgets"]
    figures = [
        [row[name] for name in ("axis", "limit", "spent", "held", "remaining")] for row in (found["full"], shown)
    ]

    assert Path(found["source"]).parent == copy
    assert found["made"] == [200, "weight", 2_500]
    assert found["held"] == ["Held", "Held"]
    assert figures == [["weight", 2_500, 0, 1_500, 1_000], ["weight", 2_500, 1_024, 1_001, 475]]
    assert "of 2500 grams in total has not enough left: 0 grams spent, 1500 grams held" in found["refusal"]
    assert "this call needs up to 1001 grams" in found["refusal"]
    assert found["may_shrink"]
    assert found["capped"] == 1_400  # of 2,500 left; the call weighs 1,000, and its input 100
    assert "weight" in found["table"]
    assert "2,500</span> grams in total" in listed
    assert '<option value="weight" selected>' in page
    assert found["differences"] == []
