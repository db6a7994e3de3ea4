"""What a whole answer says, and what is taken for said where nobody can read it."""

import asyncio

from tests.services.call.parts import ANSWERED, body_of, request_of, world_of
from tests.services.stand_in import Elsewhere

from pertoken.core.estimates import is_enough, most_used
from pertoken.core.usage import Completeness
from pertoken.services.call.answered import is_heavy_answer, read_answer
from pertoken.services.call.heavy import BYTES_MAX

MOST = {"input_tokens": 100, "output_tokens": 20}


def test_an_answer_with_usage_is_enough() -> None:
    """No text is counted then."""
    answered = asyncio.run(read_answer(request_of(), ANSWERED, MOST, world_of()))

    assert answered.reading.quantities == {"input_tokens": 5, "output_tokens": 2}
    assert is_enough(answered.reading)
    assert answered.text is None


def test_an_answer_without_usage_is_counted() -> None:
    """By what it wrote; a heavy one by who reads apart."""
    said = b'{"model":"m-1","choices":[{"message":{"content":"hello"},"finish_reason":"stop"}]%s}'
    light = asyncio.run(read_answer(request_of(), said % b"", MOST, world_of()))
    heavy_body = said % (b',"x":"%s"' % (b"a" * BYTES_MAX))
    elsewhere = Elsewhere()
    heavy = asyncio.run(read_answer(request_of(), heavy_body, MOST, world_of(readers=elsewhere)))

    assert (light.text, light.tokens) == ("hello", None)
    assert is_heavy_answer(heavy_body)
    assert (heavy.text, elsewhere.works) == (None, ["answer_of"])
    assert heavy.tokens


def test_what_nobody_can_read_used_all_that_was_held() -> None:
    """So often as the model may run, and in the dearest way."""
    body = b'{"x":"%s"}' % (b"a" * BYTES_MAX)
    away = world_of(readers=Elsewhere(fails_at="answer_of"))
    answered = asyncio.run(read_answer(request_of(), body, MOST, away))

    assert answered.reading.quantities == MOST
    assert answered.reading.completeness is Completeness.ESTIMATED
    twice = most_used(request_of(body_of(), repeats=2).facts, request_of().rates, MOST, "lost")
    assert twice.quantities == {"input_tokens": 200, "output_tokens": 40}
    assert {"cache_write_tokens", "reasoning_tokens"} <= {unit for one in twice.alternatives for unit in one.quantities}
