"""Step 8, a part: count what its provider did not say. `core.estimates` decides what of that is taken."""

from pertoken.core.estimates import input_unread, input_used, needs_input, output_used, with_counted
from pertoken.core.usage import Used
from pertoken.services.call.call import Holding, Relayed
from pertoken.services.call.count import count_output
from pertoken.services.call.measure import count_at_the_end
from pertoken.services.call.outrun import Outran
from pertoken.services.call.request import Request
from pertoken.services.world import World


async def estimate(request: Request, holding: Holding, relayed: Relayed, world: World) -> tuple[Used, ...]:
    """Return all that may have been used, with what the provider did not say counted."""
    counted = {"output_tokens": await _count_output(request, holding, relayed, world)}
    if needs_input(relayed.reading):
        counted["input_tokens"] = await _count_input(request, holding, world)
    return with_counted(relayed.reading, counted)


async def _count_output(request: Request, holding: Holding, relayed: Relayed, world: World) -> int:
    output = relayed.tokens
    if output is None:
        output = await count_output(request, relayed.text or "", world)
    most, has_outrun = holding.bound.quantities["output_tokens"], isinstance(relayed.failure, Outran)
    return output_used(output, most, has_made=bool(relayed.reading.made), has_outrun=has_outrun)


async def _count_input(request: Request, holding: Holding, world: World) -> int:
    most, family = holding.bound.quantities["input_tokens"], request.family
    counts = await count_at_the_end(request, world)
    if counts is None:
        return input_unread(len(request.body), family, most, tools=request.facts.has_tools)
    trust = world.ledger.directory.trust(request.provider.name, request.model)
    return input_used(counts, family, trust, most)
