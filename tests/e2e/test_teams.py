"""Two teams on one running gateway: the key of one cannot name the customers of the other; strangers fill nothing."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest
from google import genai
from google.genai import errors
from openai import OpenAI
from tests.e2e.conftest import HASHER, Process, Stack, gateway_environ, stack_of_its_own, start

from pertoken.core.access import Role
from pertoken.services.admins import create_admin
from pertoken.store.admins import AdminKeys

MODEL = "gpt-4o-mini"
HELLO: list[Any] = [{"role": "user", "content": "hello"}]
USED = {"input_tokens": 9}
BOUNDS = {"CUSTOMERS": "3", "USERS": "3", "CONVERSATIONS": "3", "TAG_VALUES": "4", "SERIES": "1000"}


@dataclass
class Team:
    """The owner of a team on the control plane, and a key of the team."""

    stack: Stack
    name: str
    owner: str
    key: str = ""

    def ask(self, method: str, path: str, body: Any = None, *, of: str | None = None) -> tuple[int, Any]:
        """Ask the control plane; return the status and the answer."""
        raw = None if body is None else json.dumps(body).encode()
        headers = {"authorization": f"Bearer {of or self.owner}", "content-type": "application/json"}
        request = urllib.request.Request(f"{self.stack.gateway.url}/api/v1/{path}", raw, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.loads(error.read())

    def call(self, **attributed: str) -> Any:
        """Make a call whose client names customer, user, conversation or tags; return the answer with its head."""
        return call(self.stack, self.key, **attributed)


def call(stack: Stack, secret: str, **attributed: str) -> Any:
    """Make a call with a key."""
    sdk = OpenAI(base_url=f"{stack.gateway.url}/v1", api_key=secret, max_retries=0)
    headers = {f"x-pertoken-{name}": value for name, value in attributed.items()}
    return sdk.chat.completions.with_raw_response.create(
        model=MODEL, messages=HELLO, max_tokens=5, extra_headers=headers
    )


def make_admin(stack: Stack, name: str, role: Role, team: str | None = None) -> str:
    """Return the secret of a new admin key."""
    with stack.database.write() as connection:
        return create_admin(AdminKeys(connection), stack.clock, HASHER, name, role, team=team).secret


def make_team(stack: Stack, name: str) -> Team:
    """Return a team with a key."""
    team = Team(stack, name, make_admin(stack, name, Role.TEAM_OWNER, name))
    team.key = team.ask("POST", "keys", {"name": "app"})[1]["secret"]
    return team


def test_teams_cannot_spend_for_each_others_customers(stack: Stack) -> None:
    """By header, by key or by report, a team neither uses up another's customer nor a budget of all."""
    mine, other = make_team(stack, f"{stack.name}-mine"), make_team(stack, f"{stack.name}-other")
    admin, customer = make_admin(stack, f"{stack.name}-admin", Role.ADMIN), f"{stack.name}-acme"
    budget = stack.set_budget("3", axis="requests", window="total", scope={"customer": customer})
    other.call(customer=customer)
    event = {
        "id": "1",
        "at": "2026-11-01T00:00:00Z",
        "provider": "openai",
        "model": MODEL,
        "usage": {"input_tokens": 9},
    }

    with pytest.raises(openai.PermissionDeniedError) as refused:
        mine.call(customer=customer)
    assert refused.value.code == "forbidden"
    assert f"pertoken admin team {mine.name} --customer {customer}" in refused.value.message
    assert mine.ask("POST", "keys", {"name": "theirs", "customer": customer})[0] == 403
    assert mine.ask("POST", "events", {**event, "customer": customer})[0] == 403
    assert mine.ask("PUT", f"teams/{mine.name}", {"reports": {"money": "1"}}, of=admin)[0] == 200
    assert mine.ask("POST", "events", {**event, "customer": customer})[0] == 403
    assert mine.ask("POST", "events", event)[1]["accepted"] == 1
    assert (stack.budget(budget)["spent"], other.call(customer=customer).status_code) == (1, 200)

    assert mine.ask("PUT", f"teams/{mine.name}", {"customers": [customer]}, of=admin)[0] == 200
    assert mine.call(customer=customer).status_code == 200
    assert mine.ask("PUT", f"teams/{mine.name}", {"without": [customer]}, of=admin)[0] == 200
    with pytest.raises(openai.PermissionDeniedError):
        mine.call(customer=customer)
    assert stack.budget(budget)["spent"] == 3
    assert stack.differences() == []


def test_every_sdk_understands_the_refusal(stack: Stack) -> None:
    """Each official SDK raises its own exception for a customer that is another team's."""
    mine, other = make_team(stack, f"{stack.name}-mine"), make_team(stack, f"{stack.name}-other")
    headers = {"x-pertoken-customer": f"{stack.name}-acme"}
    other.call(customer=f"{stack.name}-acme")
    claude = anthropic.Anthropic(base_url=stack.gateway.url, api_key=mine.key, max_retries=0)
    gemini = genai.Client(api_key=mine.key, http_options={"base_url": stack.gateway.url, "headers": headers})

    with pytest.raises(anthropic.PermissionDeniedError) as raised:
        claude.messages.create(model="claude-haiku-4-5", max_tokens=5, messages=HELLO, extra_headers=headers)
    assert raised.value.body["error"]["type"] == "permission_error"  # type: ignore[index]
    with pytest.raises(errors.ClientError) as told:
        gemini.models.generate_content(model="gemini-2.0-flash", contents="hello")
    assert (told.value.code, told.value.status) == (403, "PERMISSION_DENIED")


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory, simulator: Process) -> Iterator[Stack]:
    """Return a gateway on which a key may name very few."""
    folder = tmp_path_factory.mktemp("narrow")
    bounds = {f"PERTOKEN_LIMITS__KEY_{name}_MAX": value for name, value in BOUNDS.items()}
    with stack_of_its_own(folder, simulator, **bounds) as stack:
        yield stack


def names(stack: Stack, key_id: str, column: str) -> set[str]:
    """Return what the database has of a key's users, customers or tags."""
    with stack.database.read() as connection:
        rows = connection.exec_driver_sql(f"SELECT {column} FROM series WHERE key_id = '{key_id}'")  # noqa: S608
        return {row[0] for row in rows}


@pytest.mark.parametrize(
    ("dimension", "kept"), [("user", {"v0", "v1", "v2", "other"}), ("conversation", {"v0", "v1", "v2", "other"})]
)
def test_what_a_key_names_beyond_its_bound_is_other(narrow: Stack, dimension: str, kept: set[str]) -> None:
    """New users and conversations beyond the bound become `other`, as the answer says; known ones stay as they are."""
    key_id, secret = narrow.new_key(dimension)
    folded = [call(narrow, secret, **{dimension: f"v{n}"}).headers.get("x-pertoken-folded") for n in range(6)]
    again = call(narrow, secret, **{dimension: "v1"}).headers.get("x-pertoken-folded")
    narrow.key_id = key_id
    events = narrow.settled(7)

    assert folded == [None] * 3 + [dimension] * 3
    assert again is None
    assert {getattr(event.attribution, dimension) for event in events} == kept
    assert narrow.differences() == []


def test_tags_beyond_the_bound_are_other(narrow: Stack) -> None:
    """A new value of a known tag becomes `other`, and so does a new tag; the rows stay few whatever strangers send."""
    key_id, secret = narrow.new_key("tags", tags={"app": "web"})
    for number in range(4):
        call(narrow, secret, tags=f"feature=f{number}")
    folded = [
        call(narrow, secret, tags=f"feature=x{n},{'y' * 200}{n}={'z' * 250}").headers["x-pertoken-folded"]
        for n in range(5)
    ]

    assert all(said.startswith("tag:feature, tag:yyy") for said in folded)
    with narrow.database.read() as connection:
        tags = {row[0] for row in connection.exec_driver_sql(f"SELECT tags FROM series WHERE key_id = '{key_id}'")}  # noqa: S608
    found = [json.loads(one) for one in tags]
    assert {one.get("feature") for one in found} == {"f0", "f1", "f2", "other"}
    assert {"app": "web", "feature": "other", "other": "other"} in found
    assert all(one["app"] == "web" for one in found)
    assert len(found) <= 5


def test_a_customer_beyond_the_bound_is_refused(narrow: Stack) -> None:
    """A customer is charged, so it is never folded: a new one beyond the bound is refused, a known one is served."""
    key_id, secret = narrow.new_key("customers")
    for number in range(3):
        call(narrow, secret, customer=f"c{number}")
    with pytest.raises(openai.PermissionDeniedError) as refused:
        call(narrow, secret, customer="c3")

    assert "limits.key_customers_max" in refused.value.message
    assert call(narrow, secret, customer="c1").status_code == 200
    assert names(narrow, key_id, "customer") == {"c0", "c1", "c2"}


def test_bounds_hold_after_a_restart(tmp_path: Path, simulator: Process) -> None:
    """A gateway that starts anew knows what keys have named: users, today's conversations, and whose customers are."""
    bounds = {f"PERTOKEN_LIMITS__KEY_{name}_MAX": value for name, value in BOUNDS.items()}
    with stack_of_its_own(tmp_path, simulator, **bounds) as stack:
        red = make_team(stack, "red").key
        for number in range(3):
            call(stack, red, user=f"u{number}", conversation=f"t{number}", customer="acme")
        stack.gateway.stop()
        environ = gateway_environ(simulator.url, tmp_path, **bounds)
        stack.gateway = start(["-m", "pertoken", "serve", "--port", "0"], environ, tmp_path / "again.log")
        said = call(stack, red, user="u9", conversation="t9", customer="acme").headers["x-pertoken-folded"]
        kept = call(stack, red, user="u1", conversation="t2", customer="acme").headers.get("x-pertoken-folded")
        blue = make_team(stack, "blue").key
        with pytest.raises(openai.PermissionDeniedError):
            call(stack, blue, customer="acme")

    assert (said, kept) == ("user, conversation", None)
