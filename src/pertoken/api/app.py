"""The control plane as an ASGI application: the one place that authenticates, authorises, narrows and answers.

It uses the database on its own threads, never on the event loop, because the event loop serves calls.
"""

import asyncio
import functools
import hashlib
import logging
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, TypeVar, cast

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route as Path
from starlette.routing import Router
from starlette.types import ASGIApp, Receive, Scope, Send

from pertoken.api import openapi
from pertoken.api.doing import transact
from pertoken.api.problem import DOCUMENT, ApiRefused, Problem
from pertoken.api.reading import (
    decode_body,
    read_body,
    read_idempotency_key,
    read_name,
    read_query,
    read_secret,
)
from pertoken.api.route import Asked, Route, Take, Taking
from pertoken.api.table import ROUTES
from pertoken.core.access import Hidden, Principal, View, may, view
from pertoken.core.commands import Look
from pertoken.core.customers import Unknown
from pertoken.core.ids import ADMIN_PREFIX, KEY_PREFIX
from pertoken.core.secrets import Hasher
from pertoken.ports.clock import Clock
from pertoken.ports.ledger import Ledger, StoreUnavailable
from pertoken.ports.pricing import Pricing
from pertoken.ports.store import Given, Opened, Store
from pertoken.services.admins import authenticate
from pertoken.services.narrow import NarrowArchive

THREADS = 4
WAITING_MAX = 64  # requests that may wait for a thread
TAKING_MAX = 2  # batches of events that wait at the committer at once: its queue stays free for calls

T = TypeVar("T")

log = logging.getLogger("pertoken.api")


class Plane:
    """Everything that the control plane uses. Call `close` at the end."""

    def __init__(  # noqa: PLR0917 - what there is one of
        self,
        store: Store,
        ledger: Ledger,
        clock: Clock,
        hasher: Hasher,
        root_key: str,
        reported_max: str,
        pricing: Pricing | None = None,
        unknown: Unknown = Unknown.ALLOW,
    ) -> None:
        self.store = store
        self.ledger = ledger
        self.clock = clock
        self.hasher = hasher
        self.root_key = root_key
        self.reported_max = reported_max  # the most that one reported event may cost
        self.pricing = pricing
        self.unknown = unknown  # what is done with events of customers that nobody has made
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="api")
        self._waiting = 0
        self.turns = asyncio.Semaphore(TAKING_MAX)

    @property
    def waiting(self) -> int:
        """The number of requests that have a thread or wait for one."""
        return self._waiting

    async def in_thread(self, work: Callable[[], T]) -> T:
        """Run `work` on a thread. Raises ApiRefused if too many requests wait, and whatever `work` raises."""
        if self._waiting >= WAITING_MAX + THREADS:
            raise ApiRefused(Problem.BUSY, "too many requests to the control plane are waiting; try again")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """Wait for the threads to end."""
        self._threads.shutdown()


class ApiAnswer(NamedTuple):
    """The answer to a request."""

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()


def create_api(plane: Plane) -> ASGIApp:
    """Return the application for every path under /api."""
    by_path: dict[str, list[Route]] = defaultdict(list)
    for route in ROUTES:
        by_path[route.path].append(route)
    # a name may hold slashes, as the names of models do
    paths = [Path(path.replace("}", ":path}"), _Resource(routes, plane)) for path, routes in by_path.items()]
    document = msgspec.json.encode(openapi.describe(ROUTES))
    return Router([Path(DOCUMENT, _Document(document)), *paths], redirect_slashes=False, default=_not_found)


class _Document:
    """Serves the OpenAPI document; it needs no key."""

    def __init__(self, document: bytes) -> None:
        self._document = document

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] in ("GET", "HEAD"):
            answer = ApiAnswer(200, self._document)
        else:
            answer = _refusal(_not_allowed(scope["path"], scope["method"], ["GET"]), ["GET"])
        await _send(answer, scope, receive, send)


class _Resource:
    """One path, with its routes by method."""

    def __init__(self, routes: Sequence[Route], plane: Plane) -> None:
        self._routes = {route.method: route for route in routes}
        self._plane = plane

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            answer = await self._answer(Request(scope, receive))
        except ApiRefused as refused:
            answer = _refusal(refused, sorted(self._routes))
        except Hidden as error:
            answer = _refusal(ApiRefused(Problem.FORBIDDEN, str(error)))
        except StoreUnavailable as error:
            answer = _refusal(ApiRefused(Problem.STORE_UNAVAILABLE, str(error)))
        except ClientDisconnect:
            return
        except Exception:
            log.exception("a request to the control plane failed because of a bug in pertoken")
            answer = _refusal(ApiRefused(Problem.INTERNAL, "pertoken made a mistake; its log has the details"))
        await _send(answer, scope, receive, send)

    async def _answer(self, request: Request) -> ApiAnswer:
        """Authenticate and authorise a request, and return its answer. Raises ApiRefused, Hidden, StoreUnavailable."""
        plane = self._plane
        method = "GET" if request.method == "HEAD" else request.method
        route = self._routes.get(method)
        if route is None:
            raise _not_allowed(request.scope["path"], request.method, sorted(self._routes))
        principal = await _authenticate(request, plane)
        if not may(principal, route.action):
            message = f"the role {principal.role} may not {route.action}; see: GET /api/v1/whoami"
            raise ApiRefused(Problem.FORBIDDEN, message)
        name, query = read_name(request, route), read_query(request, route)
        idempotency_key = None if method == "GET" else read_idempotency_key(request)
        raw = await read_body(request, route)
        body = None if raw is None else await plane.in_thread(functools.partial(decode_body, raw, route))
        asked = Asked(
            principal,
            view(principal),
            name,
            query,
            body,
            plane.clock.now_us(),
            plane.clock,
            plane.hasher,
            plane.ledger.prices,
            plane.pricing,
        )
        named = None
        if idempotency_key is not None:
            request_hash = await plane.in_thread(functools.partial(_hash, request, raw or b""))
            named = _Named(idempotency_key, request_hash)
        if route.records:
            return await _take(route, asked, named, plane)
        transaction = _read if method == "GET" else _write
        return await plane.in_thread(functools.partial(transaction, route, asked, named, plane.store))


class _Named(NamedTuple):
    """A request with an Idempotency-Key: the key, and the identity of the request."""

    name: str
    request_hash: bytes


async def _authenticate(request: Request, plane: Plane) -> Principal:
    secret = read_secret(request)

    def look_up() -> Principal | None:
        with plane.store.read() as opened:
            return authenticate(secret, plane.root_key, plane.hasher, opened.admins, plane.clock.now_us())

    principal = await plane.in_thread(look_up)
    if principal is None:
        is_virtual = secret.startswith(KEY_PREFIX.encode()) and not secret.startswith(ADMIN_PREFIX.encode())
        what = "this is a virtual key, for calls" if is_virtual else "unknown, expired or revoked admin key"
        raise ApiRefused(Problem.UNKNOWN_KEY, f"{what}; make an admin key: pertoken admin create NAME --role ROLE")
    return principal


def _narrowed(opened: Opened, seen: View) -> Opened:
    """Return a transaction in which reads show only what the principal may see."""
    return opened._replace(archive=NarrowArchive(opened.archive, seen))


def _read(route: Route, asked: Asked, _named: _Named | None, store: Store) -> ApiAnswer:
    with store.read() as opened:
        answer = transact(route, _narrowed(opened, asked.view), asked, "api")
        return ApiAnswer(route.status, msgspec.json.encode(answer))


def _write(route: Route, asked: Asked, named: _Named | None, store: Store) -> ApiAnswer:
    """Make the change and store its answer in one transaction, so that a request with a name is done only once."""
    with store.write() as opened:
        known = _find(opened, asked.principal, named)
        if known is not None:
            return known
        answer = transact(route, _narrowed(opened, asked.view), asked, "api")
        _keep(opened, asked, named, route.status, answer)
        return ApiAnswer(route.status, msgspec.json.encode(answer))


async def _take(route: Route, asked: Asked, named: _Named | None, plane: Plane) -> ApiAnswer:
    """Record events. If a named request broke off before its answer was stored, it runs again; nothing counts twice."""
    team = asked.view.team

    def prepare() -> tuple[ApiAnswer | None, frozenset[str], bool]:
        with plane.store.read() as opened:
            known = _find(opened, asked.principal, named)
            keys = [] if asked.view.is_whole else _narrowed(opened, asked.view).archive.list_keys()
            may_report = team is None or opened.administration.allowance(team) is not None
            return known, frozenset(key.key_id for key in keys), may_report

    def keep() -> ApiAnswer | None:
        with plane.store.write() as opened:
            first = _find(opened, asked.principal, named)  # the answer to the same request, made at the same time
            if first is None:
                _keep(opened, asked, named, route.status, answer)
            return first

    known, own_keys, may_report = await plane.in_thread(prepare)
    if known is not None:
        return known
    async with plane.turns:
        await plane.ledger.submit(Look())  # so that a price that was added a moment ago counts
    asked = asked._replace(prices=plane.ledger.prices)
    taking = Taking(
        plane.ledger, plane.turns, plane.in_thread, own_keys, plane.reported_max, plane.store, may_report, plane.unknown
    )
    answer = await cast("Take", route.do)(taking, asked)
    first = None if named is None else await plane.in_thread(keep)
    return first or ApiAnswer(route.status, msgspec.json.encode(answer))


def _find(opened: Opened, principal: Principal, named: _Named | None) -> ApiAnswer | None:
    """Return the stored answer to a named request. Raises ApiRefused if the name was used for another request."""
    given = None if named is None else opened.answers.find(principal.principal_id, named.name)
    if given is None or named is None:
        return None
    if given.request_hash != named.request_hash:
        message = f"the Idempotency-Key {named.name!r} was used for another request; use a new one"
        raise ApiRefused(Problem.IDEMPOTENCY_CONFLICT, message, "Idempotency-Key")
    return ApiAnswer(given.status, given.body, (("idempotency-replayed", "true"),))


def _keep(opened: Opened, asked: Asked, named: _Named | None, status: int, answer: msgspec.Struct) -> None:
    """Store the answer to a named request, without secrets, because secrets are never stored."""
    if named is None:
        return
    kept = msgspec.structs.replace(answer, secret=None) if hasattr(answer, "secret") else answer
    given = Given(named.request_hash, status, msgspec.json.encode(kept))
    opened.answers.add(asked.principal.principal_id, named.name, given, asked.now_us)


def _hash(request: Request, body: bytes) -> bytes:
    scope = request.scope
    content = b"\0".join((scope["method"].encode(), scope["path"].encode(), scope["query_string"], body))
    return hashlib.blake2b(content, digest_size=16).digest()


def _not_allowed(path: str, method: str, allowed: Sequence[str]) -> ApiRefused:
    return ApiRefused(Problem.METHOD_NOT_ALLOWED, f"{path} takes {', '.join(allowed)}, not {method}")


def _refusal(refused: ApiRefused, allowed: Sequence[str] = ()) -> ApiAnswer:
    headers: tuple[tuple[str, str], ...] = ()
    if refused.status == 401:
        headers = (("www-authenticate", "Bearer"),)
    elif refused.status == 405:
        headers = (("allow", ", ".join(allowed)),)
    elif refused.status == 503:
        headers = (("retry-after", "1"),)
    return ApiAnswer(refused.status, msgspec.json.encode(refused.error()), headers)


async def _not_found(scope: Scope, receive: Receive, send: Send) -> None:
    refused = ApiRefused(Problem.NOT_FOUND, f"no such path: {scope['path']}; see: GET {DOCUMENT}")
    await _send(_refusal(refused), scope, receive, send)


async def _send(answer: ApiAnswer, scope: Scope, receive: Receive, send: Send) -> None:
    headers = {"cache-control": "no-store", **dict(answer.headers)}
    await Response(answer.body, answer.status, headers, "application/json")(scope, receive, send)
