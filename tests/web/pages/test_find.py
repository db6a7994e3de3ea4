"""Find: what it reads for what is typed."""

from typing import Any

import pytest
from tests.web import made
from tests.web.conftest import Browser
from tests.web.made import fresh

from pertoken.store.archive import Archive
from pertoken.web.pages import find


@pytest.fixture
def summed(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Return the dimensions that usage is summed by, as it happens."""
    asked: list[Any] = []
    sums = Archive.sums

    def counted(self: Archive, piece: Any, dimensions: Any, *more: Any) -> Any:
        asked.append(tuple(dimensions))
        return sums(self, piece, dimensions, *more)

    monkeypatch.setattr(Archive, "sums", counted)
    return asked


def test_the_id_of_a_call_is_looked_up_alone(browser: Browser, summed: list[Any]) -> None:
    """For the id of a call no usage is summed, and the call is the one result."""
    page = browser.sign_in().get("/find?q=call_0123").text

    assert 'href="/calls/call_0123' in page
    assert page.split('id="results"')[1].count("<li>") == 1
    assert summed == []


def test_enough_results_end_the_search(browser: Browser, summed: list[Any]) -> None:
    """Where keys fill the list, no usage is summed."""
    name = fresh("found")
    made.used(browser, customer=name)
    for at in range(find.FOUND_MAX):
        made.a_key(browser, f"{name}-key-{at}")
    signed = browser.sign_in()

    full = signed.get(f"/find?q={name}-key").text
    assert full.count(f"{name}-key-") >= find.FOUND_MAX
    assert summed == []


def test_what_was_used_is_found(browser: Browser) -> None:
    """A customer is found by a part of its name."""
    name = fresh("found")
    made.used(browser, customer=name)

    assert f"customer={name}" in browser.sign_in().get(f"/find?q={name[2:]}").text
