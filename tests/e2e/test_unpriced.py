"""Calls that are served in a way that no price row covers: never free, never invisible to a budget."""

from decimal import Decimal

import pytest
from tests.e2e.conftest import Stack
from tests.e2e.test_budgets import HELLO, client
from tests.factories import own

from pertoken.core.events import EventStatus


@pytest.mark.parametrize("tier", ["scale", "provisioned", "never heard of"])
def test_a_tier_without_a_price_uses_the_budget_up(stack: Stack, tier: str) -> None:
    """Each call costs what was held for it, so that a hard budget ends them; explain says that it is provisional."""
    name = stack.set_budget("0.0002", window="day")
    sdk = client(stack)
    answered = 0
    for _ in range(20):
        raw = sdk.chat.completions.with_raw_response
        try:
            made = raw.create(
                model="gpt-4o-mini", messages=HELLO, max_tokens=40, extra_headers={"x-sim-service-tier": tier}
            )
        except Exception as error:  # noqa: BLE001 - which of the SDK's errors is asked below
            assert getattr(error, "status_code", None) == 402
            break
        answered += 1
        assert Decimal(made.headers["x-pertoken-cost"]) == Decimal(made.headers["x-pertoken-held"]) > 0
    events = stack.settled(answered)

    assert 1 < answered < 20
    assert {event.status for event in events} == {EventStatus.UNPRICED}
    assert all(event.lines == (("provisional", 1, "held", own(event).held_picos),) for event in events)
    spent = Decimal(stack.budget(name)["spent"])
    assert spent == stack.cost() <= Decimal("0.0002")
    assert stack.explain(events[0].event_id)["status"] == "unpriced"
    assert stack.differences() == []
