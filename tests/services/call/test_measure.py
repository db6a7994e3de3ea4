"""Where a provider counts more than we do, and what that says about our count."""

import asyncio

from tests.services.call.parts import world_of
from tests.services.call.test_hold import gpt_4o

from pertoken.core.trust import Disagreement, may_disagree
from pertoken.core.usage import Completeness, Reading
from pertoken.services.call.measure import disagreement
from pertoken.services.call.request import Request

MORE = Reading({"input_tokens": 2_500, "output_tokens": 1}, Completeness.FINAL)


def told(request: Request, reading: Reading, held: int = 1_026) -> Disagreement | None:
    """Return what a reading says against what was held."""
    if not may_disagree(request.facts, held, reading):
        return None
    return asyncio.run(disagreement(request, reading, world_of()))


def test_a_provider_disagrees_where_it_says_so_itself() -> None:
    """More reported input than was held is a disagreement; no usage, a guess, or as much as held is none."""
    said = told(gpt_4o(), MORE)

    assert said is not None
    assert (said.provider, said.model, said.reported_tokens) == ("openai", "gpt-4o", 2_500)
    assert said.measured == (1_002, 1_026, 6_228)
    assert told(gpt_4o(), MORE, held=2_500) is None
    assert told(gpt_4o(), Reading(None, Completeness.MISSING)) is None
    assert told(gpt_4o(), MORE._replace(contradiction="its parts exceed it")) is None
    assert told(gpt_4o(), MORE._replace(completeness=Completeness.ESTIMATED)) is None


def test_only_a_text_that_is_seen_teaches() -> None:
    """Pictures, and input that the body does not show, say nothing about how text is counted."""
    more = Reading({"input_tokens": 10**6, "output_tokens": 1}, Completeness.FINAL)
    picture = [{"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}]
    with_picture = gpt_4o(messages=[{"role": "user", "content": picture}])
    hidden = gpt_4o(hidden_input="a stored conversation")

    assert told(gpt_4o(), more) is not None
    assert told(with_picture, more) is None
    assert told(hidden, more) is None
