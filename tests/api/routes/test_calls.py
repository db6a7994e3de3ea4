"""Calls one by one over HTTP."""

from tests.api.conftest import Api, event, fresh


def test_calls_are_listed_and_filtered(api: Api) -> None:
    """Calls come the newest first, a page at a time, with what each cost, and only those that are asked for."""
    team = fresh("team")
    times = ["2026-11-01T10:00:00Z", "2026-11-01T11:00:00Z", "2026-11-02T10:00:00Z"]
    lines = [event(team=team, at=at, user=f"u{number}") for number, at in enumerate(times)]
    lines[1]["model"], lines[1]["provider"] = "nobody-knows", "acme"
    api("POST", "/api/v1/events", lines)

    def users(**query: str) -> list[str]:
        found = api("GET", "/api/v1/calls", query={"team": team, **query}).json
        return [one["user"] for one in found["calls"]]

    first = api("GET", "/api/v1/calls", query={"team": team, "limit": "2"}).json
    assert [one["user"] for one in first["calls"]] == ["u2", "u1"]
    assert users(cursor=first["next_cursor"]) == ["u0"]
    assert users(status="unpriced") == ["u1"]
    assert users(status="ok", until="2026-11-02T00:00:00Z") == ["u0"]
    assert users(min_cost="0.0001") == ["u2", "u0"]
    assert users(user="u0") == ["u0"]
    assert first["calls"][0]["cost"] == "0.00021"
    assert first["calls"][0]["ms"] is None
    total = api("GET", "/api/v1/usage", query={"team": team, "status": "unpriced", "since": "2026-11-01"}).json["total"]
    assert (total["calls"], total["unpriced_calls"]) == (1, 1)
