"""Who is signed in: the cookie, the ways in and out, and where it is safe to send a cookie at all."""

import time
from collections import OrderedDict, deque
from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import Response

from pertoken.core.periods import US_PER_SECOND
from pertoken.core.sessions import TOTAL_US

COOKIE = "pertoken_session"
SAFE_COOKIE = "__Host-pertoken_session"  # a browser takes it over https alone, and from this host alone
ATTEMPTS_MAX = 10  # a minute, from one address
ADDRESSES_MAX = 10_000
MINUTE_S = 60
# The gateway says who asked, and how, in these; what a client sends under their names it takes away.
PEER, SCHEME = "x-pertoken-peer", "x-pertoken-scheme"
FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-proto")


class Visitor(NamedTuple):
    """Where a request comes from."""

    address: str
    is_https: bool
    is_loopback: bool

    @property
    def may_sign_in(self) -> bool:
        """Whether nobody between can read a cookie."""
        return self.is_https or self.is_loopback


def client_of(request: Request, trusted: Sequence[IPv4Network | IPv6Network]) -> Visitor:
    """Return where a request comes from: as its connection says, or as a trusted proxy does."""
    peer = request.headers.get(PEER, "")
    is_https = request.headers.get(SCHEME) == "https"
    if _is_in(peer, trusted):
        told = request.headers.get("x-forwarded-for", peer).split(",")
        address = next((one.strip() for one in reversed(told) if not _is_in(one.strip(), trusted)), peer)
        is_https = is_https or request.headers.get("x-forwarded-proto", "").strip().lower() == "https"
        return Visitor(address, is_https, is_loopback(address))
    is_forwarded = any(name in request.headers for name in FORWARDED)  # by a proxy that nobody told us of
    return Visitor(peer, is_https, is_loopback(peer) and not is_forwarded)


def token_of(request: Request) -> str:
    """Return the session's token, "" where there is none."""
    return request.cookies.get(SAFE_COOKIE) or request.cookies.get(COOKIE) or ""


def set_cookie(response: Response, token: str, client: Visitor) -> None:
    """Give the browser a session's token; no script can read it, and no other site sends it along."""
    response.set_cookie(
        SAFE_COOKIE if client.is_https else COOKIE, token, max_age=TOTAL_US // US_PER_SECOND, path="/",
        secure=client.is_https, httponly=True, samesite="lax",
    )  # fmt: skip


def clear_cookie(response: Response) -> None:
    """Have the browser forget the session."""
    response.delete_cookie(SAFE_COOKIE, path="/", secure=True, httponly=True, samesite="lax")
    response.delete_cookie(COOKIE, path="/", httponly=True, samesite="lax")


class Attempts:
    """Counts failed attempts to sign in, by address: too many within a minute, and that address must wait."""

    def __init__(self) -> None:
        self._failed: OrderedDict[str, deque[float]] = OrderedDict()

    def are_too_many(self, address: str) -> bool:
        """Tell whether an address must wait."""
        failed = self._failed.get(address)
        while failed and failed[0] < time.monotonic() - MINUTE_S:
            failed.popleft()
        return failed is not None and len(failed) >= ATTEMPTS_MAX

    def fail(self, address: str) -> None:
        """Count a failed attempt."""
        self._failed.setdefault(address, deque(maxlen=ATTEMPTS_MAX)).append(time.monotonic())
        self._failed.move_to_end(address)
        if len(self._failed) > ADDRESSES_MAX:
            self._failed.popitem(last=False)


def _is_in(address: str, networks: Sequence[IPv4Network | IPv6Network]) -> bool:
    try:
        one = ip_address(address)
    except ValueError:
        return False
    return any(one in network for network in networks)


def is_loopback(address: str) -> bool:
    """Tell whether an address is of the machine itself."""
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False
