"""Signing in and out: the session cookie, and whether a connection is safe enough for it."""

import threading
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
SAFE_COOKIE = "__Host-pertoken_session"  # browsers accept this name only over https and only from this host
ATTEMPTS_MAX = 10  # per minute and address
ADDRESSES_MAX = 10_000
MINUTE_S = 60
# The gateway puts the client's address and scheme into these headers, and removes a client's own headers of that name.
PEER, SCHEME = "x-pertoken-peer", "x-pertoken-scheme"
FORWARDED = ("forwarded", "via", "x-forwarded-for", "x-forwarded-proto", "x-real-ip")


class Visitor(NamedTuple):
    """The origin of a request."""

    address: str
    is_https: bool
    is_loopback: bool

    @property
    def may_sign_in(self) -> bool:
        """Whether the connection protects a cookie from being read."""
        return self.is_https or self.is_loopback


def client_of(request: Request, trusted: Sequence[IPv4Network | IPv6Network]) -> Visitor:
    """Return the origin of a request, by its connection or by the headers of a trusted proxy."""
    peer = request.headers.get(PEER, "")
    is_https = request.headers.get(SCHEME) == "https"
    is_forwarded = any(name in request.headers for name in FORWARDED)
    if not _is_in(peer, trusted):
        return Visitor(peer, is_https, is_loopback(peer) and not is_forwarded)  # not by a proxy that we do not know
    told = [_without_port(one) for one in _words(request, "x-forwarded-for")]
    is_https = is_https or (_words(request, "x-forwarded-proto") or [""])[-1].lower() == "https"
    is_near = is_loopback(peer) and (all(map(is_loopback, told)) if told else not is_forwarded)
    return Visitor(_farthest(told, trusted) or peer, is_https, is_near)


def _words(request: Request, name: str) -> list[str]:
    """Return all values of a header, of all its lines: a proxy may add a line of its own after that of the client."""
    lines = request.headers.getlist(name)
    return [word.strip() for word in ",".join(lines).split(",")] if lines else []


def _farthest(told: Sequence[str], trusted: Sequence[IPv4Network | IPv6Network]) -> str:
    """Return the last address that is of no trusted proxy; "" where there is none, or the proxies name something else.

    What stands before it is what the client says.
    """
    return next((one for one in reversed(told) if not _is_in(one, trusted)), "")


def _without_port(text: str) -> str:
    """Return an address as it is usually written, without its port; "" for what is no address."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        return str(ip_address(text))
    except ValueError:
        return ""


def token_of(request: Request) -> str:
    """Return the session's token, or ""."""
    return request.cookies.get(SAFE_COOKIE) or request.cookies.get(COOKIE) or ""


def set_cookie(response: Response, token: str, client: Visitor) -> None:
    """Set the session's cookie; no script can read it, and requests from other sites do not include it."""
    response.set_cookie(
        SAFE_COOKIE if client.is_https else COOKIE, token, max_age=TOTAL_US // US_PER_SECOND, path="/",
        secure=client.is_https, httponly=True, samesite="lax",
    )  # fmt: skip


def clear_cookie(response: Response) -> None:
    """Delete the session's cookie."""
    response.delete_cookie(SAFE_COOKIE, path="/", secure=True, httponly=True, samesite="lax")
    response.delete_cookie(COOKIE, path="/", httponly=True, samesite="lax")


class Attempts:
    """Counts attempts to sign in that failed, by address: too many within a minute, and that address must wait.

    An attempt counts from its beginning until it succeeds. So of many at the same time no more are tried.
    """

    def __init__(self) -> None:
        self._begun: OrderedDict[str, deque[float]] = OrderedDict()
        self._lock = threading.Lock()

    def begin(self, address: str) -> float | None:
        """Count an attempt and return when it began; None if the address must wait."""
        now = time.monotonic()
        with self._lock:
            begun = self._begun.setdefault(address, deque())
            self._begun.move_to_end(address)
            while begun and begun[0] < now - MINUTE_S:
                begun.popleft()
            if len(begun) >= ATTEMPTS_MAX:
                return None
            begun.append(now)
            if len(self._begun) > ADDRESSES_MAX:
                self._begun.popitem(last=False)
        return now

    def take_back(self, address: str, began: float) -> None:
        """Count an attempt no more, because it succeeded."""
        with self._lock:
            begun = self._begun.get(address)
            if begun is not None and began in begun:
                begun.remove(began)


def _is_in(address: str, networks: Sequence[IPv4Network | IPv6Network]) -> bool:
    try:
        one = ip_address(address)
    except ValueError:
        return False
    return any(one in network for network in networks)


def is_loopback(address: str) -> bool:
    """Tell whether an address is one of this machine."""
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False
