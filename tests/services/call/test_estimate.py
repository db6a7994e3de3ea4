"""What a call is charged for where its provider says nothing."""

import asyncio

import pytest
from tests.factories import hold
from tests.services.call.parts import Ledger, world_of
from tests.services.call.test_hold import gpt_4o

from pertoken.core.admission import Bound
from pertoken.core.trust import Trust
from pertoken.core.usage import Completeness, Reading
from pertoken.services.call.call import Holding, Relayed
from pertoken.services.call.estimate import estimate


@pytest.mark.parametrize(
    ("trust", "held", "charged"),
    [
        (Trust(), 6_300, 1_008),  # the count, with OpenAI's own frame
        (Trust(0, 250, 100), 15_750, 2_520),
        (Trust(1_024, 400, 100), 26_224, 5_056),
        (Trust(1_024, 400, 100), 1_026, 1_026),  # it was held for before the provider was known to count more
    ],
)
def test_input_that_is_not_reported(trust: Trust, held: int, charged: int) -> None:
    """It is what we count as far as that is believed, and no more than was held for it."""
    world = world_of(ledger=Ledger(trusts={("openai", "gpt-4o"): trust}))
    bound = Bound({"input_tokens": held, "output_tokens": 10}, 10, counted=False)
    holding = Holding(hold("call_1", tokens=held + 10), bound)
    relayed = Relayed(Reading(None, Completeness.MISSING), "", b"", None)

    estimated = asyncio.run(estimate(gpt_4o(), holding, relayed, world))

    assert [used.quantities for used in estimated] == [{"input_tokens": charged, "output_tokens": 0}]
