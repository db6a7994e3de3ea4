"""Step 3: have the request changed as policy says, before anything is held for it."""

from pertoken.ports.shape import Shape
from pertoken.services.call.call import Call, End
from pertoken.services.call.understand import understand
from pertoken.services.world import World


async def shape(call: Call, policy: Shape, world: World) -> Call | End:
    """Return the call, its request understood as it was shaped. A call is shaped once, and a free one is not."""
    if call.is_shaped or not call.request.facts.bills:
        return call
    shaped = await policy.shape(call.request)
    call.is_shaped = True
    if shaped is None:
        return call
    call.said, call.shaped_model = shaped.said, shaped.model
    if shaped.body is not None:
        call.body = shaped.body
        call.heavy = None if call.heavy is None else call.heavy.like(shaped.body)
    return understand(call, world)
