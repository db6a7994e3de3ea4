"""The control plane of a running gateway, beside the calls that it serves."""

import json
import urllib.error
import urllib.request
from typing import Any

import pytest
from openai import APIStatusError, OpenAI
from tests.e2e.conftest import HASHER, Stack

from pertoken.core.access import Role
from pertoken.services.admins import create_admin
from pertoken.store.admins import AdminKeys


def test_a_key_and_its_budget_made_over_http_serve_calls(stack: Stack) -> None:
    """A team owner makes a key and a budget; its calls are served, counted, refused at the limit, explained."""
    team = stack.name
    with stack.database.write() as connection:
        admin = create_admin(AdminKeys(connection), stack.clock, HASHER, team, Role.TEAM_OWNER, team=team)

    def ask(method: str, path: str, body: Any = None) -> Any:
        raw = None if body is None else json.dumps(body).encode()
        headers = {"authorization": f"Bearer {admin.secret}", "content-type": "application/json"}
        request = urllib.request.Request(f"{stack.gateway.url}/api/v1/{path}", raw, headers, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read())

    made = ask("POST", "keys", {"name": f"{team}-app"})
    ask("PUT", f"budgets/{team}", {"limit": 1, "axis": "requests", "window": "total"})
    client = OpenAI(base_url=f"{stack.gateway.url}/v1", api_key=made["secret"], max_retries=0)
    served = client.chat.completions.with_raw_response.create(
        model="gpt-4o-mini", messages=[{"role": "user", "content": "hello"}]
    )
    call_id = served.headers["x-pertoken-call-id"]
    with pytest.raises(APIStatusError) as refused:
        client.chat.completions.create(model="gpt-4o-mini", messages=[{"role": "user", "content": "hello"}])

    assert refused.value.status_code in (402, 429)
    [counted] = ask("GET", f"budgets/{team}")["standing"]
    assert (counted["spent"], counted["held"], counted["remaining"]) == (1, 0, 0)
    [event] = ask("GET", "events")["events"]
    assert (event["id"].partition(".")[0], event["key"], event["source"]) == (call_id, made["id"], "gateway")
    assert ask("GET", f"calls/{call_id}")["cost"] == event["cost"]
    assert ask("GET", "holds")["holds"] == []
    ask("DELETE", f"keys/{made['id']}")
    with pytest.raises(APIStatusError) as revoked:
        client.chat.completions.create(model="gpt-4o-mini", messages=[{"role": "user", "content": "hello"}])
    assert revoked.value.status_code == 401
    with pytest.raises(urllib.error.HTTPError) as forbidden:
        ask("GET", "verify")
    assert forbidden.value.code == 403
    forbidden.value.close()
    assert stack.differences() == []
