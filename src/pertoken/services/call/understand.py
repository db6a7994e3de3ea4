"""Step 2: what the request asks for, which provider and model serve it, and at what prices."""

from pertoken.core.errors import Code, Refusal
from pertoken.core.facts import RequestFacts
from pertoken.core.texts import NAME_CHARACTERS_MAX
from pertoken.services.call.belong import belong
from pertoken.services.call.call import Call, End, refused
from pertoken.services.call.choose import choose
from pertoken.services.call.identify import attribute, warn
from pertoken.services.call.reading import facts_of, read
from pertoken.services.call.record import attribution_of
from pertoken.services.call.request import Request
from pertoken.services.world import World
from pertoken.wire.format import BadRequest


def understand(call: Call, world: World) -> Call | End:
    """Return the call with its request understood, or why it cannot be served. A model that took over is asked for."""
    facts = _read_facts(call)
    if isinstance(facts, Refusal):
        return _refused(call, facts)
    asked_model = facts.model
    named = call.shaped_model or asked_model
    model = call.instead or named
    if model != asked_model:
        facts = facts._replace(model=model)
    chosen = choose(call, facts, world)
    if isinstance(chosen, Refusal):
        return refused(chosen._replace(attribution=attribution_of(call.caller, facts.model)))
    facts, body, offer = chosen
    caller = call.caller
    belongs = belong(caller.key, attribute(caller, facts, offer.provider.name), world, call.opened_at_us)
    if isinstance(belongs, Refusal):
        return _refused(call, belongs)
    route = world.offers.routes.get(named)
    call.request = Request(
        call.endpoint,
        facts,
        body,
        offer,
        attribution=belongs.attribution,
        opened_at_us=call.opened_at_us,
        asked_model=asked_model,
        cheaper=None if route is None or call.instead is not None else route.cheaper,
        fallbacks=() if route is None else tuple([name for name in route.fallbacks if name != call.instead]),
        warnings=warn(caller, belongs.attribution),
        folded=belongs.folded,
        heavy=None if call.heavy is None else call.heavy.like(body),
    )
    return call


def _read_facts(call: Call) -> RequestFacts | Refusal:
    """Return what the request says, or why it says nothing."""
    if call.caller.shown.headers.get(b"content-encoding", b"identity").lower() != b"identity":
        return Refusal(Code.INVALID_REQUEST, "the request body has a content-encoding; send plain JSON")
    endpoint, heavy = call.endpoint, call.heavy
    try:
        facts = read(facts_of, call, endpoint.format.name, endpoint.model, None if heavy is None else heavy.values_max)
    except BadRequest as error:
        return Refusal(Code.INVALID_REQUEST, error.message, error.param)
    if len(facts.model) > NAME_CHARACTERS_MAX:  # comparing it with every name that is known takes long
        message = f"the model's name has {len(facts.model)} characters; at most {NAME_CHARACTERS_MAX} are allowed"
        return Refusal(Code.UNKNOWN_MODEL, message, "model")
    return facts if endpoint.stream is None else facts._replace(stream=endpoint.stream)


def _refused(call: Call, refusal: Refusal) -> End:
    return refused(refusal._replace(attribution=attribution_of(call.caller)))
