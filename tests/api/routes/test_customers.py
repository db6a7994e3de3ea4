"""Customers on the control plane."""

from typing import Any

import pytest
from tests.api.conftest import Api, event, fresh

from pertoken.core.access import Role
from pertoken.core.customers import DEPTH_MAX

PATH = "/api/v1/customers"


def make(api: Api, **fields: Any) -> str:
    """Make a customer; return its id."""
    reply = api("POST", PATH, {"id": fresh("customer"), **fields})
    assert reply.status == 201, reply.raw
    return str(reply.json["id"])


def test_a_customer_is_made_shown_changed_and_closed(api: Api) -> None:
    """A customer has what was said; a change leaves the other fields; a closed one stays as it was closed."""
    parent, team = make(api), fresh("team")
    body = {
        "id": fresh("a/b c"), "name": "Acme", "currency": "EUR", "timezone": "Europe/Berlin", "parent": parent,
        "team": team, "metadata": {"crm": "17"}, "from": "2026-01-01T00:00:00Z",
    }  # fmt: skip
    made = api("POST", PATH, body).json
    path = f"{PATH}/{body['id']}"

    assert {name: made[name] for name in body} == body
    assert (made["state"], made["closed_at"]) == ("open", None)
    assert api("GET", path).json == made
    assert api("GET", f"/api/v1/teams/{team}").json["customers"] == [body["id"]]
    changed = api("PUT", path, {"name": "Acme Ltd", "parent": None, "metadata": {}}).json
    assert changed == {**made, "name": "Acme Ltd", "parent": None, "metadata": {}}
    closed = api("DELETE", path).json
    assert closed == {**changed, "state": "closed", "closed_at": closed["closed_at"]}
    assert api("DELETE", path).json == closed
    assert api("PUT", path, {"from": "2025-01-01T00:00:00Z"}).json["from"] == "2025-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("fields", "status", "param", "word"),
    [
        ({"currency": "XYZ"}, 422, "currency", "ISO 4217"),
        ({"currency": "euro"}, 422, "currency", ""),
        ({"timezone": "Europe/Berln"}, 422, "timezone", "did you mean 'Europe/Berlin'?"),
        ({"parent": "there-is-none"}, 422, "parent", "no customer 'there-is-none'"),
        ({"id": "a\x1bb"}, 422, "id", ""),
        ({"id": " a"}, 422, "id", "blank"),
        ({"id": ""}, 422, "id", ""),
        ({"name": "a\u202eb"}, 422, "name", ""),
        ({"metadata": {str(number): "" for number in range(51)}}, 422, "metadata", ""),
        ({"metadata": {"n": "v" * 501}}, 422, "metadata", ""),
        ({"metadata": {"n" * 65: "v"}}, 422, "metadata", "65 characters"),
        ({"metadata": {"n": 1}}, 422, "metadata", ""),
        ({"from": "yesterday"}, 400, "from", ""),
        ({"from": "2999-01-01T00:00:00Z"}, 422, "from", "later than now"),
        ({"owner": "x"}, 422, None, ""),
    ],
)
def test_a_customer_that_cannot_be_is_refused(
    api: Api, fields: dict[str, Any], status: int, param: str | None, word: str
) -> None:
    """A wrong field is named, and no customer is made."""
    body = {"id": fresh("customer"), **fields}
    reply = api("POST", PATH, body)

    assert reply.status == status, reply.raw
    assert word in reply.json["message"]
    assert param is None or str(reply.json["param"]).startswith(param)
    assert body["id"] not in api("GET", PATH, query={"limit": "1000"}).raw.decode() or not body["id"]


def test_a_customer_is_made_once(api: Api) -> None:
    """A second one of that id is a conflict; a repeated request with its name has the first answer."""
    body = {"id": fresh("customer")}
    first = api("POST", PATH, body, idempotency_key=body["id"])
    again = api("POST", PATH, body, idempotency_key=body["id"])

    assert (first.status, again.status, again.json) == (201, 201, first.json)
    assert again.headers["idempotency-replayed"] == "true"
    refused = api("POST", PATH, {**body, "currency": "EUR"})
    assert (refused.status, refused.json["code"], refused.json["param"]) == (409, "name_taken", "id")
    assert api("GET", f"{PATH}/{body['id']}").json == first.json


def test_customers_are_a_tree(api: Api) -> None:
    """No customer is above itself, none is too deep, and none with an open child is closed."""
    top = make(api)
    line = [top]
    while len(line) < DEPTH_MAX:
        line.append(make(api, parent=line[-1]))
    for parent, word in ((top, "its own parent"), (line[1], "is below"), (line[-1], "is below")):
        reply = api("PUT", f"{PATH}/{top}", {"parent": parent})
        assert (reply.status, reply.json["param"]) == (422, "parent")
        assert word in reply.json["message"]
    assert "levels" in api("POST", PATH, {"id": fresh("customer"), "parent": line[-1]}).json["message"]
    above = make(api)
    assert "levels" in api("PUT", f"{PATH}/{top}", {"parent": above}).json["message"]
    assert api("PUT", f"{PATH}/{line[1]}", {"parent": above}).status == 200
    closed = api("DELETE", f"{PATH}/{line[-2]}")
    assert (closed.status, line[-1] in closed.json["message"]) == (422, True)
    assert api("DELETE", f"{PATH}/{line[-1]}").json["state"] == "closed"
    assert api("DELETE", f"{PATH}/{line[-2]}").json["state"] == "closed"
    assert "is closed" in api("POST", PATH, {"id": fresh("customer"), "parent": line[-1]}).json["message"]
    assert api("PUT", f"{PATH}/{line[-1]}", {"name": "below a closed one"}).status == 200


def test_customers_come_in_pages(api: Api) -> None:
    """Cursors lead through the customers of a filter by id, each once."""
    team = fresh("team")
    made = sorted(make(api, team=team) for _ in range(5))
    api("DELETE", f"{PATH}/{made[0]}")
    seen: list[str] = []
    query = {"team": team, "limit": "2"}
    while query.get("cursor") != "":
        answer = api("GET", PATH, query=query).json
        seen += [one["id"] for one in answer["customers"]]
        query["cursor"] = answer["next_cursor"] or ""

    assert seen == made
    for state, which in (("open", made[1:]), ("closed", made[:1])):
        found = api("GET", PATH, query={"team": team, "state": state}).json
        assert ([one["id"] for one in found["customers"]], found["next_cursor"]) == (which, None)
    assert api("GET", PATH, query={"state": "asleep"}).status == 400
    assert api("GET", PATH, query={"cursor": "x"}).status == 400


def test_a_team_has_its_own_customers(api: Api) -> None:
    """A team owner makes, sees and changes the customers of its team, and learns nothing of another's."""
    mine, other = fresh("team"), fresh("team")
    owner, stranger = api.as_role(Role.TEAM_OWNER, mine), api.as_role(Role.TEAM_OWNER, other)
    customer = make(owner)
    path = f"{PATH}/{customer}"

    assert owner("GET", path).json["team"] == mine
    assert owner("PUT", path, {"name": "Mine"}).json["name"] == "Mine"
    for team in (other, None):
        assert owner("PUT", path, {"team": team}).json["code"] == "forbidden"
    assert owner("POST", PATH, {"id": fresh("customer"), "team": other}).json["code"] == "forbidden"
    assert stranger("POST", PATH, {"id": customer}).json["code"] == "forbidden"
    for method, body in (("GET", None), ("PUT", {"name": "x"}), ("DELETE", None)):
        assert stranger(method, path, body).status == 404
    assert "no customer" in stranger("POST", PATH, {"id": fresh("customer"), "parent": customer}).json["message"]
    assert customer not in stranger("GET", PATH, query={"team": mine}).raw.decode()
    assert [one["id"] for one in owner("GET", PATH).json["customers"]] == [customer]
    assert owner("DELETE", path).json["state"] == "closed"


def test_changes_of_customers_are_written_down(api: Api) -> None:
    """Making, changing and closing are records with the object before and after, of its team."""
    team = fresh("team")
    customer = make(api, team=team)
    path = f"{PATH}/{customer}"
    api("PUT", path, {"currency": "EUR"})
    api("DELETE", path)
    found = api.as_role(Role.TEAM_OWNER, team)("GET", "/api/v1/audit").json["changes"]

    assert [(one["action"], one["object"]) for one in found] == [("customers.write", path)] * 3
    closed, changed, made = ((one["before"], one["after"]) for one in found)
    assert made[0] is None
    assert (changed[0]["currency"], changed[1]["currency"]) == ("USD", "EUR")
    assert (closed[0]["state"], closed[1]["state"]) == ("open", "closed")


def test_events_belong_to_the_life_of_their_customer(api: Api) -> None:
    """An event before the customer began or after it was closed is rejected and named; an unknown one may have any."""
    customer, unknown = make(api, **{"from": "2026-01-01T00:00:00Z"}), fresh("unknown")
    api("DELETE", f"{PATH}/{customer}")
    lines = [
        event(customer=customer, at="2025-12-31T23:59:59Z"),
        event(customer=customer, at="2026-01-01T00:00:00Z"),
        event(customer=customer, at="2999-01-01T00:00:00Z"),
        event(customer=unknown),
    ]
    tally = api("POST", "/api/v1/events", lines).json

    assert tally["accepted"] == 2
    assert [(one["line"], one["code"]) for one in tally["rejected"]] == [
        (1, "invalid_customer"),
        (3, "invalid_customer"),
    ]
    assert all(customer in one["message"] for one in tally["rejected"])
    alone = api("POST", "/api/v1/events", lines[0])
    assert (alone.status, customer in alone.json["message"]) == (422, True)
    used = api("GET", "/api/v1/events", query={"customer": customer}).json["events"]
    assert [one["at"] for one in used] == ["2026-01-01T00:00:00Z"]
