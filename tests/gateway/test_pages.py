"""The pages' process behind a gateway: which requests it gets, and what happens when it dies."""

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from pertoken import settings
from pertoken.gateway.pages import BODY_BYTES_MAX, PagesProcess, asks_for_page
from pertoken.wiring.database import open_database
from pertoken.wiring.pages import make_sign_in_link

FORM = (b"content-type", b"application/x-www-form-urlencoded; charset=utf-8")
HTML = (b"accept", b"text/html,application/xhtml+xml")
KEY = "the-root-key-of-these-tests"


def scope(method: str, path: str, *headers: tuple[bytes, bytes], query: bytes = b"") -> dict[str, Any]:
    """Return the ASGI scope of a request."""
    return {
        "type": "http", "method": method, "path": path, "raw_path": path.encode(), "query_string": query,
        "headers": [(b"host", b"test"), *headers], "client": ("127.0.0.1", 5), "scheme": "http",
    }  # fmt: skip


ASKED = [
    ("GET", "/", (), True),
    ("GET", "/calls", (HTML,), True),
    ("HEAD", "/calls", (HTML,), True),
    ("GET", "/health", (HTML,), True),
    ("GET", "/static/pertoken.css", (), True),
    ("POST", "/login", (FORM,), True),
    ("GET", "/calls", (), False),  # an SDK with a wrong base URL expects JSON
    ("GET", "/v1/models", (HTML,), False),
    ("GET", "/v1beta/models/m-1", (HTML,), False),
    ("GET", "/v1alpha", (HTML,), True),
    ("GET", "/api/v1/keys", (HTML,), False),
    ("GET", "/health/live", (HTML,), False),
    ("POST", "/chat/completions", ((b"content-type", b"application/json"),), False),
    ("PUT", "/", (HTML,), False),
]


@pytest.mark.parametrize(("method", "path", "headers", "expected"), ASKED)
def test_pages_are_what_browsers_ask_for(method: str, path: str, headers: tuple[Any, ...], *, expected: bool) -> None:
    """A browser's request goes to the pages; an SDK's request does not."""
    assert asks_for_page(scope(method, path, *headers)) == expected


async def ask(pages: PagesProcess, request: dict[str, Any], body: bytes = b"") -> tuple[int, dict[bytes, bytes], bytes]:
    """Send a request to the pages, as the gateway does."""
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    await pages(request, receive, send)
    return sent[0]["status"], dict(sent[0]["headers"]), sent[1]["body"]


@pytest.fixture
def loaded(tmp_path: Path) -> settings.Settings:
    """Return settings with a new database."""
    made = settings.load(
        {
            "PERTOKEN_DATABASE_URL": f"sqlite:///{tmp_path}/t.db",
            "PERTOKEN_ADMIN_KEY": KEY,
            "PERTOKEN_SECRET_KEY": "5e" * 32,
        }
    )
    with open_database(made):
        return made


def test_pages_are_made_in_a_process_of_their_own(loaded: settings.Settings) -> None:
    """The process answers a page, a file, a form and a HEAD; a client cannot set its own address with a header."""

    async def story() -> None:
        pages = PagesProcess(loaded)
        try:
            status, asked, body = await ask(pages, scope("GET", "/login", HTML))
            assert (status, int(asked[b"content-length"])) == (200, len(body))
            status, headers, body = await ask(pages, scope("HEAD", "/login", HTML))
            assert (status, headers[b"content-length"], body) == (200, asked[b"content-length"], b"")
            status, headers, body = await ask(pages, scope("GET", "/static/pertoken.css"))
            assert (status, headers[b"content-type"], int(headers[b"content-length"])) == (
                200, b"text/css; charset=utf-8", len(body)
            )  # fmt: skip
            status, headers, _ = await ask(pages, scope("POST", "/login", FORM), b"key=" + KEY.encode())
            assert (status, headers[b"location"]) == (303, b"/")
            lies = ((b"x-pertoken-peer", b"127.0.0.1"), (b"x-pertoken-scheme", b"https"))
            remote = {**scope("GET", "/login", HTML, *lies), "client": ("192.0.2.1", 5)}
            assert (await ask(pages, remote))[0] == 403
            assert (await ask(pages, scope("POST", "/login", FORM), b"x" * (BODY_BYTES_MAX + 1)))[0] == 413
        finally:
            pages.close()

    asyncio.run(story())


def test_a_look_at_a_sign_in_link_does_not_use_it_up(loaded: settings.Settings) -> None:
    """HEAD, as a preview of a link sends it, changes nothing: the first GET after it signs in."""
    with open_database(loaded) as installation:
        link = make_sign_in_link(installation)

    async def story() -> None:
        pages = PagesProcess(loaded)
        try:
            status, headers, body = await ask(pages, scope("HEAD", link, HTML))
            assert (status, body, b"set-cookie" in headers) == (200, b"", False)
            status, headers, _ = await ask(pages, scope("GET", link, HTML))
            assert (status, b"set-cookie" in headers) == (303, True)
        finally:
            pages.close()

    asyncio.run(story())


def test_a_process_that_dies_is_started_again(loaded: settings.Settings) -> None:
    """After the process was killed, the next request starts another one; after close, no process is left."""

    async def story() -> None:
        pages = PagesProcess(loaded)
        try:
            assert (await ask(pages, scope("GET", "/login", HTML)))[0] == 200
            first = pages.pid
            assert first is not None
            os.kill(first, signal.SIGKILL)
            while (await ask(pages, scope("GET", "/login", HTML)))[0] != 200:
                await asyncio.sleep(0.1)
            assert pages.pid != first
        finally:
            pages.close()
        with pytest.raises(ProcessLookupError):
            os.kill(first, 0)

    asyncio.run(story())
