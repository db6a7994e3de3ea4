"""Counts that providers contradicted are told, and believed again when an operator says so."""

from typing import Any

from tests.api.conftest import Api, fresh
from tests.factories import event, hold

from pertoken.core.access import Role
from pertoken.core.commands import OpenHold, Settle
from pertoken.core.trust import WHOLE, Disagreement, Measured


def contradict(api: Api, model: str) -> str:
    """Settle a call whose provider counted 2,512 tokens where we counted 1,024; return its id."""
    opened = hold(fresh("call"))

    async def settle() -> Any:
        await api.committer.submit(OpenHold(opened, api.committer.directory.revision))
        told = Disagreement("openai", model, Measured(1_000, 1_024, 4_200), 2_512)
        return await api.committer.submit(Settle(opened.hold_id, event(opened), disagreement=told))

    api.run(settle())
    return opened.hold_id


def test_a_contradicted_count_is_told_and_reset(api: Api) -> None:
    """It says of which model, by how much and which call showed it; after a reset the gateway believes its count."""
    model = f"meta/{fresh('model')}"  # a name with a slash
    call_id = contradict(api, model)
    [told] = [one for one in api("GET", "/api/v1/counts").json["counts"] if one["model"] == model]

    assert told.pop("changed_at")
    assert told == {
        "name": f"openai/{model}", "provider": "openai", "model": model, "ratio_percent": 255,
        "byte_ratio_percent": 100, "constant_tokens": 0, "counted_tokens": 1_024, "reported_tokens": 2_512,
        "call_id": call_id,
    }  # fmt: skip
    assert api.committer.directory.trust("openai", model) != WHOLE
    assert api("DELETE", f"/api/v1/counts/openai/{model}").json == {"name": f"openai/{model}", "reset": True}
    assert api("DELETE", f"/api/v1/counts/openai/{model}").status == 404
    assert api("DELETE", "/api/v1/counts/openai").status == 404
    assert model not in api("GET", "/api/v1/counts").raw.decode()


def test_counts_come_in_pages(api: Api) -> None:
    """Cursors lead through all of them, by provider and model, each once."""
    models = sorted(fresh("model") for _ in range(3))
    for model in models:
        contradict(api, model)
    seen: list[str] = []
    cursor = None
    while True:
        query = {"limit": 2, **({} if cursor is None else {"cursor": cursor})}
        page = api("GET", "/api/v1/counts", query=query).json
        seen += [one["model"] for one in page["counts"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break

    assert [model for model in seen if model in models] == models
    assert len(set(seen)) == len(seen)


def test_who_may_see_them(api: Api) -> None:
    """They name the calls of others, so a team's owner and a customer see none."""
    contradict(api, fresh("model"))
    for role in Role:
        whole = role in (Role.ADMIN, Role.FINANCE, Role.VIEWER)
        assert (api.as_role(role)("GET", "/api/v1/counts").status == 200) == whole
