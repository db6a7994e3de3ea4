"""Step 9, a part: record a refused call in memory. So a refusal costs no write: each second writes what was counted."""

from pertoken.core.budgets import Attribution
from pertoken.core.errors import Code, Refusal
from pertoken.core.refusals import NOBODY, RefusedCall
from pertoken.services.call.identify import Caller
from pertoken.services.world import World

NOT_KEPT = "the reason is only in the answer, for it may repeat what the client sent"


def record(refusal: Refusal, call_id: str, at_us: int, world: World) -> None:
    """Count a refused call, and keep it whole while it is among the last. Nothing that its client sent is kept.

    A request that only repeats the name of another call is not counted: that call is.
    """
    if refusal.code is Code.IDEMPOTENCY_CONFLICT:
        return
    message = NOT_KEPT if refusal.code is Code.INVALID_REQUEST else refusal.message
    of = NOBODY if refusal.attribution is None else refusal.attribution
    world.refused.add(RefusedCall(call_id, at_us, str(refusal.code), message, refusal.budget, of))


def attribution_of(caller: Caller, model: str | None = None) -> Attribution:
    """Return what is known of a call that was not understood: its key, and what that says."""
    key, shown = caller
    return Attribution(key.key_id, key.team, key.customer, shown.user, None, model, key.tags, shown.conversation)
