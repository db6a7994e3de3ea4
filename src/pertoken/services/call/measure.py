"""What a request comes to by our own measures, and what its provider says against them."""

from pertoken.core import bounds
from pertoken.core.trust import Disagreement, Measured
from pertoken.core.usage import Completeness, Reading
from pertoken.ports.readers import NotRead
from pertoken.services.call.count import Counts, count_request
from pertoken.services.call.understand import Request
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


async def disagreement(request: Request, held_tokens: int, reading: Reading, world: World) -> Disagreement | None:
    """Return what a provider reported beyond the input that was held for, where the request shows all of its input.

    Media and what a body does not show say nothing about how text is counted.
    """
    reported = (reading.quantities or {}).get("input_tokens", 0)
    facts = request.facts
    is_said = reading.completeness is not Completeness.ESTIMATED and not reading.contradiction
    if reported <= held_tokens or not is_said or facts.has_media or facts.hidden_input is not None:
        return None
    counts = await count_at_the_end(request, world)
    if counts is None:
        return None
    return Disagreement(request.provider.name, request.model, measure(request, counts), reported)
