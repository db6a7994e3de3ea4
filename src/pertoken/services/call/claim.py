"""Step 5, a part: ask again without a second call. A client names its call with `x-pertoken-idempotency-key`.

The first call with a name under a key is made; while it runs, and for a day after, asking with the same name and the
same request is answered with what it was answered, without a second call or charge. The answer is kept for that alone.
"""

import asyncio
import hashlib

from pertoken.core.claims import Claim
from pertoken.core.commands import Known
from pertoken.core.errors import Code, Refusal
from pertoken.services.call.call import Call, End, refused

HEADER = b"x-pertoken-idempotency-key"
NAME_BYTES_MAX = 200
AT_ONCE_BYTES = 1024 * 1024  # of a request are hashed where the call is, those of a larger one in a thread


async def read_claim(call: Call) -> Claim | Refusal:
    """Return the name that the client gives to its call, for the request as it came."""
    given, exchange, key = call.caller.shown.headers[HEADER], call.exchange, call.caller.key
    name = given.decode("utf-8", "replace").strip()
    if not name or len(given) > NAME_BYTES_MAX or not name.isprintable():
        message = f"{HEADER.decode()} must be 1 to {NAME_BYTES_MAX} printable bytes"
        return Refusal(Code.INVALID_REQUEST, message)
    asked = (call.endpoint.upstream_path.encode(), exchange.query, exchange.body)
    if len(exchange.body) > AT_ONCE_BYTES:
        return Claim(key.key_id, name, await asyncio.to_thread(_digest, *asked))
    return Claim(key.key_id, name, _digest(*asked))


def _digest(path: bytes, query: bytes, body: bytes) -> bytes:
    content = hashlib.blake2b(b"\0".join((path, query, b"")), digest_size=16)
    content.update(body)
    return content.digest()


def replay(known: Known) -> End:
    """Return what the named call was answered; or why that cannot be given."""
    claimed = known.claimed
    outcome = claimed.outcome
    if not known.same_request:
        message = f"the idempotency key {known.name!r} was used for another request, {claimed.call_id}; use a new one"
    elif outcome is None:
        message = f"the call named {known.name!r}, {claimed.call_id}, is still running; ask again"
        return refused(Refusal(Code.IDEMPOTENCY_CONFLICT, message, retry_after_s=1))
    elif outcome.body is None:
        message = f"{claimed.call_id} was served, but its answer was too large to keep; see: pertoken explain"
    else:
        headers = (*outcome.headers, (b"x-pertoken-replayed", b"true"))
        return End(outcome.status, headers, outcome.body, is_stream=outcome.stream, was_admitted=False)
    return refused(Refusal(Code.IDEMPOTENCY_CONFLICT, message))
