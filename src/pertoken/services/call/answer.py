"""Step 9: answer the client, with the call's id, its cost and what is left; or refuse it in its own wire format."""

import logging

from pertoken.core.commands import Settled
from pertoken.core.errors import Code, Refusal
from pertoken.ports.ledger import StoreUnavailable
from pertoken.ports.provider import Answer, ProviderFailed
from pertoken.services.call.call import Call, End
from pertoken.services.call.forward import answer_headers, provider_refusal
from pertoken.services.call.outrun import Outran
from pertoken.services.call.refuse import refuse, settled_headers, status_of_a_stream
from pertoken.services.call.settle import kept

log = logging.getLogger("pertoken.call")


def answer(call: Call, settled: Settled | StoreUnavailable) -> End:
    """Return the client's answer, once its call is settled or could not be; keep it where a note asks for it."""
    if isinstance(settled, StoreUnavailable):
        log.error("%s: settlement not on disk: %s", call.call_id, settled)
        message = f"the call was served but its cost could not be recorded yet: {settled}"
        return _refused_at_the_end(call, Refusal(Code.STORE_UNAVAILABLE, message))
    call.charged += (settled.event,)
    if call.relayed.failure is not None:
        return _refused_at_the_end(call, _broken(call, call.relayed.failure, settled))
    if call.note is not None:
        call.kept = kept(call, answer_headers(call.answer.headers))
    if call.is_begun:
        return End(status_of_a_stream(call.answer.status), body=call.relayed.last)
    return End(call.answer.status, call.headers + settled_headers(settled), call.relayed.last)


async def pass_on(call: Call, answered: Answer) -> End:
    """Return the provider's own error, or a free answer, as it is."""
    try:
        body = await answered.read()
    except ProviderFailed as failure:
        return provider_failed(call, failure)
    headers = [(b"x-pertoken-call-id", call.call_id.encode()), *answer_headers(answered.headers)]
    return End(answered.status, headers, body)


def provider_failed(call: Call, failure: ProviderFailed) -> End:
    """Return the refusal of a call whose provider gave no answer."""
    refusal = provider_refusal(call.request, failure)
    return End(refusal.status, refusal=refusal)


def give(call: Call, end: End) -> None:
    """Answer the client as the call ends."""
    exchange = call.exchange
    if call.is_begun:
        exchange.finish(end.body)
    elif end.refusal is not None:
        refuse(exchange, call.endpoint.format, end.refusal, call.call_id)
    elif end.is_stream:
        exchange.start(end.status, end.headers)
        exchange.finish(end.body)
    else:
        exchange.answer(end.status, end.headers, end.body)


def _refused_at_the_end(call: Call, refusal: Refusal) -> End:
    """Return the end of a call that was served, but whose answer is not good: a stream that is begun says it inside."""
    if call.is_begun:
        last = call.request.format.stream_error(refusal)
        return End(status_of_a_stream(call.answer.status), body=last, refusal=refusal)
    return End(refusal.status, refusal=refusal)


def _broken(call: Call, failure: ProviderFailed, settled: Settled) -> Refusal:
    """Return what is wrong with an answer that broke off or was cut."""
    request, completeness = call.request, settled.event.completeness
    log.warning("%s: %s: %s; settled as %s", call.call_id, request.provider.name, failure, completeness)
    return failure.refusal if isinstance(failure, Outran) else provider_refusal(request, failure)
