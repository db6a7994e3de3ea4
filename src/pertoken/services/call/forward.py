"""Step 6, an attempt of it: send the call to its provider, changed only where policy says so."""

import logging
from functools import lru_cache
from typing import assert_never
from urllib.parse import unquote_to_bytes

from pertoken.core.commands import Duplicate, Void, Voided
from pertoken.core.errors import Code, Refusal
from pertoken.core.holds import Hold
from pertoken.core.provider_errors import ErrorKind
from pertoken.ports.headers import AnswerHeaders, HeaderList
from pertoken.ports.ledger import StoreUnavailable
from pertoken.ports.provider import Answer, ProviderFailed
from pertoken.ports.readers import NotRead
from pertoken.services.call.call import Call
from pertoken.services.call.identify import names_key, secret_of
from pertoken.services.call.reading import rewritten
from pertoken.services.call.request import Request
from pertoken.services.world import World
from pertoken.wire.format import RequestChange

log = logging.getLogger("pertoken.call")

NOTHING = RequestChange()
ENCODED_MAX = 3  # times that a value is decoded to find a secret in it; servers do it once, some twice

# Ours, the client's secret, and what belongs to one connection only (RFC 9110, 7.6.1): none of it goes on.
_KEPT_BACK = frozenset(
    {
        b"authorization", b"x-api-key", b"x-goog-api-key", b"api-key", b"host", b"content-length", b"connection",
        b"keep-alive", b"proxy-authorization", b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade",
        b"expect", b"accept-encoding", b"cookie",
    }
)  # fmt: skip
_KEPT_BACK_PREFIXES = (b"x-pertoken", b"helicone-", b"x-litellm-")
_KEPT_BACK_ANSWERED = frozenset(
    {b"connection", b"keep-alive", b"proxy-authenticate", b"te", b"trailer", b"transfer-encoding", b"upgrade",
     b"content-length", b"set-cookie", b"alt-svc", b"date"}  # an answer has one date: when the gateway gave it
)  # fmt: skip


async def forward(call: Call, change: RequestChange, world: World) -> tuple[Answer | ProviderFailed, int | None]:
    """Return the provider's answer, its head read, or why there is none; and when the request began to be sent."""
    exchange, request, sent_us = call.exchange, call.request, None
    try:
        body = request.body if change is NOTHING else await _rewrite(request, change, world)
        secret = secret_of(exchange.headers, exchange.query)
        assert secret, "who calls is known"
        headers = request_headers(exchange.headers, secret)
        path = _path(request, exchange.query, secret)
        sent_us = world.clock.now_us()
        return await request.provider.send(path, headers, body, request.model), sent_us
    except ProviderFailed as failure:
        log.warning("%s: %s: %s", call.call_id, request.provider.name, failure)
        return failure, sent_us


async def _rewrite(request: Request, change: RequestChange, world: World) -> bytes:
    """Return the body with what policy writes into it. Raises ProviderFailed where a heavy one cannot be read."""
    heavy, args = request.heavy, (request.format.name, change)
    if heavy is None:
        return rewritten(request.body, *args)
    try:
        found: bytes = await world.readers.read(heavy.key_id, rewritten.__name__, heavy.body, args)
    except NotRead as error:
        message = f"not sent: the request body could not be rewritten: {error}"
        raise ProviderFailed(message, kind=ErrorKind.NOT_SENT) from error
    return found


def changes(request: Request, cap: int | None) -> RequestChange:
    """Return what policy writes into the request; `cap` is what its hold allows of output."""
    facts, known_field = request.facts, request.provider.output_cap
    renamed = request.model != request.asked_model and request.endpoint.model is None
    needs_usage = facts.stream and not facts.wants_usage and request.provider.asks_for_usage
    if cap is None and facts.output_field not in (None, known_field):
        cap = facts.output_max  # under that name the provider would refuse the cap, or ignore it in silence
    if not renamed and cap is None and not needs_usage:
        return NOTHING
    return RequestChange(
        model=request.model if renamed else None,
        output_max=cap,
        output_field=None if cap is None else known_field,
        include_usage=needs_usage,
    )


def describe(shaped: str | None, change: RequestChange) -> str | None:
    """Return what was changed, as the x-pertoken-changed header says it.

    What was `shaped` comes first. Usage that we asked for is taken out of the stream again, so it is not said.
    """
    if change is NOTHING:
        return shaped
    said = [] if shaped is None else [shaped]
    if change.model is not None:
        said.append(f"model={change.model}")
    if change.output_max is not None:
        said.append(f"output_max={change.output_max}")
    return ", ".join(said) or None


def provider_refusal(request: Request, failure: ProviderFailed) -> Refusal:
    """Return what the client is told of a provider that failed."""
    code = Code.PROVIDER_TIMEOUT if failure.kind is ErrorKind.TIMED_OUT else Code.PROVIDER_UNREACHABLE
    return Refusal(code, f"provider {request.provider.name} failed: {failure}")


async def let_go(hold: Hold, error_kind: ErrorKind | None, world: World) -> None:
    """Void the hold of an attempt that its provider did no work for, and say how it failed."""
    try:
        result = await world.ledger.submit(Void(hold.hold_id, hold.attribution, hold.opened_at_us, error_kind))
    except StoreUnavailable as error:  # the store keeps the void and tries again; the hold expires at worst
        log.error("%s: hold not yet voided: %s", hold.hold_id, error)  # noqa: TRY400 - the reason says it all
        return
    match result:
        case Voided() | Duplicate():
            pass
        case _:
            assert_never(result)


@lru_cache(maxsize=512)  # a client's calls come with the same head again and again; each may have 64 KB
def request_headers(headers: HeaderList, secret: bytes) -> HeaderList:
    """Return the client's headers that go on to the provider: none that has its secret in it, whatever its name."""
    return tuple(
        field
        for field in headers
        if field[0] not in _KEPT_BACK and not _begins_as_ours(field[0]) and not _shows(field[1], secret)
    )


def _begins_as_ours(name: bytes) -> bool:
    """Tell whether a header is for a gateway, also with underscores for dashes."""
    return name.replace(b"_", b"-").startswith(_KEPT_BACK_PREFIXES)


def _shows(value: bytes, secret: bytes) -> bool:
    """Tell whether a secret is in a value, plain or percent-encoded, once or several times."""
    for _ in range(ENCODED_MAX):
        if secret in value:
            return True
        if b"%" not in value:
            return False
        value = unquote_to_bytes(value)
    return secret in value


def answer_headers(headers: AnswerHeaders) -> list[tuple[bytes, bytes]]:
    """Return the provider's headers that go back to the client."""
    return [field for field in headers if _goes_back(field[0])]


# The same few dozen names come with every answer.
@lru_cache(maxsize=1024)
def _goes_back(name: bytes) -> bool:
    return name not in _KEPT_BACK_ANSWERED and not _begins_as_ours(name)


def _path(request: Request, query: bytes, secret: bytes) -> str:
    endpoint = request.endpoint
    path = endpoint.upstream_path if endpoint.model in (None, request.model) else endpoint.path_for(request.model)
    if not query:
        return path
    given = query.decode("latin-1").split("&")
    pairs = [pair for pair in given if pair and not names_key(pair) and not _shows(pair.encode("latin-1"), secret)]
    return f"{path}?{'&'.join(pairs)}" if pairs else path
