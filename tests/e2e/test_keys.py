"""Keys that end, are rotated and revoked; and nothing secret where it does not belong."""

import itertools
import re
import time
from typing import Any

import openai
import pytest
from openai import OpenAI
from tests.e2e.conftest import HASHER, Stack, one_store

from pertoken.services import keys
from pertoken.store.administration import Administration

MODEL = "gpt-4o-mini"
SPOKEN = "the-prompt-that-nobody-may-read"
SOON_US = 700_000
PATIENCE_US = 60 * 10**6
HELLO: list[Any] = [{"role": "user", "content": f"hello {SPOKEN}"}]


def ask(stack: Stack, secret: str, **more: Any) -> Any:
    """Make one call."""
    sdk = OpenAI(base_url=f"{stack.gateway.url}/v1", api_key=secret, max_retries=0)
    return sdk.chat.completions.create(model=MODEL, messages=HELLO, **more)


def until_refused(stack: Stack, secret: str, ends_at_us: int) -> int:
    """Call until the key is refused, which must not be before its end; return how many calls were served."""
    for served in itertools.count():
        try:
            ask(stack, secret)
        except openai.AuthenticationError:
            assert stack.clock.now_us() >= ends_at_us
            return served
        assert stack.clock.now_us() < ends_at_us + PATIENCE_US, "the key does not end"
    raise AssertionError


def refused(stack: Stack, secret: str) -> str:
    """Return why a call and the list of models are refused, both in the client's own format."""
    with pytest.raises(openai.AuthenticationError) as listed:
        OpenAI(base_url=f"{stack.gateway.url}/v1", api_key=secret, max_retries=0).models.list()
    with pytest.raises(openai.AuthenticationError) as raised:
        ask(stack, secret)
    assert listed.value.code == raised.value.code == "unknown_key"
    return str(raised.value)


def test_a_key_ends_when_it_says(stack: Stack) -> None:
    """Until its time a key is served, from then on refused, without anybody doing anything."""
    now_us = stack.clock.now_us()
    _, lasting = stack.new_key(f"{stack.name}-lasts", expires_at_us=now_us + 3_600 * 10**6)
    _, secret = stack.new_key(f"{stack.name}-ends", expires_at_us=now_us + SOON_US)
    until_refused(stack, secret, now_us + SOON_US)
    assert re.search(r"ended at 20\S+Z; for another: pertoken key rotate key_", refused(stack, secret))
    assert ask(stack, lasting)


def test_a_rotated_key_has_two_secrets_for_a_while(stack: Stack) -> None:
    """Old and new secret are one key until the overlap is over; a second rotation ends the oldest at once."""
    oldest = stack.secret

    def rotate(overlap_us: int) -> str:
        with stack.database.write() as connection:
            administration = Administration(connection)
            key = keys.find_key(administration, stack.key_id)
            assert key is not None
            return keys.rotate_key(administration, stack.clock, HASHER, key, overlap_us).secret

    second = rotate(3600 * 10**6)
    assert ask(stack, oldest)
    assert ask(stack, second)
    ends_at_us = stack.clock.now_us() + SOON_US
    third = rotate(SOON_US)
    assert ask(stack, third)
    served = until_refused(stack, second, ends_at_us)
    assert "ended at" in refused(stack, second)
    assert "unknown or revoked" in refused(stack, oldest)
    assert ask(stack, third)
    assert len(stack.settled(4 + served)) == 4 + served


def test_a_revoked_key_is_refused_everywhere_at_once(stack: Stack) -> None:
    """Nothing is served from the moment that the revocation is on disk, not even what costs nothing."""
    assert ask(stack, stack.secret)
    for _ in range(5):
        key_id, secret = stack.new_key(f"{stack.name}-{time.time_ns()}")
        assert ask(stack, secret)
        with stack.database.write() as connection:
            Administration(connection).revoke_key(key_id, stack.clock.now_us())
        assert "unknown or revoked" in refused(stack, secret)


@one_store
@pytest.mark.parametrize("fault", ["http_500", "http_429", "close_before_headers", "cut_midstream", "garbage_usage"])
def test_neither_keys_nor_prompts_are_logged(stack: Stack, fault: str) -> None:
    """Whatever fails, the log and what is kept of the call name neither secrets nor what was asked."""
    for stream in (False, True):
        try:
            made = ask(stack, stack.secret, stream=stream, extra_headers={"x-sim-fault": fault})
            _ = list(made) if stream else made
        except openai.APIError:
            pass
    with pytest.raises(openai.AuthenticationError):
        ask(stack, stack.secret + "x")
    kept = stack.log() + "".join(repr(event) for event in stack.events())

    for secret in (stack.secret, "sk-provider-openai", SPOKEN):
        assert secret not in kept
