"""What a request comes to by our own measures, and what its provider says against them."""

from pertoken.core import bounds
from pertoken.core.bounds import Family
from pertoken.core.trust import Disagreement, Measured
from pertoken.core.usage import Reading
from pertoken.ports import NotRead
from pertoken.services.call.count import count
from pertoken.services.call.reading import content_of
from pertoken.services.call.understand import Request
from pertoken.services.world import World
from pertoken.wire.format import BadRequest, Content


async def measure(request: Request, content: Content, world: World) -> Measured:
    """Count the texts of a request, and bound them by their bytes. Neither is more than the bound of the whole body."""
    family, tools = request.family, request.facts.has_tools
    most = bounds.byte_bound(len(request.body), family, tools=tools)
    tokens, text_bytes = await count(world, family, len(request.body), _count, family, content, world)
    messages, names = content.messages, content.names
    counted = bounds.counted_bound(tokens, family, messages=messages, names=names, tools=tools)
    alone = bounds.counted_bound(tokens, family._replace(frame_tokens=0), messages=0, names=0, tools=False)
    by_bytes = bounds.byte_bound(text_bytes, family, tools=tools) + family.message_tokens * messages + names
    return Measured(alone, min(counted, most), min(by_bytes, most))


def _count(family: Family, content: Content, world: World) -> tuple[int, int]:
    """Return tokens and bytes of what is to be read."""
    text_bytes = sum(len(text.encode()) for text in content.texts) + sum(map(len, content.tools_json))
    return world.tokenizers.count_content(family, content), text_bytes


async def content_at_the_end(request: Request, world: World) -> Content | None:
    """Return what the model read of a request that was answered, None where that cannot be read."""
    heavy = request.heavy
    try:
        if heavy is None:
            return request.format.read_content(request.body)
        args = (request.format.name,)
        content: Content = await world.readers.read(heavy.key_id, content_of.__name__, heavy.body, args)
    except (BadRequest, NotRead):
        return None
    return content


async def disagreement(request: Request, held_tokens: int, reading: Reading, world: World) -> Disagreement | None:
    """Return what a provider reported beyond the input that was held for, where the request shows all of its input.

    Media and what a body does not show say nothing about how text is counted.
    """
    reported = (reading.quantities or {}).get("input_tokens", 0)
    facts = request.facts
    if reported <= held_tokens or reading.contradiction or facts.has_media or facts.hidden_input is not None:
        return None
    content = await content_at_the_end(request, world)
    if content is None:
        return None
    measured = await measure(request, content, world)
    return Disagreement(request.provider.name, request.model, measured, reported)
