"""Who may read /metrics and /health."""

import base64
import binascii

import msgspec
from starlette.types import Scope

from pertoken.api.app import Plane
from pertoken.core.access import Action, Hidden, Principal, may, view
from pertoken.ports.ledger import StoreUnavailable
from pertoken.services.admins import ROOT, authenticate, is_root
from pertoken.web.signing_in import FORWARDED, is_loopback

_FORWARDED = frozenset(name.encode() for name in FORWARDED)
_HERE = frozenset({"localhost", "127.0.0.1", "[::1]"})
JSON = (b"content-type", b"application/json")

PlainAnswer = tuple[int, bytes, tuple[tuple[bytes, bytes], ...]]


class Viewers:
    """Decides who may read: everybody, if configured so; otherwise holders of an admin key that may see all calls.

    Without that setting, requests from the same machine need no key.
    """

    def __init__(self, plane: Plane, is_open: bool | None, host: str) -> None:
        self._plane = plane
        self._is_open = is_open
        self._is_here = is_loopback(host)

    async def why_not(self, scope: Scope) -> PlainAnswer | None:
        """Return the refusal of a request, or None if it may read. Raises ApiRefused."""
        headers = dict(scope["headers"])
        if self._is_open if self._is_open is not None else self._is_local(scope, headers):
            return None
        secret = secret_of(headers.get(b"authorization", b""))
        if not secret:
            return refusal(401, "send an admin key of the role viewer: as a bearer token, or as the password")
        try:
            principal = await self._plane.in_thread(lambda: self._look_up(secret))
        except StoreUnavailable as error:
            return refusal(503, f"the admin key cannot be looked up: {error}")
        if principal is None:
            return refusal(401, "unknown, expired or revoked admin key")
        try:
            sees_all = view(principal).is_whole
        except Hidden as error:
            return refusal(403, str(error))
        allowed = sees_all and may(principal, Action.CALLS_READ) and may(principal, Action.USAGE_READ)
        return None if allowed else refusal(403, f"the role {principal.role} may not read what is about all calls")

    def _is_local(self, scope: Scope, headers: dict[bytes, bytes]) -> bool:
        """Tell whether a request comes directly from this machine.

        It must not come through a proxy. Its one Host must be a local name, so that a page of another site cannot read
        it.
        """
        client = scope.get("client")
        host = headers.get(b"host", b"").decode("latin-1")
        name = host[: host.rfind(":")] if host.rpartition(":")[2].isdecimal() else host
        near = client is not None and is_loopback(client[0])
        hosts = sum(field[0] == b"host" for field in scope["headers"])
        return self._is_here and near and hosts == 1 and name in _HERE and not _FORWARDED & headers.keys()

    def _look_up(self, secret: bytes) -> Principal | None:
        plane = self._plane
        if is_root(secret, plane.root_key, plane.hasher):
            return ROOT
        with plane.store.read() as opened:
            return authenticate(secret, plane.root_key, plane.hasher, opened.admins, plane.clock.now_us())


def secret_of(authorization: bytes) -> bytes:
    """Return the secret of a bearer token, or the password of basic authentication; empty if there is neither."""
    kind, _, said = authorization.strip().partition(b" ")
    if kind.lower() == b"bearer":
        return said.strip()
    if kind.lower() != b"basic":
        return b""
    try:
        return base64.b64decode(said.strip(), validate=True).partition(b":")[2]
    except binascii.Error:
        return b""


def refusal(status: int, message: str) -> PlainAnswer:
    """Return the answer to a refused request."""
    headers: tuple[tuple[bytes, bytes], ...] = (JSON,)
    if status == 401:
        headers = (JSON, (b"www-authenticate", b'Bearer, Basic realm="pertoken"'))
    return status, msgspec.json.encode({"error": {"message": message}}), headers
