import http.client
import json
from typing import Any
from urllib.parse import urlsplit

import pytest
from tests.bad_inputs import LONG, RAW, lacking, rows
from tests.e2e.conftest import Stack, one_store

pytestmark = one_store

CHAT = json.dumps({"model": "gpt-4o-mini", "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]}).encode()


def ask(stack: Stack, secret: str, headers: dict[str, str]) -> tuple[int, str, str]:
    """Return status, warnings and body of a call; each character of a header's value is a byte."""
    parts = urlsplit(stack.gateway.url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 0, timeout=30)
    sent = {"authorization": f"Bearer {secret}", "content-type": "application/json", **headers}
    try:
        connection.request("POST", "/v1/chat/completions", CHAT, sent)
        answer = connection.getresponse()
        return answer.status, ", ".join(answer.headers.get_all("x-pertoken-warning", [])), answer.read().decode()
    finally:
        connection.close()


@pytest.mark.parametrize("row", rows("gateway"))
def test_headers(stack: Stack, row: dict[str, Any]) -> None:
    """A header that is not understood is told: by a warning in the answer, or by a refusal."""
    secret = stack.secret
    if "key" in row:
        secret = stack.new_key(f"{stack.name}-of", **row["key"])[1]
    headers = {name: value.replace("{long}", LONG) for name, value in row["headers"].items()}
    status, warning, body = ask(stack, secret, headers)

    assert status == row.get("status", 200), body
    assert [piece for piece in row.get("warning", []) if piece not in warning] == [], warning
    assert lacking({"says": row.get("says", [])}, body) == []
    assert RAW.findall(warning) == []


def test_good_headers_have_no_warning(stack: Stack) -> None:
    """What is understood is not warned about."""
    good = {
        "x-pertoken-customer": "acme",
        "x-pertoken-user": "ann",
        "x-pertoken-conversation": "c",
        "x-pertoken-tags": "a=1,b=2",
    }
    others = dict.fromkeys(("x-partner-user", "x-person-user", "x-token-user", "x-user", "x-proxy-token-customer"), "1")

    assert ask(stack, stack.secret, {**good, **others})[:2] == (200, "")
