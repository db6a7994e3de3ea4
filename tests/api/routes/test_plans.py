"""Plans and subscriptions on the control plane."""

from typing import Any

import pytest
from tests.api.conftest import Api, fresh

FILE = """
plan: {name}
version: {version}
currency: USD
charges:
  - {{name: calls, meter: {{unit: calls}}, model: unit, price: "{price}"}}
"""


def content(name: str, version: int = 1, price: str = "0.5", more: str = "") -> str:
    """Return the file of a plan."""
    return FILE.format(name=name, version=version, price=price) + more


def test_a_plan_is_applied_and_shown(api: Api) -> None:
    """A plan is shown as it was written, and listed without its file; the same again changes nothing."""
    name = fresh("plan")
    file = content(name)
    made, again = (api("POST", "/api/v1/plans", {"content": file}) for _ in range(2))
    listed = [one for one in api("GET", "/api/v1/plans", query={"limit": "1000"}).json["plans"] if one["plan"] == name]

    assert made.status == 201
    assert made.json["content"] == file
    assert again.json == made.json == api("GET", f"/api/v1/plans/{name}").json
    assert listed == [{**made.json, "content": None}]


def test_a_customer_is_subscribed(api: Api) -> None:
    """A subscription is listed with the instant from which it counts, and can be ended."""
    name, customer = fresh("plan"), fresh("customer")
    api("POST", "/api/v1/plans", {"content": content(name)})
    made = api("POST", "/api/v1/subscriptions", {"customer": customer, "plan": name})
    ended = api("POST", "/api/v1/subscriptions", {"customer": customer, "from": "2999-01-01T00:00:00Z"})
    listed = api("GET", "/api/v1/subscriptions", query={"customer": customer}).json["subscriptions"]

    assert (made.status, made.json["plan"], ended.json["plan"]) == (201, name, None)
    assert listed == [made.json, ended.json]


@pytest.mark.parametrize(
    ("path", "body", "param", "says"),
    [
        ("plans", {"content": "plan: p\nversion: 1\n"}, "content", "line 1: object missing required field"),
        ("plans", {"content": content("x", price="much")}, "content", "line 6: charges[0].price: not a decimal amount"),
        ("plans", {"content": ""}, "content", ""),
        ("plans", {}, "content", ""),
        ("subscriptions", {"customer": "acme", "plan": "no-such-plan"}, "plan", "no version of plan 'no-such-plan'"),
        ("subscriptions", {"customer": "acme", "from": "2020-01-01T00:00:00Z"}, "from", "`from` must not be past"),
        ("subscriptions", {"customer": "a\nb"}, "customer", ""),
    ],
)
def test_what_is_refused(api: Api, path: str, body: dict[str, Any], param: str, says: str) -> None:
    """What is wrong is named, with the reason; nothing is kept."""
    reply = api("POST", f"/api/v1/{path}", body)

    assert (reply.status, reply.json["param"]) == (422, param)
    assert reply.json["message"].startswith(says)


def test_what_was_applied_stays(api: Api) -> None:
    """Another content under the number of a version is refused, and so is a lower number."""
    name = fresh("plan")
    api("POST", "/api/v1/plans", {"content": content(name, 2)})
    other = api("POST", "/api/v1/plans", {"content": content(name, 2, "0.6")})
    lower = api("POST", "/api/v1/plans", {"content": content(name, 1)})

    assert (other.status, lower.status) == (422, 422)
    assert api("POST", "/api/v1/subscriptions", {"customer": "acme", "from": "soon"}).status == 400
    assert "other content" in other.json["message"]
    assert "is below version 2" in lower.json["message"]
    assert api("GET", "/api/v1/plans/nothing-there").status == 404
