"""Step 5: bound what the call can cost, quote it, and hold that much, durably, before anything is sent."""

from typing import assert_never

from pertoken.core import bounds
from pertoken.core.admission import (
    Bound,
    Cheaper,
    amount_of,
    bound_of_bytes,
    cap_to_write,
    cheaper_or_refused,
    closer,
    currency_of,
    in_another_currency,
    may_shrink,
    smaller,
)
from pertoken.core.claims import Claim
from pertoken.core.commands import Conflict, Duplicate, Held, Known, Look, OpenHold, Refused, Remaining, Stale
from pertoken.core.errors import Code, Refusal
from pertoken.core.holds import Hold
from pertoken.core.periods import DAY_US
from pertoken.core.trust import Trust
from pertoken.ports.ledger import StoreUnavailable
from pertoken.services.call.call import Call, End, Holding, refused
from pertoken.services.call.claim import HEADER, read_claim, replay
from pertoken.services.call.count import count_request, measured_by
from pertoken.services.call.identify import identify
from pertoken.services.call.reading import Sizes, read, sizes_of
from pertoken.services.call.request import Request
from pertoken.services.world import World
from pertoken.wire.format import BadRequest

ATTEMPTS_MAX = 5  # of fitting a call into what others leave; each but the first is smaller


async def hold(call: Call, world: World) -> Call | End | Stale | Cheaper:
    """Return the call with what is held for it; Stale: begin again; Cheaper: begin again with that model."""
    request = call.request
    if not request.facts.bills:
        return await _admit_free(call, world)
    claim = await read_claim(call) if HEADER in call.caller.shown.headers else None
    if isinstance(claim, Refusal):
        return refused(claim._replace(attribution=request.attribution))
    try:
        held = await open_hold(request, call.hold_id, claim, world)
    except StoreUnavailable as error:
        held = Refusal(Code.STORE_UNAVAILABLE, f"the ledger cannot be written, so no call is served: {error}")
    match held:
        case Holding():
            call.holding = held
            return call
        case Refusal():
            return refused(held._replace(attribution=request.attribution))
        case Known():
            return replay(held)
        case Stale() | Cheaper():
            return held
        case _:
            assert_never(held)


async def _admit_free(call: Call, world: World) -> Call | End:
    """Admit a free call. It has no hold that would notice a revoked key, so the key is looked up now."""
    caller = await identify(call.exchange.headers, call.exchange.query, world, surely=True)
    return refused(caller) if isinstance(caller, Refusal) else call


async def open_hold(
    request: Request, hold_id: str, claim: Claim | None, world: World
) -> Holding | Refusal | Stale | Known | Cheaper:
    """Hold the call's bound against every budget it touches. Stale means: keys or budgets changed, begin again.

    Where it does not fit, the tokens are counted, and then the steps of the budget that decided are tried in turn.
    Raises StoreUnavailable, and NotRead where nobody can count them now.
    """
    directory = world.ledger.directory
    trust = directory.trust(request.provider.name, request.model)
    foreign = in_another_currency(request, request.attribution, request.opened_at_us, directory.budgets)
    if foreign is not None:
        return await _unless_old(foreign, world)
    bound = first_bound(request, trust)
    if isinstance(bound, Refusal):
        return bound
    for attempts_left in reversed(range(ATTEMPTS_MAX)):
        amount = amount_of(request, bound)
        if isinstance(amount, Refusal):
            return amount
        asked = _hold(request, hold_id, bound, amount, world)
        result = await world.ledger.submit(OpenHold(asked, directory.revision, claim))
        match result:
            case Held(tightest=tightest, warned=warned):
                _learn_conversation(asked, world)
                cap = cap_to_write(request, bound)
                return Holding(asked, bound, tightest, cap, claim=claim, warned=warned)
            case Known():
                return result
            case Refused(blocker=blocker):
                smaller = await _shrink(request, bound, blocker, trust, world) if attempts_left else None
                if smaller is not None:
                    bound = smaller
                    continue
                return cheaper_or_refused(request, result, request.opened_at_us)
            case Stale() | Duplicate() | Conflict():
                return Stale()
            case _:
                assert_never(result)
    raise AssertionError("the last attempt ends in a hold or a refusal")


def _learn_conversation(held: Hold, world: World) -> None:
    """Remember the conversation of a call that is made; the rest of its attribution is learnt from the books."""
    of = held.attribution
    if of.conversation is not None and of.key is not None:
        world.census.learn_conversation(of.key, of.conversation, held.opened_at_us // DAY_US)


async def _unless_old(refusal: Refusal, world: World) -> Refusal | Stale:
    """Return a refusal, unless it was decided on an old directory: then Stale."""
    revision = world.ledger.directory.revision
    await world.ledger.submit(Look())
    return refusal if world.ledger.directory.revision == revision else Stale()


def first_bound(request: Request, trust: Trust) -> Bound | Refusal:
    """Return the bound that costs nothing: the body's bytes, and the sizes of its media."""
    if not request.facts.has_media:
        return bound_of_bytes(request, len(request.body), trust)
    try:
        sizes = _sizes(request)
    except BadRequest as error:
        return Refusal(Code.INVALID_REQUEST, error.message, error.param)
    return bound_of_bytes(request, sizes.text_bytes, trust, sizes.messages, sizes.media)


async def _shrink(request: Request, bound: Bound, blocker: Remaining, trust: Trust, world: World) -> Bound | None:
    """Return a closer or smaller bound that may fit what `blocker` leaves, None when there is none."""
    if not may_shrink(blocker):
        return None
    counted = bound if bound.counted else await _count(request, bound, trust, world)
    return smaller(request, counted, blocker, was_loose=not bound.counted)


async def _count(request: Request, bound: Bound, trust: Trust, world: World) -> Bound:
    """Return the bound by counting tokens, where that is closer than the byte bound. Raises NotRead."""
    if request.facts.hidden_input is not None:
        return bound._replace(counted=True)
    try:
        counts = await count_request(request, world)
    except BadRequest:
        return bound._replace(counted=True)
    text_max = trust.bound(measured_by(counts, request)) + request.facts.input_more
    linked = _sizes(request).media.get("input_tokens", 0) if counts.has_media else 0
    return closer(bound, text_max + linked)


def _hold(request: Request, hold_id: str, bound: Bound, amount_picos: int, world: World) -> Hold:
    return Hold(
        hold_id,
        request.attribution,
        amount_picos,
        bound.tokens * request.facts.repeats,
        request.opened_at_us,
        request.opened_at_us + world.hold_ttl_us,
        world.owner,
        currency_of(request),
    )


def _sizes(request: Request) -> Sizes:
    """Return what a bound needs of a body with media. Raises BadRequest."""
    context = request.limits.context_tokens or bounds.CONTEXT_TOKENS_DEFAULT
    return read(sizes_of, request, request.format.name, request.family, context, request.model)
