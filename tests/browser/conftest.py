"""A real gateway with some usage behind it, and Debian's Chromium in front of it.

Every test looks at pages as a person does. Where there is no browser, the tests are skipped.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from click.testing import CliRunner
from playwright.sync_api import Browser, BrowserContext, Page, ViewportSize, sync_playwright
from tests.e2e.conftest import start

from pertoken.cli.demo_history import APPS, history, price_change
from pertoken.cli.main import cli

ADMIN_KEY = "the-admin-key-of-the-browser-tests"
CALLS = 2_000
PATIENCE_MS = 20_000  # for what must come true
AXE = Path(__file__).parent / "axe" / "axe.min.js"
CHROMIUM = Path(os.environ.get("PERTOKEN_CHROMIUM", "/usr/bin/chromium"))
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--no-first-run", "--no-proxy-server",
)  # fmt: skip
DESKTOP, PHONE = ViewportSize(width=1440, height=900), ViewportSize(width=390, height=844)


class Look(NamedTuple):
    """How pages are looked at."""

    viewport: ViewportSize
    scheme: str


LOOKS = {
    "light": Look(DESKTOP, "light"),
    "dark": Look(DESKTOP, "dark"),
    "phone": Look(PHONE, "light"),
    "dark phone": Look(PHONE, "dark"),
}


@dataclass
class House:
    """A gateway with usage: where it is, and the name of one thing of each kind."""

    url: str
    names: dict[str, str]  # by the path of a page of one thing


@dataclass
class Tab:
    """One page of the browser, and what went wrong on it."""

    page: Page
    base: str
    faults: list[str]

    def open(self, path: str) -> int:
        """Go to a path and wait until all of it is loaded; return the status."""
        answer = self.page.goto(self.base + path)
        assert answer is not None
        return answer.status

    def focused(self, what: str = "e => e.id || e.tagName") -> Any:
        """Return something of the element that has the focus."""
        return self.page.evaluate(f"({what})(document.activeElement)")


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Return a gateway whose database has sixty days of usage, keys, budgets and a price of its own."""
    if not CHROMIUM.exists():
        pytest.skip(f"no browser: {CHROMIUM} is not here; install chromium, or set PERTOKEN_CHROMIUM")
    folder = tmp_path_factory.mktemp("house")
    environ = {"PERTOKEN_DATABASE_URL": f"sqlite:///{folder}/pertoken.db", "PERTOKEN_ADMIN_KEY": ADMIN_KEY}

    def run(*words: str) -> str:
        done = CliRunner().invoke(cli, words, env=environ, prog_name="pertoken")
        assert done.exit_code == 0, done.output
        return done.stdout

    keys = {app.key: json.loads(run("key", "create", app.key, "--team", app.team, "--json"))["id"] for app in APPS}
    run("budget", "set", "support-monthly", "--limit", "60", "--window", "month", "--scope", "team=support")
    run("budget", "set", "per-customer", "--limit", "2", "--window", "month", "--each", "customer")
    now = datetime.now(UTC)
    run(*price_change(now))
    events = list(history(now, 7, CALLS, keys))
    file = folder / "events.jsonl"
    file.write_text("".join(json.dumps(event) + "\n" for event in events))
    run("ingest", str(file))
    last = events[-1]
    names = {
        "/calls/{call_id}": last["id"], "/keys/{id}": keys["support-desk"], "/budgets/{name}": "support-monthly",
        "/prices/{name}": "openai/gpt-4.1", "/customers/{name}": "株式会社さくら", "/teams/{name}": "support",
    }  # fmt: skip
    gateway = start(["-m", "pertoken", "serve", "--port", "0"], environ, folder / "gateway.log")
    try:
        yield House(gateway.url, names)
    finally:
        gateway.stop()


@pytest.fixture(scope="module")
def browser(house: House) -> Iterator[Browser]:
    """Return a browser. It lives as long as a file of tests: while it does, no other test could use asyncio."""
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield made
        made.close()


@pytest.fixture(scope="module")
def signed_in(browser: Browser, house: House) -> Any:
    """Return the cookies of an admin."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{house.url}/login")
    page.fill("#key", ADMIN_KEY)
    page.click("button.first")
    page.wait_for_url(f"{house.url}/")
    state = context.storage_state()
    context.close()
    return state


def opened(browser: Browser, house: House, look: Look, state: Any = None) -> tuple[BrowserContext, Tab]:
    """Return a tab of a fresh window that remembers what goes wrong; its owner closes the window."""
    context = browser.new_context(
        viewport=look.viewport, color_scheme="dark" if look.scheme == "dark" else "light", storage_state=state
    )
    context.set_default_timeout(PATIENCE_MS)
    tab = Tab(context.new_page(), house.url, [])
    listen(tab)
    return context, tab


def listen(tab: Tab) -> None:
    """Write down whatever goes wrong on a page."""
    tab.page.on("console", lambda said: tab.faults.append(f"console: {said.text}") if said.type == "error" else None)
    tab.page.on("pageerror", lambda error: tab.faults.append(f"error: {error}"))
    tab.page.on("requestfailed", lambda request: tab.faults.append(f"failed: {request.url} {request.failure}"))

    def asked(url: str) -> None:
        if not url.startswith((f"{tab.base}/", "data:")):
            tab.faults.append(f"leaves the host: {url}")

    tab.page.on("request", lambda request: asked(request.url))


@pytest.fixture(scope="module")
def tabs(browser: Browser, house: House, signed_in: Any) -> Iterator[dict[str, Tab]]:
    """Return a tab for each look, where an admin is signed in; one window each for all tests of a file."""
    made = {name: opened(browser, house, look, signed_in) for name, look in LOOKS.items()}
    yield {name: tab for name, (_, tab) in made.items()}
    for context, _ in made.values():
        context.close()


@pytest.fixture
def tab(browser: Browser, house: House, signed_in: Any) -> Iterator[Tab]:
    """Return a tab of its own where an admin is signed in."""
    context, made = opened(browser, house, LOOKS["light"], signed_in)
    yield made
    context.close()


@pytest.fixture
def stranger(browser: Browser, house: House) -> Iterator[Tab]:
    """Return a tab of its own where nobody is signed in."""
    context, made = opened(browser, house, LOOKS["light"])
    yield made
    context.close()
