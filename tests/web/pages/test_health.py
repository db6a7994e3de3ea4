"""The page of health: what doctor says, how the store stands, and the proof that a button runs."""

import time
from typing import Any

import pytest
from tests.web import made
from tests.web.conftest import Browser

from pertoken.core.access import Role
from pertoken.services.verify import verify
from pertoken.web import health as module
from pertoken.web.health import DoctorFinding, Facts, Health

FACTS = Facts(50_000_000, [("python", "3.14")], [("keeper", "<b>host</b>:7", 2**50)])
FINDINGS = [
    DoctorFinding("clock", "ok", "right"),
    DoctorFinding("<script>disk", "problem", "it is full", "make room"),
]


def watched(browser: Browser, findings: list[DoctorFinding] | None = None) -> tuple[Browser, list[int]]:
    """Return a browser on pages that know an installation, and a list that grows with each look of doctor."""
    looks: list[int] = []

    def look() -> list[DoctorFinding]:
        looks.append(1)
        return FINDINGS if findings is None else findings

    site = browser.site._replace(health=Health(lambda: FACTS, look))
    return Browser(site, browser.database), looks


@pytest.mark.parametrize("role", Role)
def test_health_is_shown_and_proven_by_role(browser: Browser, role: Role) -> None:
    """Health is for who sees all; the books are proven by the roles that may verify."""
    signed = watched(browser)[0].as_role(role)
    page = signed.get("/health")

    assert page.status_code == (200 if role in (Role.ADMIN, Role.FINANCE, Role.VIEWER) else 403)
    if page.status_code == 200:
        may = role in (Role.ADMIN, Role.FINANCE)
        assert ("Prove the books" in page.text) == may
        assert made.fill(signed, "/health", "prove").status_code == (303 if may else 403)


def test_it_says_what_doctor_says_and_asks_it_seldom(browser: Browser) -> None:
    """Problems come first and as text, and doctor is asked once a minute, or when somebody says so."""
    opened, looks = watched(browser)
    signed = opened.sign_in()
    signed.get("/health")
    pages = [ended(signed, "every 1s") for _ in range(3)]

    assert "1 problem" in pages[0]
    assert pages[0].index("&lt;script&gt;disk") < pages[0].index("clock")
    assert "50.0 MB" in pages[0]
    assert "<b>host" not in pages[0]
    assert looks == [1]
    made.fill(signed, "/health", "look")
    ended(signed, "every 1s")
    assert looks == [1, 1]


def test_without_an_installation_it_says_so(browser: Browser) -> None:
    """Pages that know nothing of the installation say so, and prove nothing."""
    signed = Browser(browser.site._replace(health=None), browser.database).sign_in()

    assert "has no facts about the installation" in signed.get("/health").text
    assert made.fill(signed, "/health", "prove").status_code == 422


def proven(signed: Browser) -> str:
    """Return the page when the proof came to its end."""
    return ended(signed, "every 2s")


def ended(signed: Browser, trigger: str) -> str:
    """Return the page when it does not ask again any more."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        page = str(signed.get("/health").text)
        if f'hx-trigger="{trigger}"' not in page:
            return page
        time.sleep(0.05)
    raise AssertionError("the proof did not end")


def test_the_books_are_proven_on_a_thread(browser: Browser) -> None:
    """The button begins the proof, and the page shows its result when it is there."""
    signed = watched(browser)[0].sign_in()
    made.used(browser, calls=3)

    assert "Not since the pages were started" in signed.get("/health").text
    made.fill(signed, "/health", "prove")
    page = proven(signed)

    assert "everything agrees" in page
    assert "<dt>events</dt>" in page


def test_a_proof_that_finds_or_fails_says_so(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    """Differences are shown as text, a failure says that nothing is proven, and only one proof runs at a time."""
    signed = watched(browser)[0].sign_in()
    asked: list[Any] = []

    def wrong(archive: Any, now_us: int) -> Any:
        asked.append(now_us)
        found = verify(archive, now_us)
        return found._replace(differences=[{"kind": "event", "id": "<i>e</i>", "difference": "one off"}] * 60)

    monkeypatch.setattr(module, "verify", wrong)
    made.fill(signed, "/health", "prove")
    page = proven(signed)
    assert "60 found" in page
    assert "&lt;i&gt;e" in page

    def failing(_archive: Any, _now_us: int) -> Any:
        raise RuntimeError("no")

    monkeypatch.setattr(module, "verify", failing)
    made.fill(signed, "/health", "prove")
    assert "not proven" in proven(signed)
