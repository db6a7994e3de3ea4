"""How large a request is by our own counts, and where its provider counts more."""

from pertoken.core import bounds
from pertoken.core.bounds import Counts
from pertoken.core.trust import Disagreement, Measured
from pertoken.core.usage import Completeness, Reading
from pertoken.ports.readers import NotRead
from pertoken.services.call.count import count_request
from pertoken.services.call.request import Request
from pertoken.services.world import World
from pertoken.wire.format import BadRequest


def measure(request: Request, counts: Counts) -> Measured:
    """Bound a request by its tokens and by the bytes of its texts. Neither is more than the bound of the whole body."""
    family, tools = request.family, request.facts.has_tools
    most = bounds.byte_bound(len(request.body), family, tools=tools)
    tokens, messages, names = counts.tokens, counts.messages, counts.names
    counted = bounds.counted_bound(tokens, family, messages=messages, names=names, tools=tools)
    alone = bounds.counted_bound(tokens, family._replace(frame_tokens=0), messages=0, names=0, tools=False)
    by_bytes = bounds.byte_bound(counts.text_bytes, family, tools=tools) + family.message_tokens * messages + names
    return Measured(alone, min(counted, most), min(by_bytes, most))


async def count_at_the_end(request: Request, world: World) -> Counts | None:
    """Return what the model read of a request that was answered, None where that cannot be read."""
    try:
        return await count_request(request, world)
    except (BadRequest, NotRead):
        return None


def may_disagree(request: Request, held_tokens: int, reading: Reading) -> bool:
    """Tell whether a provider reported more input than was held for, and the request shows all of its input.

    Media and what a body does not show say nothing about how text is counted.
    """
    facts = request.facts
    if _reported(reading) <= held_tokens or facts.has_media or facts.hidden_input is not None:
        return False
    return reading.completeness is not Completeness.ESTIMATED and not reading.contradiction


async def disagreement(request: Request, reading: Reading, world: World) -> Disagreement | None:
    """Return what a provider that may disagree says against our own measures, None where those cannot be taken."""
    counts = await count_at_the_end(request, world)
    if counts is None:
        return None
    return Disagreement(request.provider.name, request.model, measure(request, counts), _reported(reading))


def _reported(reading: Reading) -> int:
    return (reading.quantities or {}).get("input_tokens", 0)
