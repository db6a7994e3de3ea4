"""The playground: its page by role, and its script in a browser, on a small stand-in for the gateway."""

import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from tests.web import made
from tests.web.conftest import ROOT_KEY, Browser
from tests.web.made import fresh

from pertoken.core.access import Role
from pertoken.web.app import create_pages

CHROMIUM = Path("/usr/bin/chromium")
SECRET = "sk-pt-a-key-of-nobody"
TEXT = "Hello <b>world</b>, 世界"


@pytest.mark.parametrize("role", Role)
def test_the_page_is_for_who_reads_calls(browser: Browser, role: Role) -> None:
    """The playground is for the roles that may see a call; the key's field is one that nothing sends anywhere."""
    page = browser.as_role(role).get("/playground")

    assert page.status_code == (403 if role is Role.CUSTOMER else 200)
    if page.status_code == 200:
        field = page.text.split('id="p-key"')[1].split(">")[0]
        assert 'type="password"' in field
        assert "name=" not in field


def test_a_call_of_another_team_is_not_told(browser: Browser) -> None:
    """What a call came to is shown to who may see the call, and to nobody else."""
    call = made.one_call(browser, team="t2", picos=3 * 10**10)

    assert "0.03" in browser.as_role(Role.VIEWER).get(f"/playground?call={call}").text
    assert "0.03" not in browser.as_role(Role.TEAM_OWNER).get(f"/playground?call={call}").text


class Gateway:
    """Pages, and what answers calls as the gateway does."""

    def __init__(self, pages: Any, call_id: str) -> None:
        self.pages, self.call_id = pages, call_id
        self.asked: list[tuple[str, dict[str, str], Any]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request: calls as the gateway does, all else as the pages do."""
        if scope["type"] != "http" or not scope["path"].startswith(("/v1/", "/v1beta/")):
            if scope["type"] == "http":
                scope["headers"].append((b"x-pertoken-peer", b"127.0.0.1"))
            await self.pages(scope, receive, send)
            return
        raw = (await receive())["body"]
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        body = json.loads(raw) if raw else None
        self.asked.append((scope["path"], headers, body))
        status, kind, pieces = self.answer(scope["path"], body)
        if scope["path"] == "/v1/models" and "anthropic-version" in headers:
            pieces = [json.dumps({"data": [{"id": "sonnet"}]}).encode()]
        said = [(b"content-type", kind), (b"x-pertoken-call-id", self.call_id.encode()), (b"x-pertoken-held", b"0.5")]
        said += [(b"x-pertoken-budget-remaining", b"4.2")] + (
            [(b"x-pertoken-refused", b"budget_exceeded")] if status == 402 else []
        )
        await send({"type": "http.response.start", "status": status, "headers": said})
        for piece in pieces:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    @staticmethod
    def answer(path: str, body: Any) -> tuple[int, bytes, list[bytes]]:
        """Return status, content type and the pieces of an answer."""
        if path.startswith("/v1beta/models/"):
            piece = json.dumps({"candidates": [{"content": {"parts": [{"text": TEXT}]}}]}).encode()
            if "stream" in path:
                return 200, b"text/event-stream", [b"data: " + piece + b"\n\n"]
            return 200, b"application/json", [piece]
        if path == "/v1/messages":
            if not body["stream"]:
                return 200, b"application/json", [json.dumps({"content": [{"type": "text", "text": TEXT}]}).encode()]
            piece = json.dumps({"type": "content_block_delta", "delta": {"type": "text_delta", "text": TEXT}}).encode()
            return 200, b"text/event-stream", [b"event: content_block_delta\ndata: " + piece + b"\n\n"]
        if path == "/v1beta/models":
            return 200, b"application/json", [json.dumps({"models": [{"name": "models/flash"}]}).encode()]
        if path == "/v1/models":
            return 200, b"application/json", [json.dumps({"data": [{"id": "gpt-x"}, {"id": "<i>y"}]}).encode()]
        if body["model"] == "dear":
            return (
                402,
                b"application/json",
                [json.dumps({"error": {"message": "the budget <b>day</b> has 0 USD left"}}).encode()],
            )
        if not body["stream"]:
            return 200, b"application/json", [json.dumps({"choices": [{"message": {"content": TEXT}}]}).encode()]
        events = [
            f"data: {json.dumps({'choices': [{'delta': {'content': letter}}]}, ensure_ascii=False)}\n\n"
            for letter in TEXT
        ]
        whole = ("".join(events) + "data: [DONE]\n\n").encode()
        return (
            200,
            b"text/event-stream",
            [whole[at : at + 7] for at in range(0, len(whole), 7)],
        )  # within characters, too


@pytest.fixture
def gateway(browser: Browser) -> Iterator[tuple[Gateway, str]]:
    """Return the stand-in, listening on loopback, and its address."""
    made_call = made.one_call(browser, picos=3 * 10**10, customer=fresh("c"))
    stand_in = Gateway(create_pages(browser.site), made_call)
    server = uvicorn.Server(uvicorn.Config(stand_in, port=0, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive()
    yield stand_in, f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """Return a Chromium for the tests of this file."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if not CHROMIUM.exists():
        pytest.skip(f"there is no {CHROMIUM}")
    with api.sync_playwright() as playwright:
        flags = ["--no-sandbox"] if os.geteuid() == 0 else []
        made = playwright.chromium.launch(executable_path=str(CHROMIUM), args=flags)
        yield made
        made.close()


@pytest.fixture
def page(gateway: tuple[Gateway, str], chromium: Any) -> Iterator[Any]:
    """Return the page of the playground in a window of its own, signed in."""
    context = chromium.new_context()
    opened = context.new_page()
    opened.wrong = []
    opened.on("pageerror", lambda error: opened.wrong.append(str(error)))
    opened.goto(f"{gateway[1]}/login?next=/playground")
    opened.fill("#key", ROOT_KEY)
    opened.click("button.first")
    opened.fill("#p-key", SECRET)
    yield opened
    assert opened.wrong == []
    context.close()


@pytest.mark.parametrize("streams", [True, False])
def test_the_script_shows_text_hold_cost_and_the_call(gateway: tuple[Gateway, str], page: Any, streams: bool) -> None:
    """The answer comes as text, streamed or whole, with what was held, what is left, the cost, and the call's page."""
    page.fill("#p-model", "gpt-x")
    page.set_checked("#p-stream", streams)
    page.click("#p-send")
    page.wait_for_selector("#settled a")
    stand_in, _ = gateway

    assert page.inner_text("#p-answer") == TEXT
    settled = " ".join(page.inner_text("#settled").split())
    assert ("cost 0.03" in settled, settled.count("0.03")) == (True, 1)
    assert page.is_hidden("#p-held")  # what was said while the call ran is said once, as it was settled
    assert page.is_hidden("#p-left")
    assert page.get_attribute("#settled a.button", "href") == f"/calls/{stand_in.call_id}"
    path, headers, body = stand_in.asked[-1]
    assert (path, body["stream"], body["messages"]) == (
        "/v1/chat/completions",
        streams,
        [{"role": "user", "content": "Say hello in five languages."}],
    )
    assert headers["authorization"] == f"Bearer {SECRET}"
    assert "cookie" not in headers
    assert SECRET not in page.url


def test_the_script_shows_a_refusal_as_the_gateway_says_it(page: Any) -> None:
    """A refused call shows its status, its code, and the gateway's own words as text; the next one can be sent."""
    page.fill("#p-model", "dear")
    for _ in range(2):
        page.click("#p-send")
        page.wait_for_selector("#p-send:not([disabled])")
        assert page.inner_text("#p-state") == "Refused (402, budget_exceeded)"
        assert page.inner_text("#p-answer") == "the budget <b>day</b> has 0 USD left"


def test_the_script_lists_the_models_of_the_key(page: Any) -> None:
    """Once the key is typed, the models that the gateway serves it are offered."""
    page.press("#p-key", "Tab")
    page.wait_for_selector('#models option[value="<i>y"]', state="attached")

    names = [one.get_attribute("value") for one in page.locator("#models option").all()]
    assert names == ["gpt-x", "<i>y", "sonnet", "flash"]


@pytest.mark.parametrize("streams", [True, False])
@pytest.mark.parametrize(
    ("model", "path", "head"),
    [
        ("sonnet", "/v1/messages", "x-api-key"),
        ("claude-that-no-list-names", "/v1/messages", "x-api-key"),
        ("flash", "/v1beta/models/flash:{}", "x-goog-api-key"),
    ],
)
def test_the_script_speaks_the_wire_of_the_model(
    gateway: tuple[Gateway, str], page: Any, model: str, path: str, head: str, streams: bool
) -> None:
    """A model is asked for on the wire that the gateway offers it on, and the answer's text is shown."""
    page.fill("#p-model", model)
    page.set_checked("#p-stream", streams)
    page.click("#p-send")
    page.wait_for_selector("#settled a")
    asked, headers, body = gateway[0].asked[-1]

    assert asked == path.format("streamGenerateContent" if streams else "generateContent")
    assert headers[head] == SECRET
    assert "Say hello in five languages." in json.dumps(body)
    assert page.inner_text("#p-answer") == TEXT
