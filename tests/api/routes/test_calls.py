"""Calls one by one over HTTP."""

import pytest
from tests.api.conftest import Api, event, fresh

from pertoken.api.routes import calls


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


def test_pages_with_a_least_cost_have_every_call_that_fits(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each page looks at few calls, and all together have what fits; a page without a next one is the last."""
    monkeypatch.setattr(calls, "LOOKED_MAX", 3)
    team = fresh("team")
    fits = {"input_tokens": 1, "output_tokens": 100_000}
    usage = [fits if number in {0, 6} else {"input_tokens": 1, "output_tokens": 1} for number in range(8)]
    lines = [
        event(team=team, at=f"2026-11-01T10:{number:02}:00Z", user=f"u{number}", usage=one)
        for number, one in enumerate(usage)
    ]
    api("POST", "/api/v1/events", lines)
    found: list[str] = []
    pages = 0
    cursor: dict[str, str] | None = {}
    while cursor is not None:
        page = api("GET", "/api/v1/calls", query={"team": team, "min_cost": "0.001", "limit": "1", **cursor}).json
        found += [one["user"] for one in page["calls"]]
        assert len(page["calls"]) <= 1
        cursor = {"cursor": page["next_cursor"]} if page["next_cursor"] else None
        pages += 1

    assert found == ["u6", "u0"]
    assert 3 <= pages <= 5
