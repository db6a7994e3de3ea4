"""A call's event says when it came to each step, and what its customer is charged."""

from itertools import pairwise

import pytest
from tests.factories import own
from tests.services.stand_in import settled, streamed, whole

from pertoken.core.events import Event

USAGE = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}


def made(*, stream: bool, tick_us: int) -> Event:
    """Return the event of a call, streamed or not, whose clock goes on so far each time it is read."""
    answer = (streamed if stream else whole)("openai.chat", USAGE)
    return settled("openai.chat", "openai", answer, stream=stream, tick_us=tick_us)


@pytest.mark.parametrize("stream", [False, True])
def test_each_step_is_after_the_one_before(stream: bool) -> None:
    """Held, sent, first byte, last byte and settled follow each other, from the start of the call on."""
    event = made(stream=stream, tick_us=1_000)
    steps = [step for step in own(event).timeline if step is not None]

    assert len(steps) == len(own(event).timeline)
    assert all(before < after for before, after in pairwise([0, *steps, event.recorded_at_us - event.opened_at_us]))
    assert own(event).attempts == 1


def test_a_clock_that_is_set_back_makes_no_step_earlier_than_the_start() -> None:
    """Each step is at the start then, not before it."""
    assert set(own(made(stream=True, tick_us=-1_000)).timeline) == {0}


class Times:
    """Charges so many times what a call costs."""

    def __init__(self, factor: int) -> None:
        self._factor = factor

    def price(self, event: Event) -> int:
        """Return the price of one event."""
        return self._factor * event.cost_picos


def test_what_the_customer_is_charged() -> None:
    """It is what the port says of the event with its cost; without a port there is no price, which is not 0."""
    answer = whole("openai.chat", USAGE)
    charged = settled("openai.chat", "openai", answer, pricing=Times(3))
    free = settled("openai.chat", "openai", answer, pricing=Times(0))

    assert made(stream=False, tick_us=0).price_picos is None
    assert charged.price_picos == 3 * charged.cost_picos > 0
    assert free.price_picos == 0
