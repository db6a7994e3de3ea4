"""Step 8, a part: count a request that was answered, and compare what its provider says with our own count."""

from pertoken.core.bounds import Counts
from pertoken.core.trust import Disagreement, input_reported
from pertoken.core.usage import Reading
from pertoken.ports.readers import NotRead
from pertoken.services.call.count import count_request, measured_by
from pertoken.services.call.request import Request
from pertoken.services.world import World
from pertoken.wire.format import BadRequest


async def count_at_the_end(request: Request, world: World) -> Counts | None:
    """Return what the model read of a request that was answered, None where that cannot be read."""
    try:
        return await count_request(request, world)
    except (BadRequest, NotRead):
        return None


async def disagreement(request: Request, reading: Reading, world: World) -> Disagreement | None:
    """Return what a provider that may disagree says against our own measures, None where those cannot be taken."""
    counts = await count_at_the_end(request, world)
    if counts is None:
        return None
    return Disagreement(request.provider.name, request.model, measured_by(counts, request), input_reported(reading))
