"""What setting one budget reads on the control plane."""

from typing import Any

import pytest
from tests.api.conftest import Api, fresh

from pertoken.store.archive import Archive

MANY = 12


def test_setting_a_budget_reads_that_budget_alone(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """A budget is set without a sum of usage, and no other budget's counters are read, however many there are."""
    name = fresh("budget")
    for at in range(MANY):
        assert (
            api("PUT", f"/api/v1/budgets/{name}-{at}", {"limit": "5", "each": "key", "scope": {"team": name}}).status
            == 200
        )
    summed: list[Any] = []
    windows: list[Any] = []
    sums, counters_in = Archive.sums, Archive.counters_in
    monkeypatch.setattr(Archive, "sums", lambda self, *asked: summed.append(asked) or sums(self, *asked))
    monkeypatch.setattr(Archive, "counters_in", lambda self, asked: windows.extend(asked) or counters_in(self, asked))

    made = api("PUT", f"/api/v1/budgets/{name}-0", {"limit": "6", "each": "key", "scope": {"team": name}}).json

    assert (summed, {budget_id for budget_id, _ in windows}) == ([], {made["id"]})
    assert len(windows) == 1, "what a change is about to change is read without its standing"
    assert (made["limit"], made["standing"]) == ("6", [])
    [row] = api("PUT", f"/api/v1/budgets/{name}-all", {"limit": "6", "scope": {"team": name}}).json["standing"]
    assert (row["name"], row["spent"], row["limit"]) == (f"{name}-all", "0", "6")


def test_the_record_of_a_change_has_what_was_before(api: Api) -> None:
    """The record of a change has the budget's limit before and after."""
    name = fresh("budget")
    for limit in ("5", "7"):
        api("PUT", f"/api/v1/budgets/{name}", {"limit": limit, "scope": {"team": name}})

    [newest] = api("GET", "/api/v1/audit", query={"limit": "1"}).json["changes"]

    assert (newest["before"]["limit"], newest["after"]["limit"]) == ("5", "7")


def test_one_budget_of_many_is_told_alone(api: Api) -> None:
    """Asked for one budget, its state is that of the list of all budgets."""
    name = fresh("budget")
    api("PUT", f"/api/v1/budgets/{name}", {"limit": "5", "scope": {"team": name}})
    api("PUT", f"/api/v1/budgets/{name}-other", {"limit": "9", "scope": {"team": name}})

    rows = api("GET", "/api/v1/budgets", query={"limit": "1000"}).json["budgets"]

    assert api("GET", f"/api/v1/budgets/{name}").json["standing"] == [row for row in rows if row["name"] == name]
