"""A real gateway with some usage behind it, and Debian's Chromium in front of it.

Every test looks at pages as a person does. Where there is no browser, the tests are skipped.
"""

import json
import os
import re
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPResponse
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

import pytest
from click.testing import CliRunner
from playwright.sync_api import Browser, BrowserContext, Locator, Page, Request, ViewportSize, sync_playwright
from tests.e2e.conftest import start

from pertoken.cli.demo_history import APPS, App, history, price_change
from pertoken.cli.main import cli
from pertoken.web.page import Page as PageRow
from pertoken.web.signing_in import COOKIE

ADMIN_KEY = "the-admin-key-of-the-browser-tests"
CALLS = 2_000
STEPS_MAX = 400  # of Tab, through the fullest page
# Whether the focus is to be seen: with a ring, in the window, and nothing before it.
RINGED = """e => {
  const style = getComputedStyle(e), box = e.getBoundingClientRect();
  const x = Math.min(Math.max(box.x + box.width / 2, 0), innerWidth - 1);
  const y = Math.min(Math.max(box.y + Math.min(box.height / 2, 8), 60), innerHeight - 1);
  const top = document.elementFromPoint(x, y);
  return style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0 && Boolean(top)
    && (e.contains(top) || top.contains(e));
}"""
LEFT = "net::ERR_ABORTED"  # what becomes of a request when its page is left
PATIENCE_MS = 20_000  # for what must come true
AXE = Path(__file__).parent / "axe" / "axe.min.js"
CHROMIUM = Path(os.environ.get("PERTOKEN_CHROMIUM", "/usr/bin/chromium"))
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--no-first-run", "--no-proxy-server",
)  # fmt: skip
TEAM, CUSTOMER = "support", "株式会社さくら"  # of the team's owner, and of the customer
ROLES = {"finance": (), "viewer": (), "team_owner": ("--team", TEAM), "customer": ("--customer", CUSTOMER)}
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
    """A gateway with usage: where it is, the name of one thing of each kind, and who may come in."""

    url: str
    names: dict[str, str]  # by the path of a page of one thing
    keys: dict[str, str]  # of the control plane, by role
    others: dict[str, str]  # as `names`, of what the team's owner and the customer may not see
    environ: dict[str, str]
    cookies: dict[str, str] = field(default_factory=dict)  # of who is signed in, by role
    tokens: dict[str, str] = field(default_factory=dict)  # that their forms carry

    def send(self, role: str, path: str, form: dict[str, str] | None = None) -> tuple[int, str]:
        """Send what a browser would, as somebody of a role who is signed in; return status and page."""
        headers = {"accept": "text/html", "cookie": f"{COOKIE}={self.cookie(role)}"}
        answer = self._send(path, headers, form)
        return answer.status, answer.read().decode()

    def cookie(self, role: str) -> str:
        """Return the session of somebody of a role, who signs in with a key the first time."""
        if role not in self.cookies:
            answer = self._send("/login", {}, {"key": self.keys[role]})
            found = SimpleCookie(answer.headers["set-cookie"])
            assert COOKIE in found, answer.read()
            self.cookies[role] = found[COOKIE].value
        return self.cookies[role]

    def csrf(self, role: str) -> str:
        """Return what the forms of somebody of a role carry."""
        if role not in self.tokens:
            found = re.search(r'name="csrf" value="([^"]+)"', self.send(role, "/find")[1])
            assert found is not None
            self.tokens[role] = found[1]
        return self.tokens[role]

    def _send(self, path: str, headers: dict[str, str], form: dict[str, str] | None) -> HTTPResponse:
        line = HTTPConnection(self.url.removeprefix("http://"), timeout=PATIENCE_MS / 1000)
        if form is None:
            line.request("GET", path, headers=headers)
        else:
            typed = {"content-type": "application/x-www-form-urlencoded"}
            line.request("POST", path, urlencode(form), {**headers, **typed})
        return line.getresponse()

    def ask(self, method: str, path: str, body: Any = None, role: str = "admin") -> Any:
        """Ask the control plane, as somebody of a role; return its answer."""
        headers = {"authorization": f"Bearer {self.keys[role]}", "content-type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + quote(path, safe="/?=&"), data, headers, method=method)
        with urllib.request.urlopen(request, timeout=PATIENCE_MS / 1000) as answer:
            return json.loads(answer.read())

    def address(self, page: PageRow, names: dict[str, str] | None = None) -> str:
        """Return the address of a page: of one thing, where it is of one."""
        if page.parameter is None:
            return page.path
        named = self.names if names is None else names
        assert page.path in named, f"say in conftest.py, at `names`, which one {page.path} is to show"
        return page.path.replace(f"{{{page.parameter}}}", quote(named[page.path], safe=""))

    def run(self, *words: str) -> str:
        """Run a command of pertoken on the house's database; return what it prints."""
        return command(self.environ, *words)


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

    def reach(self, wanted: Locator) -> None:
        """Go to an element by Tab alone, and find the focus to be seen there."""
        element = wanted.element_handle()
        for _ in range(STEPS_MAX):
            self.page.keyboard.press("Tab")
            if self.page.evaluate("e => e === document.activeElement", element):
                assert self.focused(RINGED), f"nobody sees that {wanted} has the focus"
                return
        pytest.fail(f"Tab does not come to {wanted}")

    def violations(self, *rules: str) -> list[str]:
        """Return what axe finds that keeps people from using the page: by all rules, or by some."""
        if not self.page.evaluate("Boolean(window.axe)"):
            self.page.evaluate(AXE.read_text())
        only = {"runOnly": {"type": "rule", "values": rules}} if rules else {}
        found: list[dict[str, Any]] = self.page.evaluate(
            "options => axe.run(options).then(r => r.violations)", {"resultTypes": ["violations"], **only}
        )
        return [f"{one['id']}: {node['target']} {node['failureSummary']}" for one in found for node in one["nodes"]]


def command(environ: dict[str, str], *words: str) -> str:
    """Run a command of pertoken in this process; return what it prints."""
    done = CliRunner().invoke(cli, words, env=environ, prog_name="pertoken")
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Return a gateway whose database has sixty days of usage, keys, budgets and a price of its own."""
    need_a_browser()
    folder = tmp_path_factory.mktemp("house")
    environ = {"PERTOKEN_DATABASE_URL": f"sqlite:///{folder}/pertoken.db", "PERTOKEN_ADMIN_KEY": ADMIN_KEY}
    keys, events = furnish(environ, folder)
    roles = {"admin": ADMIN_KEY} | {
        role: json.loads(command(environ, "admin", "create", f"a-{role}", "--role", role, *more, "--json"))["secret"]
        for role, more in ROLES.items()
    }
    provider = start(["-m", "pertoken.simulator", "--port", "0"], environ, folder / "provider.log")
    try:
        environ |= {"PERTOKEN_PROVIDERS__OPENAI__BASE_URL": f"{provider.url}/v1", "OPENAI_API_KEY": "simulated"}
        gateway = start(["-m", "pertoken", "serve", "--port", "0"], environ, folder / "gateway.log")
        try:
            yield House(gateway.url, *named(keys, events, roles), environ)
        finally:
            gateway.stop()
    finally:
        provider.stop()


def need_a_browser() -> None:
    """Skip the test where there is no browser."""
    if not CHROMIUM.exists():
        pytest.skip(f"no browser: {CHROMIUM} is not here; install chromium, or set PERTOKEN_CHROMIUM")


def furnish(environ: dict[str, str], folder: Path) -> tuple[dict[str, str], list[dict[str, Any]]]:
    """Put usage into a database, with keys, budgets and a price; return the keys' ids by name, and the usage."""

    def make_key(app: App) -> str:
        made: str = json.loads(command(environ, "key", "create", app.key, "--team", app.team, "--json"))["id"]
        return made

    keys = {app.key: make_key(app) for app in APPS}
    month = ("--window", "month")
    command(environ, "budget", "set", "support-monthly", "--limit", "60", *month, "--scope", f"team={TEAM}")
    command(environ, "budget", "set", "per-customer", "--limit", "2", *month, "--each", "customer")
    now = datetime.now(UTC)
    command(environ, *price_change(now))
    events = list(history(now, 7, CALLS, keys))
    file = folder / "events.jsonl"
    file.write_text("".join(json.dumps(event) + "\n" for event in events))
    command(environ, "ingest", str(file))
    return keys, events


def named(
    keys: dict[str, str], events: list[dict[str, Any]], roles: dict[str, str]
) -> tuple[dict[str, str], dict[str, str], dict[str, str]]:
    """Return one thing of each kind that all roles may see, the keys of the roles, and things that some may not."""
    of_team = [event["id"] for event in events if event["key"] == keys["support-desk"]]
    of_others = [event["id"] for event in events if event["key"] == keys["notebook"]]
    names = {
        "/calls/{call_id}": of_team[-1], "/keys/{id}": keys["support-desk"], "/budgets/{name}": "support-monthly",
        "/prices/{name}": "openai/gpt-4.1", "/customers/{name}": CUSTOMER, "/teams/{name}": TEAM,
    }  # fmt: skip
    others = {
        "/calls/{call_id}": of_others[-1], "/keys/{id}": keys["notebook"], "/budgets/{name}": "per-customer",
        "/customers/{name}": "initech", "/teams/{name}": "research",
    }  # fmt: skip
    return names, roles, others


@pytest.fixture(scope="module")
def browser(house: House) -> Iterator[Browser]:
    """Return a browser. It lives as long as a file of tests: while it does, no other test could use asyncio."""
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield made
        made.close()


@pytest.fixture(scope="module")
def signed_in(house: House) -> Any:
    """Return the cookies of an admin."""
    return cookies(house, "admin")


def cookies(house: House, role: str) -> Any:
    """Return the cookies of somebody of a role, who signed in with a key."""
    return {"cookies": [{"name": COOKIE, "value": house.cookie(role), "domain": "127.0.0.1", "path": "/"}]}


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

    def failed(request: Request) -> None:
        if request.failure != LEFT:
            tab.faults.append(f"failed: {request.url} {request.failure}")

    tab.page.on("requestfailed", failed)

    def asked(url: str) -> None:
        if not url.startswith((f"{tab.base}/", "data:")):
            tab.faults.append(f"leaves the host: {url}")

    tab.page.on("request", lambda request: asked(request.url))


class Windows(dict[str, Tab]):
    """One window a name, opened when it is first looked at: an open one costs half a second."""

    def __init__(self, open_one: Callable[[str], tuple[BrowserContext, Tab]]) -> None:
        super().__init__()
        self._open_one = open_one
        self._contexts: list[BrowserContext] = []

    def __missing__(self, name: str) -> Tab:
        context, self[name] = self._open_one(name)
        self._contexts.append(context)
        return self[name]

    def close(self) -> None:
        """Close every window."""
        for context in self._contexts:
            context.close()


@pytest.fixture(scope="module")
def tabs(browser: Browser, house: House, signed_in: Any) -> Iterator[dict[str, Tab]]:
    """Return a tab for each look, where an admin is signed in; one window each for all tests of a file."""
    made = Windows(lambda name: opened(browser, house, LOOKS[name], signed_in))
    yield made
    made.close()


@pytest.fixture(scope="module")
def roles(browser: Browser, house: House) -> Iterator[dict[str, Tab]]:
    """Return a tab for each role, where somebody of it is signed in; one window each for all tests of a file."""
    made = Windows(lambda role: opened(browser, house, LOOKS["light"], cookies(house, role)))
    yield made
    made.close()


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
