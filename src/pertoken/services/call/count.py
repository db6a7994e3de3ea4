"""Counting tokens: never on the event loop, where it would stop every other call.

Counting takes 0.1 ms a kilobyte. The first count of a family also reads its vocabulary: 0.3 s, and for 0.12 s of that
nothing else runs. So the reader processes do the jobs here, and they return numbers, not texts.
"""

from pertoken.core import bounds
from pertoken.core.bounds import Counts, Family
from pertoken.core.trust import Measured, measure
from pertoken.ports.readers import NotRead
from pertoken.ports.tokens import Tokenizers
from pertoken.services.call.request import Request
from pertoken.services.world import World
from pertoken.wire import formats


def counts_of(tokenizers: Tokenizers, body: bytes, format_name: str, family: Family) -> Counts:
    """Return what the model reads of a request, in numbers. Raises BadRequest."""
    content = formats.SERVED[format_name].read_content(body)
    text_bytes = sum(len(text.encode()) for text in content.texts) + sum(map(len, content.tools_json))
    tokens = tokenizers.count_content(family, content)
    return Counts(tokens, text_bytes, content.messages, content.names, bool(content.media))


def tokens_of(tokenizers: Tokenizers, text: bytes, family: Family) -> int:
    """Return the tokens of a text, scaled up where the family's own encoding is not known."""
    return tokenizers.count_text(family, text.decode()).tokens


async def count_request(request: Request, world: World) -> Counts:
    """Return what the model reads of a request, in numbers. Raises BadRequest and NotRead."""
    work, args, heavy = counts_of.__name__, (request.format.name, request.family), request.heavy
    if heavy is None:
        counts: Counts = await world.readers.read(turn_of(request), work, request.body, args)
        return counts
    if (work, args) not in heavy.known:
        heavy.known[work, args] = await world.readers.read(heavy.key_id, work, heavy.body, args)
    known: Counts = heavy.known[work, args]
    return known


def measured_by(counts: Counts, request: Request) -> Measured:
    """Return what a request that was counted comes to."""
    return measure(counts, request.family, len(request.body), tools=request.facts.has_tools)


async def count_output(request: Request, text: str, world: World) -> int:
    """Return the tokens of a text that the model wrote; where nobody can count it now, the most that it can be."""
    if not text:
        return 0
    data = text.encode("utf-8", "replace")
    try:
        tokens: int = await world.readers.read(turn_of(request), tokens_of.__name__, data, (request.family,))
    except NotRead:
        return bounds.byte_bound(len(data), request.family, tools=False)
    return tokens


def turn_of(request: Request) -> str:
    """Return whose turn it takes to read something for a call."""
    return request.attribution.key or ""
