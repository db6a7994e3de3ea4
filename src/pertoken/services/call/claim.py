"""Asking again without calling again: a client names its call with `x-pertoken-idempotency-key`.

The first call with a name under a key is made; while it runs, and for a day after, asking with the same name and the
same request is answered with what it was answered, without a second call or charge. The answer is kept for that alone.
"""

import asyncio
import hashlib
from collections.abc import Mapping

from pertoken.core.claims import Claim, Outcome
from pertoken.core.commands import Known, Settled
from pertoken.core.directory import Key
from pertoken.core.errors import Code, Refusal
from pertoken.ports.exchange import Exchange
from pertoken.services.call.refuse import settled_headers

HEADER = b"x-pertoken-idempotency-key"
NAME_BYTES_MAX = 200
BODY_BYTES_MAX = 4 * 1024 * 1024  # of an answer that is kept
AT_ONCE_BYTES = 1024 * 1024  # of a request are hashed where the call is, those of a larger one in a thread
_OF_THE_MOMENT = b"x-pertoken-budget-remaining"


async def read_claim(headers: Mapping[bytes, bytes], key: Key, exchange: Exchange, path: str) -> Claim | Refusal | None:
    """Return the name that the client gives to its call, None where it gives none."""
    given = headers.get(HEADER)
    if given is None:
        return None
    name = given.decode("utf-8", "replace").strip()
    if not name or len(given) > NAME_BYTES_MAX or not name.isprintable():
        message = f"{HEADER.decode()} must be 1 to {NAME_BYTES_MAX} printable bytes"
        return Refusal(Code.INVALID_REQUEST, message)
    asked = (path.encode(), exchange.query, exchange.body)
    if len(exchange.body) > AT_ONCE_BYTES:
        return Claim(key.key_id, name, await asyncio.to_thread(_digest, *asked))
    return Claim(key.key_id, name, _digest(*asked))


def _digest(path: bytes, query: bytes, body: bytes) -> bytes:
    content = hashlib.blake2b(b"\0".join((path, query, b"")), digest_size=16)
    content.update(body)
    return content.digest()


def replay(exchange: Exchange, claim: Claim, known: Known) -> Refusal | None:
    """Answer with what the named call was answered; or return why that cannot be."""
    claimed = known.claimed
    if not known.same_request:
        message = f"the idempotency key {claim.name!r} was used for another request, {claimed.call_id}; use a new one"
        return Refusal(Code.IDEMPOTENCY_CONFLICT, message)
    outcome = claimed.outcome
    if outcome is None:
        message = f"the call named {claim.name!r}, {claimed.call_id}, is still running; ask again"
        return Refusal(Code.IDEMPOTENCY_CONFLICT, message, retry_after_s=1)
    if outcome.body is None:
        message = f"{claimed.call_id} was served, its answer was too large to be kept; see: pertoken explain"
        return Refusal(Code.IDEMPOTENCY_CONFLICT, message)
    headers = [*outcome.headers, (b"x-pertoken-replayed", b"true")]
    if outcome.stream:
        exchange.start(outcome.status, headers)
        exchange.finish(outcome.body)
    else:
        exchange.answer(outcome.status, headers, outcome.body)
    return None


def outcome_of(
    status: int, headers: list[tuple[bytes, bytes]], settled: Settled, body: bytes, *, stream: bool
) -> Outcome:
    """Return what is kept of an answer."""
    said = [field for field in (*headers, *settled_headers(settled)) if field[0] != _OF_THE_MOMENT]
    return Outcome(status, tuple(said), body if len(body) <= BODY_BYTES_MAX else None, stream)
