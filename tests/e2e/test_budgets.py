"""Budgets through the gateway: they hold, they say why, and they count from the next call on."""

import asyncio
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from tests.e2e.conftest import Stack

from pertoken.services.budgets import Wish, set_budget
from pertoken.store.administration import Administration

MODEL = "gpt-4o-mini"
HELLO: list[Any] = [{"role": "user", "content": "say hello in five languages"}]


def client(stack: Stack) -> OpenAI:
    """Return the SDK pointed at the gateway."""
    return OpenAI(base_url=f"{stack.gateway.url}/v1", api_key=stack.secret, max_retries=0)


def test_a_refusal_names_the_budget_and_the_next_step(stack: Stack) -> None:
    """402 says which budget, its limit, what is spent and held, when it resets, and the command to look further."""
    name = stack.set_budget("0.00001", window="day")
    with pytest.raises(openai.APIStatusError) as raised:
        client(stack).chat.completions.create(model=MODEL, messages=HELLO, max_tokens=1_000)

    assert raised.value.status_code == 402
    for said in (name, "0.00001 USD a day", "0 USD spent", "0 USD held", "resets at", "pertoken budget status"):
        assert said in raised.value.message
    assert raised.value.code == "budget_exceeded"
    assert stack.served()["calls"] == 0


def test_a_request_limit_is_429_with_retry_after(stack: Stack) -> None:
    """A budget of two requests a minute lets two through and tells the third when to come back."""
    stack.set_budget("2", axis="requests", window="minute")
    sdk = client(stack)
    answered = 0
    for _ in range(5):
        try:
            sdk.chat.completions.create(model=MODEL, messages=HELLO, max_tokens=10)
            answered += 1
        except openai.RateLimitError as error:
            assert 1 <= int(error.response.headers["retry-after"]) <= 60

    assert 2 <= answered <= 4  # four only if a minute turned in between


def test_a_token_budget_counts_input_and_output(stack: Stack) -> None:
    """A budget on tokens is spent by what calls really used."""
    name = stack.set_budget("1000000", axis="tokens", window="month")
    client(stack).chat.completions.create(model=MODEL, messages=HELLO, max_tokens=50)

    [event] = stack.settled(1)
    used = event.quantities["input_tokens"] + event.quantities["output_tokens"]
    assert stack.budget(name)["spent"] == used


def test_a_budget_never_overspends_under_concurrency(stack: Stack) -> None:
    """Of a hundred calls at once against a small budget, what is spent and held stays within it at all times."""
    name = stack.set_budget("0.002", window="total")
    seen: list[float] = []

    async def one(sdk: AsyncOpenAI, number: int) -> bool:
        try:
            await sdk.chat.completions.create(
                model=MODEL,
                messages=[{"role": "user", "content": f"call {number}"}],
                max_tokens=100,
                extra_headers={"x-sim-latency-ms": "20", "x-sim-output-tokens": "90"},
            )
        except openai.APIStatusError as error:
            assert error.status_code == 402
            return False
        return True

    async def watch(done: asyncio.Event) -> None:
        while not done.is_set():
            row = await asyncio.to_thread(stack.budget, name)
            seen.append(float(row["spent"]) + float(row["held"]))

    async def scene() -> int:
        done = asyncio.Event()
        watcher = asyncio.create_task(watch(done))
        async with AsyncOpenAI(base_url=f"{stack.gateway.url}/v1", api_key=stack.secret, max_retries=0) as sdk:
            answers = await asyncio.gather(*(one(sdk, number) for number in range(100)))
        done.set()
        await watcher
        return sum(answers)

    answered = asyncio.run(scene())

    assert 0 < answered < 100
    assert seen
    assert max(seen) <= 0.002
    stack.agrees(answered)


def test_a_concurrency_limit(stack: Stack) -> None:
    """A budget of one concurrent call refuses the second while the first runs, and lets it in afterwards."""
    stack.set_budget("1", axis="concurrent", window="total")

    sdk = client(stack)
    slowly = {"x-sim-output-tokens": "100", "x-sim-chunk-ms": "20"}
    running = sdk.chat.completions.create(model=MODEL, messages=HELLO, stream=True, extra_headers=slowly)
    next(iter(running))
    with pytest.raises(openai.RateLimitError):
        sdk.chat.completions.create(model=MODEL, messages=HELLO, max_tokens=10)
    assert list(running)
    sdk.chat.completions.create(model=MODEL, messages=HELLO, max_tokens=10)

    stack.agrees(2)


def test_each_value_has_its_own_limit(stack: Stack) -> None:
    """A budget for each customer refuses the one who spent it and not the other."""
    stack.set_budget("0.0001", each="customer", window="day", steps="refuse")
    sdk = client(stack)
    with pytest.raises(openai.APIStatusError) as raised:
        sdk.chat.completions.create(
            model=MODEL, messages=HELLO, max_tokens=1_000, extra_headers={"x-pertoken-customer": "greedy"}
        )
    sdk.chat.completions.create(
        model=MODEL, messages=HELLO, max_tokens=50, extra_headers={"x-pertoken-customer": "modest"}
    )

    assert "for customer 'greedy'" in raised.value.message
    stack.agrees(1)


def test_a_soft_budget_only_counts(stack: Stack) -> None:
    """A soft budget lets everything through and shows what was spent."""
    name = stack.set_budget("0.00000001", mode="soft", window="day")
    client(stack).chat.completions.create(model=MODEL, messages=HELLO, max_tokens=50)

    stack.agrees(1)
    assert float(stack.budget(name)["spent"]) > 0


def test_an_exact_count_fits_where_the_byte_bound_does_not(stack: Stack) -> None:
    """A long prompt that its bytes would price out of the budget is counted token by token, and fits."""
    long: list[Any] = [{"role": "user", "content": "hello world " * 2_000}]
    stack.set_budget("0.0008", window="day")
    raw = client(stack).chat.completions.with_raw_response.create(model=MODEL, messages=long, max_tokens=20)

    assert float(raw.headers["x-pertoken-held"]) <= 0.0008
    stack.settled(1)


def test_a_revoked_key_is_refused_from_the_next_call_on(stack: Stack) -> None:
    """Revoking in the database counts at once, with no restart and no waiting."""
    from pertoken.store.administration import Administration

    sdk = client(stack)
    sdk.chat.completions.create(model=MODEL, messages=HELLO, max_tokens=10)
    with stack.database.write() as connection:
        Administration(connection).revoke_key(stack.key_id, stack.clock.now_us())
    with pytest.raises(openai.AuthenticationError):
        sdk.chat.completions.create(model=MODEL, messages=HELLO, max_tokens=10)

    stack.agrees(1)


def test_a_budget_in_another_currency_refuses(stack: Stack) -> None:
    """A hard budget does not count dollars as euros, it says what to do; a soft one lets the call through uncounted."""
    name = stack.set_budget("1000", window="day", currency="EUR")
    with pytest.raises(openai.APIStatusError, match="priced in USD") as raised:
        client(stack).chat.completions.create(model=MODEL, messages=HELLO, max_tokens=10)
    assert name in raised.value.message
    assert stack.served()["calls"] == 0

    with stack.database.write() as connection:
        wish = Wish(name, "1000", window="day", currency="EUR", scope={"key": stack.key_id}, mode="soft")
        set_budget(Administration(connection), stack.clock, wish)
    client(stack).chat.completions.create(model=MODEL, messages=HELLO, max_tokens=10)

    stack.settled(1)
    assert stack.budget(name)["spent"] == "0"
