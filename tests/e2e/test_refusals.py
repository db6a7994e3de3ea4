"""Refused calls of a running gateway are counted, and the last are explained, without a write in the call's path."""

import time
from typing import Any

import openai
import pytest
from openai import OpenAI
from tests.e2e.conftest import PATIENCE_S, Stack

from pertoken.core.periods import FOREVER_US
from pertoken.core.refusals import RefusedSearch
from pertoken.store.archive import Archive

MODEL = "gpt-4o-mini"
HELLO: list[Any] = [{"role": "user", "content": "hello"}]
SPOKEN = "what-only-this-client-says"


def refused_id(stack: Stack, secret: str, body: dict[str, Any] | None = None, **more: str) -> str:
    """Make a call that is refused; return its id."""
    sdk = OpenAI(base_url=f"{stack.gateway.url}/v1", api_key=secret, max_retries=0)
    with pytest.raises(openai.APIStatusError) as raised:
        sdk.chat.completions.create(model=MODEL, messages=HELLO, max_tokens=50, extra_headers=more, extra_body=body)
    return str(raised.value.response.headers["x-pertoken-call-id"])


def test_a_refused_call_is_explained(stack: Stack) -> None:
    """What a budget, an unknown key or a bad request refused is told with its reason; none of the request is kept."""
    budget = stack.set_budget("0.0000001", window="day", steps="refuse")
    of = {"x-pertoken-user": "ann", "x-pertoken-customer": f"{stack.name}-acme"}
    by_budget = [refused_id(stack, stack.secret, **of) for _ in range(3)]
    unknown = refused_id(stack, "sk-pt-nobody-has-this-one")
    bad = refused_id(stack, stack.secret, {"n": SPOKEN})
    deadline = time.monotonic() + PATIENCE_S
    while True:
        with stack.database.read() as connection:
            archive = Archive(connection)
            if archive.refused_call(bad) is not None:
                counts = archive.refused_counts(0, FOREVER_US)
                found = archive.refused_calls(RefusedSearch({"key": stack.key_id}, 0, FOREVER_US, 10))
                break
        assert time.monotonic() < deadline
        time.sleep(0.05)

    told = [stack.explain(one) for one in (by_budget[0], unknown, bad)]
    assert [one["status"] for one in told] == ["refused"] * 3
    assert [one["refusal"]["code"] for one in told] == ["budget_exceeded", "unknown_key", "invalid_request"]
    assert (told[0]["refusal"]["budget"], told[0]["attribution"]["user"]) == (budget, "ann")
    assert (told[0]["attribution"]["key"], told[0]["attribution"]["model"]) == (stack.key_id, MODEL)
    assert f"budget {budget!r}" in told[0]["refusal"]["message"]
    assert (told[1]["attribution"]["key"], told[2]["attribution"]["key"]) == (None, stack.key_id)
    assert SPOKEN not in str(told)
    assert {one.call_id for one in found} == {*by_budget, bad}
    of_key = {(kind.code, kind.budget): calls for kind, calls in counts.items() if kind.key == stack.key_id}
    assert of_key == {("budget_exceeded", budget): 3, ("invalid_request", ""): 1}
    assert stack.differences() == []
