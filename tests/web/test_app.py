"""Who gets a page, and what a form may do."""

import asyncio
import re
from ipaddress import ip_network
from typing import Any
from urllib.parse import quote, unquote, urlencode

import pytest
from starlette.testclient import TestClient
from tests.web.conftest import LOOPBACK, ROOT_KEY, Browser

from pertoken.core.access import GRANTS, Role
from pertoken.core.sessions import IDLE_US, LINK_US, TOTAL_US
from pertoken.services.admins import ROOT
from pertoken.services.sessions import make_link
from pertoken.web.app import create_pages
from pertoken.web.signing_in import ATTEMPTS_MAX, COOKIE, SAFE_COOKIE
from pertoken.web.table import PAGES

PLAIN = [page for page in PAGES if page.parameter is None]


class Later:
    """A clock that is ahead of another."""

    def __init__(self, clock, ahead_us) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
        self._clock, self._ahead_us = clock, ahead_us

    def now_us(self) -> int:
        """Return the time."""
        return int(self._clock.now_us() + self._ahead_us)

    def random_bits(self, bits: int) -> int:
        """Return chance."""
        return int(self._clock.random_bits(bits))


def later(browser: Browser, ahead_us: int) -> Browser:
    """Return the same browser, with its cookies, some time on."""
    other = Browser(browser.site._replace(clock=Later(browser.site.clock, ahead_us)), browser.database, browser.headers)
    other.client.cookies = browser.client.cookies
    return other


@pytest.mark.parametrize("page", PLAIN, ids=lambda page: page.path)
def test_without_a_session_every_page_leads_to_signing_in(browser: Browser, page) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    """Nobody sees anything of a page before signing in."""
    answer = browser.get(page.path)

    assert (answer.status_code, answer.text) == (303, "")
    assert answer.headers["location"].startswith("/login")


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("page", PLAIN, ids=lambda page: page.path)
def test_a_role_sees_the_pages_of_its_actions(browser: Browser, page, role: Role) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    """A page is shown to the roles that may take its action, in the navigation too, and refused to all others."""
    signed = browser.as_role(role)
    may = page.action in GRANTS[role]

    assert signed.get(page.path).status_code == (200 if may else 403)
    if page.group is not None and Role.CUSTOMER is not role:
        assert (f'href="{page.path}"' in signed.get("/").text) == may


def test_a_session_is_good_until_it_ends(browser: Browser) -> None:
    """Signing out ends a session in the database: its cookie opens nothing any more."""
    signed = browser.sign_in()
    token = signed.client.cookies[COOKIE]
    csrf = re.search('name="csrf" value="([^"]+)"', signed.get("/").text)[1]  # type: ignore[index]

    assert signed.post("/logout", {"csrf": csrf}).status_code == 303

    signed.client.cookies.set(COOKIE, token)
    assert signed.get("/").status_code == 303


@pytest.mark.parametrize(
    ("ahead_us", "is_good"), [(IDLE_US - 60_000_000, True), (IDLE_US + 1, False), (TOTAL_US + 1, False)]
)
def test_a_session_that_is_not_used_ends(browser: Browser, ahead_us: int, *, is_good: bool) -> None:
    """A session ends when it was not used for the idle time."""
    signed = later(browser.sign_in(), ahead_us)

    assert signed.get("/").status_code == (200 if is_good else 303)


def test_a_session_ends_at_last_however_it_is_used(browser: Browser) -> None:
    """A session that is used all the time ends after the total time."""
    signed = browser.sign_in()
    step_us = IDLE_US // 2
    answers = [later(signed, ahead_us).get("/").status_code for ahead_us in range(0, TOTAL_US + 2, step_us)]

    assert set(answers[:-1]) == {200}
    assert answers[-1] == 303


def test_a_revoked_admin_key_ends_its_sessions(browser: Browser) -> None:
    """A session is good no longer than the admin key it was begun with."""
    signed = browser.as_role(Role.VIEWER)
    assert signed.get("/").status_code == 200

    with signed.site.store.write() as opened:
        newest = opened.admins.list_all()[-1]
        opened.admins.revoke(newest.admin_id, signed.site.clock.now_us())

    assert signed.get("/").status_code == 303


@pytest.mark.parametrize("token", ["", "session-" + "0" * 52, "x" * 5_000, "session-", "link-" + "0" * 52])
def test_a_forged_cookie_opens_nothing(browser: Browser, token: str) -> None:
    """A cookie that pertoken did not make leads to signing in."""
    browser.client.cookies.set(COOKIE, token)

    assert browser.get("/").status_code == 303


def test_a_wrong_key_is_refused_and_then_waits(browser: Browser) -> None:
    """After ten wrong keys within a minute an address must wait, even with the right one; other addresses need not."""
    answers = [browser.post("/login", {"key": f"wrong {n}"}).status_code for n in range(ATTEMPTS_MAX)]

    assert answers == [401] * ATTEMPTS_MAX
    assert browser.post("/login", {"key": ROOT_KEY}).status_code == 429
    browser.headers["x-pertoken-peer"] = "::1"
    assert browser.post("/login", {"key": ROOT_KEY}).status_code == 303


def test_a_link_signs_in_once(browser: Browser) -> None:
    """The first who opens a sign-in link is signed in; the second is told why not."""
    with browser.site.store.write() as opened:
        token = make_link(opened.sessions, browser.site.clock, browser.site.hasher, ROOT)

    assert browser.client.head(f"/login/link/{token}", headers=browser.headers).status_code == 200
    assert browser.get(f"/login/link/{token}").status_code == 303
    assert browser.get("/").status_code == 200
    again = Browser(browser.site, browser.database).get(f"/login/link/{token}")
    assert again.status_code == 401
    assert "pertoken admin link" in again.text


def test_a_link_is_good_for_five_minutes(browser: Browser) -> None:
    """A sign-in link that is too old signs nobody in."""
    with browser.site.store.write() as opened:
        token = make_link(opened.sessions, browser.site.clock, browser.site.hasher, ROOT)

    assert later(browser, LINK_US).get(f"/login/link/{token}").status_code == 401


CLIENTS = [
    # peer, scheme, headers, trusted, may sign in, cookie
    ("127.0.0.1", "http", {}, (), COOKIE),
    ("::1", "http", {}, (), COOKIE),
    ("192.0.2.7", "https", {}, (), SAFE_COOKIE),
    ("192.0.2.7", "http", {}, (), None),
    ("192.0.2.7", "http", {"x-forwarded-proto": "https"}, (), None),  # nobody said that this one may be believed
    ("127.0.0.1", "http", {"x-forwarded-for": "192.0.2.7"}, (), None),  # a proxy that the settings do not know
    ("10.0.0.1", "http", {"x-forwarded-for": "192.0.2.7", "x-forwarded-proto": "https"}, ("10.0.0.0/8",), SAFE_COOKIE),
    ("10.0.0.1", "http", {"x-forwarded-for": "192.0.2.7", "x-forwarded-proto": "http"}, ("10.0.0.0/8",), None),
    ("10.0.0.1", "http", {"x-forwarded-for": "127.0.0.1, 192.0.2.7"}, ("10.0.0.0/8",), None),  # the first is a lie
    ("", "http", {}, (), None),
]


@pytest.mark.parametrize(("peer", "scheme", "headers", "trusted", "cookie"), CLIENTS)
def test_a_cookie_is_given_only_where_nobody_reads_along(
    browser: Browser, peer: str, scheme: str, headers: dict[str, str], trusted: tuple[str, ...], cookie: str | None
) -> None:
    """Signing in works over https, own or of a proxy that the settings name, and over http on the machine itself."""
    site = browser.site._replace(trusted_proxies=tuple(ip_network(one) for one in trusted))
    one = Browser(site, browser.database, {"x-pertoken-peer": peer, "x-pertoken-scheme": scheme, **headers})
    answer = one.post("/login", {"key": ROOT_KEY})

    if cookie is None:
        assert answer.status_code == 403
        assert "https" in answer.text
        assert "set-cookie" not in answer.headers
    else:
        assert answer.status_code == 303
        said = answer.headers["set-cookie"]
        assert said.startswith(f"{cookie}=session-")
        assert "HttpOnly" in said
        assert "SameSite=lax" in said
        assert ("Secure" in said) == (cookie == SAFE_COOKIE)


@pytest.mark.parametrize(
    ("asked", "goes"),
    [
        ("/calls?x=1", "/calls?x=1"), ("//evil.test", "/"), ("https://evil.test", "/"), ("/\\evil.test", "/"),
        ("/logout", "/"), ("", "/"), ("/a\nb", "/"),
    ],
)  # fmt: skip
def test_signing_in_leads_back_to_pages_of_ours_alone(browser: Browser, asked: str, goes: str) -> None:
    """After signing in one is where one wanted to go, if that is here."""
    assert browser.post("/login", {"key": ROOT_KEY, "next": asked}).headers["location"] == goes


@pytest.mark.parametrize("change", [{"csrf": ""}, {"csrf": "0" * 64}, {"deed": "nothing"}])
def test_a_form_without_its_token_does_nothing(browser: Browser, change: dict[str, str]) -> None:
    """A change needs the token of its session and a deed of its page."""
    signed = browser.sign_in()
    page = signed.get("/keys").text
    csrf = re.search('name="csrf" value="([^"]+)"', page)[1]  # type: ignore[index]
    answer = signed.post("/keys", {"csrf": csrf, "deed": "make", "once": "1", "name": "never-made", **change})

    assert answer.status_code in (403, 404)
    assert "never-made" not in signed.get("/keys").text


@pytest.mark.parametrize("headers", [{"sec-fetch-site": "cross-site"}, {"origin": "https://evil.test"}])
def test_a_form_of_another_site_does_nothing(browser: Browser, headers: dict[str, str]) -> None:
    """What a browser says comes from elsewhere is not done, even with the right token."""
    signed = browser.sign_in()
    csrf = re.search('name="csrf" value="([^"]+)"', signed.get("/keys").text)[1]  # type: ignore[index]

    assert signed.post("/keys", {"csrf": csrf, "deed": "make", "name": "x"}, **headers).status_code == 403


def test_a_form_that_is_sent_twice_is_done_once(browser: Browser) -> None:
    """Sending the same form again makes no second key and shows no secret."""
    signed = browser.sign_in()
    page = signed.get("/keys").text
    form = {name: re.search(f'name="{name}" value="([^"]+)"', page)[1] for name in ("csrf", "once")}  # type: ignore[index]
    name = f"once-{form['once']}"
    first, second = [signed.post("/keys", {**form, "deed": "make", "name": name}) for _ in range(2)]

    assert "sk-pt-" in first.text
    assert (second.status_code, "sk-pt-" in second.text) == (303, False)
    assert signed.get(f"/keys?q={name}&format=json").json()["rows"][0]["name"] == name
    assert len(signed.get(f"/keys?q={name}&format=json").json()["rows"]) == 1


def test_a_form_that_is_not_taken_keeps_what_was_typed(browser: Browser) -> None:
    """A form that is refused comes back with what was typed and what is wrong with it."""
    answer = browser.sign_in().send("/keys", "make", name="", team="growth & <b>")

    assert answer.status_code == 422
    assert 'value="growth &amp; &lt;b&gt;"' in answer.text


@pytest.mark.parametrize("size", [300_000, 2_000_000])
def test_a_form_that_is_too_large_is_refused(browser: Browser, size: int) -> None:
    """A form is read up to a bound."""
    assert browser.sign_in().post("/keys", {"name": "x" * size}).status_code == 413


BAD_RANGES = [
    "range=never",
    "since=2026-02-30",
    "since=2026-03-02&until=2026-03-01",
    "tz=Mars/Olympus",
    "since=9999-01-01",
]


@pytest.mark.parametrize("query", BAD_RANGES)
def test_a_range_that_is_none_is_a_clear_page(browser: Browser, query: str) -> None:
    """A range that cannot be read is refused, with what is wrong with it."""
    answer = browser.sign_in().get(f"/?{query}")

    assert answer.status_code == 400
    assert "Invalid range of time" in answer.text


def test_every_answer_says_how_it_may_be_used(browser: Browser) -> None:
    """Pages, refusals and files have the headers that keep them from other sites; nothing allows inline code."""
    for answer in (
        browser.get("/login"),
        browser.get("/"),
        browser.sign_in().get("/nowhere"),
        browser.get("/static/pertoken.css"),
    ):
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "referrer-policy" in answer.headers


@pytest.mark.parametrize(
    "path", ["/static/../app.py", "/static/licenses/htmx.txt", "/static/none.css", "/static/%2e%2e/app.py"]
)
def test_only_files_for_pages_are_served(browser: Browser, path: str) -> None:
    """No other file of the package can be read."""
    assert browser.get(path).status_code in (303, 404)


def test_no_page_has_code_or_style_in_it(browser: Browser) -> None:
    """No page carries a style attribute, an inline script or an event handler: its policy would forbid them."""
    signed = browser.sign_in()
    for page in PLAIN:
        text = signed.get(page.path).text
        assert not re.search(r"\sstyle=|\son\w+=|<style", text), page.path
        assert all("src=" in tag or "application/json" in tag for tag in re.findall("<script[^>]*>", text)), page.path


def test_peers_are_told_by_the_gateway_alone() -> None:
    """The headers that say who asks are those which the gateway takes from clients."""
    from pertoken.gateway.pages import _OURS

    assert {name.decode() for name in _OURS} == set(LOOPBACK)


def test_a_wrong_key_keeps_where_the_visitor_was_going(browser: Browser) -> None:
    """After a wrong key the form still holds the page that was asked for; the right key then leads there."""
    asked = "/calls?model=gpt-4.1"
    again = browser.post("/login", {"key": "not-the-key", "next": asked})

    assert again.status_code == 401
    assert f'name="next" value="{asked}"' in again.text
    assert browser.post("/login", {"key": ROOT_KEY, "next": asked}).headers["location"] == asked


TROUBLES = [
    ("GET", "/static/" + "x" * 300 + ".css", {}, {}, 404),
    ("GET", "/static/a%00b.css", {}, {}, 404),
    ("POST", "/login", {"key": "x"}, {"origin": "http://["}, 403),
    ("POST", "/theme", {"theme": "x" * 300_000}, {}, 413),
    ("POST", "/theme", {f"f{n}": "x" for n in range(500)}, {}, 413),
    ("GET", "/calls?min_cost=1e999999999", {}, {}, 404),
    ("GET", "/calls?min_cost=-1e999999999", {}, {}, 404),
    ("GET", "/calls?min_cost=1e-999999999", {}, {}, 404),
]


@pytest.mark.parametrize(("method", "path", "form", "headers", "status"), TROUBLES, ids=lambda part: str(part)[:30])
def test_what_cannot_be_answered_is_refused_clearly(
    browser: Browser, method: str, path: str, form: dict[str, str], headers: dict[str, str], status: int
) -> None:
    """No address and no form makes a page fail: each is refused with what is wrong with it."""
    signed = browser.sign_in()
    answer = signed.get(path, **headers) if method == "GET" else signed.post(path, form, **headers)

    assert answer.status_code == status


@pytest.mark.parametrize("host", [[], [(b"host", b"")], [(b"host", b"/srv/a?b")], [(b"host", b"[")]], ids=str)
@pytest.mark.parametrize(
    ("path", "query", "asked"),
    [("/calls", b"model=a", "/calls?model=a"), ("/keys/a?b", b"", "/keys/a%3Fb"), ("/", b"", None)],
)
def test_signing_in_leads_back_whatever_the_host_is(
    browser: Browser, host: list[tuple[bytes, bytes]], path: str, query: bytes, asked: str | None
) -> None:
    """Where the Host header is missing or wrong, the way to signing in names the path that was asked for alone."""
    scope = {
        "type": "http", "http_version": "1.1", "method": "GET", "path": path, "raw_path": quote(path).encode(),
        "query_string": query, "root_path": "", "scheme": "http", "server": ("/run/pertoken/socket", None),
        "headers": [(name.encode(), value.encode()) for name, value in LOOPBACK.items()] + host,
    }  # fmt: skip
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(create_pages(browser.site)(scope, receive, send))

    location = dict(sent[0]["headers"])[b"location"].decode()
    assert location == ("/login" if asked is None else f"/login?{urlencode({'next': asked})}")


@pytest.mark.parametrize("key", ["another-key-of-these-tests", ""])
def test_a_session_by_the_operator_s_key_ends_with_that_key(browser: Browser, key: str) -> None:
    """Where the settings have another admin key, or none, a session that began with the old one opens nothing."""
    signed = browser.sign_in()
    changed = Browser(signed.site._replace(root_key=key), signed.database)
    changed.client.cookies = signed.client.cookies

    assert signed.get("/").status_code == 200
    assert changed.get("/").status_code == 303
    with signed.site.store.read() as opened:
        session = opened.sessions.find(signed.site.hasher.hash(signed.client.cookies[COOKIE].encode()))
    assert session is not None
    assert ROOT_KEY not in session.admin_id
    assert signed.site.hasher.hash(ROOT_KEY.encode()).hex() not in session.admin_id


@pytest.mark.parametrize("key", ["another-key-of-these-tests", ""])
def test_a_session_by_a_link_needs_no_key(browser: Browser, key: str) -> None:
    """A session that began with a sign-in link of the machine goes on, whatever admin key the settings have."""
    with browser.site.store.write() as opened:
        token = make_link(opened.sessions, browser.site.clock, browser.site.hasher, ROOT)
    browser.get(f"/login/link/{token}")
    changed = Browser(browser.site._replace(root_key=key), browser.database)
    changed.client.cookies = browser.client.cookies

    assert changed.get("/").status_code == 200


def test_another_form_of_the_same_page_is_not_taken_for_the_first(browser: Browser) -> None:
    """A form that is sent again with other content is not answered as done: it comes back, and says that it is new."""
    signed = browser.sign_in()
    page = signed.get("/keys").text
    form = {name: re.search(f'name="{name}" value="([^"]+)"', page)[1] for name in ("csrf", "once")}  # type: ignore[index]
    name = f"other-{form['once']}"
    signed.post("/keys", {**form, "deed": "make", "name": f"{name}-1"})
    other = signed.post("/keys", {**form, "deed": "make", "name": f"{name}-2"})

    assert other.status_code == 422
    assert "another form" in other.text
    assert f'value="{name}-2"' in other.text
    rows = signed.get(f"/keys?q={name}&format=json").json()["rows"]
    assert [row["name"] for row in rows] == [f"{name}-1"]


def test_a_form_that_is_sent_twice_says_how_to_get_a_secret(browser: Browser) -> None:
    """Whoever did not see the secret of a key that a form made is told to rotate it; other forms say nothing of it."""
    signed = browser.sign_in()
    page = signed.get("/keys").text
    form = {name: re.search(f'name="{name}" value="([^"]+)"', page)[1] for name in ("csrf", "once")}  # type: ignore[index]
    name = f"twice-{form['once']}"
    form |= {"deed": "make", "name": name}
    made, again = signed.post("/keys", form), signed.post("/keys", form)
    assert "sk-pt-" in made.text
    assert "rotate it for a new secret" in unquote(again.cookies["pertoken_said"].strip('"'))

    key = again.headers["location"]
    page = signed.get(key).text
    form = {name: re.search(f'name="{name}" value="([^"]+)"', page)[1] for name in ("csrf", "once")}  # type: ignore[index]
    form |= {"deed": "revoke", "typed_name": name}
    done, again = signed.post(key, form), signed.post(key, form)
    assert (done.status_code, again.status_code) == (303, 303)
    assert "nothing was done again" in unquote(again.cookies["pertoken_said"].strip('"'))
    assert "secret" not in unquote(again.cookies["pertoken_said"])


def test_wrong_keys_at_the_same_time_are_not_all_tried(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of wrong keys that come while others are looked up, no more are tried than one after the other."""
    tried: list[bytes] = []
    pages = TestClient(create_pages(browser.site), base_url="http://test")

    def looked_up(secret: bytes, *_rest: object) -> None:
        tried.append(secret)
        if len(tried) <= ATTEMPTS_MAX:  # the next key comes before this one is found to be wrong
            pages.post("/login", data={"key": "wrong"}, headers=browser.headers)

    monkeypatch.setattr("pertoken.web.app.authenticate", looked_up)
    monkeypatch.setattr(browser.site.store, "write", browser.site.store.read, raising=False)
    pages.post("/login", data={"key": "wrong"}, headers=browser.headers)

    assert len(tried) == ATTEMPTS_MAX
