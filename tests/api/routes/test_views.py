"""Saved views of Explore on the control plane: whose they are, who may use them, and what is none."""

from typing import Any

import pytest
from tests.api.conftest import Api, fresh

from pertoken.core.access import Role
from pertoken.core.saved_views import QUERY_MAX, VIEWS_MAX

QUERY = "metric=cost&by=model&range=30d"


def save(api: Api, name: str, **fields: Any) -> dict[str, Any]:
    """Save a view."""
    reply = api("POST", "/api/v1/views", {"name": name, "query": QUERY, **fields})
    assert reply.status == 201, reply.raw
    return dict(reply.json)


def names(api: Api) -> set[str]:
    """Return the names of the views that may be used."""
    return {one["name"] for one in api("GET", "/api/v1/views", query={"limit": "1000"}).json["views"]}


def test_a_view_is_kept_listed_and_removed(api: Api) -> None:
    """A view is listed as it was saved until it is removed; then it is not there."""
    mine, name = api.as_role(Role.VIEWER), fresh("view")
    made = save(mine, name)

    assert (made["query"], made["shared"], made["is_own"]) == (QUERY, False, True)
    assert mine("GET", "/api/v1/views").json["views"] == [made]
    assert mine("DELETE", f"/api/v1/views/{made['id']}").status == 200
    assert mine("GET", "/api/v1/views").json["views"] == []
    assert mine("DELETE", f"/api/v1/views/{made['id']}").status == 404


def test_saving_again_replaces_ones_own(api: Api) -> None:
    """A view of the same name takes the place of one's own, and leaves that of another as it is."""
    mine, other, name = api.as_role(Role.VIEWER), api.as_role(Role.VIEWER), fresh("view")
    save(other, name)
    save(mine, name)
    save(mine, name, query="metric=calls")

    assert [one["query"] for one in mine("GET", "/api/v1/views").json["views"] if one["is_own"]] == ["metric=calls"]
    assert [one["query"] for one in other("GET", "/api/v1/views").json["views"] if one["is_own"]] == [QUERY]


# (who shares, who looks) -> whether it is seen
SEEN = [
    (("viewer", ""), ("finance", ""), True),
    (("admin", ""), ("viewer", ""), True),
    (("viewer", ""), ("team_owner", "a"), False),
    (("viewer", ""), ("customer", "a"), False),
    (("team_owner", "a"), ("team_owner", "a"), True),
    (("team_owner", "a"), ("team_owner", "b"), False),
    (("team_owner", "a"), ("customer", "a"), False),
    (("team_owner", "a"), ("admin", ""), False),
    (("customer", "a"), ("customer", "a"), True),
    (("customer", "a"), ("customer", "b"), False),
]


@pytest.mark.parametrize(("by", "to", "is_seen"), SEEN)
def test_a_view_is_shared_with_who_sees_as_much(
    api: Api, by: tuple[str, str], to: tuple[str, str], is_seen: bool
) -> None:
    """A shared view is for admin keys that see the same; one that is not shared is its owner's alone."""
    tag = fresh("of")
    owner, other = (api.as_role(Role(role), of + tag) for role, of in (by, to))
    shared, private = fresh("shared"), fresh("private")
    made = save(owner, shared, shared=True)
    save(owner, private)

    assert {shared, private} <= names(owner)
    assert (shared in names(other), private in names(other)) == (is_seen, False)
    if not is_seen:
        assert other("DELETE", f"/api/v1/views/{made['id']}").status == 404


def test_who_may_remove_a_shared_view(api: Api) -> None:
    """A shared view is removed by its owner or an admin; another who sees it is refused."""
    owner, other = api.as_role(Role.FINANCE), api.as_role(Role.VIEWER)
    first, second = (save(owner, fresh("view"), shared=True)["id"] for _ in range(2))

    refused = other("DELETE", f"/api/v1/views/{first}")
    assert (refused.status, refused.json["code"]) == (403, "forbidden")
    assert api.as_role(Role.ADMIN)("DELETE", f"/api/v1/views/{first}").status == 200
    assert owner("DELETE", f"/api/v1/views/{second}").status == 200


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"name": ""}, "name"),
        ({"name": " x"}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"name": "a\u202eb"}, "name"),
        ({"query": "x" * (QUERY_MAX + 1)}, "query"),
        ({"query": "a b"}, "query"),
        ({"query": "a\n"}, "query"),
        ({"query": "ä"}, "query"),
        ({"query": 5}, "query"),
        ({"shared": "yes"}, "shared"),
    ],
)
def test_what_is_no_view_is_refused(api: Api, fields: dict[str, Any], param: str) -> None:
    """What cannot be kept is refused with the name of its field, and nothing is kept."""
    mine = api.as_role(Role.VIEWER)
    reply = mine("POST", "/api/v1/views", {"name": fresh("view"), "query": QUERY, **fields})

    assert (reply.status, reply.json["param"]) == (422, param)
    assert not any(one["is_own"] for one in mine("GET", "/api/v1/views").json["views"])


def test_one_person_has_so_many_views(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the limit a new name is refused, and one's own of the same name is still replaced."""
    assert VIEWS_MAX == 200
    monkeypatch.setattr("pertoken.services.saved_views.VIEWS_MAX", 2)
    mine = api.as_role(Role.VIEWER)
    save(mine, "one")
    save(mine, "two")
    reply = mine("POST", "/api/v1/views", {"name": "three", "query": QUERY})

    assert (reply.status, reply.json["param"]) == (422, "name")
    assert save(mine, "two", query="metric=calls")["query"] == "metric=calls"
