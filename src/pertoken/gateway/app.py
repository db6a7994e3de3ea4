"""All requests to the gateway that are not calls: health, list of models, control plane, pages, unknown paths."""

import re
from collections.abc import Awaitable, Callable, Sequence

import msgspec
from starlette.types import ASGIApp, Receive, Scope, Send

from pertoken.core.errors import Code, Refusal
from pertoken.gateway.monitor import PATHS
from pertoken.gateway.pages import asks_for_page
from pertoken.gateway.viewers import JSON, PlainAnswer
from pertoken.services.call.identify import identify
from pertoken.services.models import closest
from pertoken.services.world import World
from pertoken.wire import families, routes

_MODELS = re.compile(r"/(v1|v1beta)/models(?:/(.+))?")

Monitoring = Callable[[Scope], Awaitable[PlainAnswer]]


def create_app(world: World, api: ASGIApp, pages: ASGIApp, monitoring: Monitoring) -> ASGIApp:
    """Return the ASGI application for every path that is not a call.

    `api` answers paths under /api, `pages` answers browsers, and `monitoring` answers /metrics and /health.
    """

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
        elif scope["type"] == "http":
            if scope["path"].startswith("/api/"):
                await api(scope, receive, send)
                return
            if asks_for_page(scope):
                await pages(scope, receive, send)
                return
            if scope["path"] in PATHS and scope["method"] in ("GET", "HEAD"):
                await _send(send, *await monitoring(scope))
                return
            await _send(send, *await _answer(world, scope))

    return app


async def _answer(world: World, scope: Scope) -> tuple[int, bytes]:
    method, path = scope["method"], scope["path"]
    if method in ("GET", "HEAD"):
        if path == "/health/live":
            return 200, b'{"status":"live"}'
        if path == "/health/ready":
            return _readiness(world)
        if _MODELS.fullmatch(path):
            return await _models(world, scope, path)
    if routes.find(path) is not None:
        refusal = Refusal(Code.INVALID_REQUEST, f"{path} takes POST, not {method}")
    else:
        refusal = Refusal(Code.NOT_FOUND, f"no such path: {method} {path}{routes.meant(path)}")
    return refusal.status, routes.format_for_errors(path).error(refusal)


def _readiness(world: World) -> tuple[int, bytes]:
    failure = world.ledger.cannot_settle
    if failure is not None:
        return 503, msgspec.json.encode({"status": "not ready", "reason": failure})
    failure = world.ledger.failure
    if failure is None:
        return 200, b'{"status":"ready"}'
    if world.ledger.on_credit:
        return 200, msgspec.json.encode({"status": "ready, on credit", "reason": failure})
    return 503, msgspec.json.encode({"status": "not ready", "reason": failure})


async def _models(world: World, scope: Scope, path: str) -> tuple[int, bytes]:
    """Return status and body with all models that can be called, or with the one that the path names."""
    caller = await identify(tuple(scope["headers"]), scope["query_string"], world, surely=True)
    wire, _, shapes = families.of_client(path, dict(scope["headers"]), scope["query_string"])
    if isinstance(caller, Refusal):
        return caller.status, shapes.error(caller)
    models = list(world.offers.callable(wire, world.clock.now_us()))
    name = path.partition("/models/")[2]
    if not name:
        return 200, msgspec.json.encode(shapes.list_models([shapes.show_model(*model) for model in models]))
    found = next((model for model in models if model.name == name), None)
    if found is not None:
        return 200, msgspec.json.encode(shapes.show_model(*found))
    meant = closest(name, models)
    refusal = Refusal(Code.UNKNOWN_MODEL, f"no model {name!r}{f'; did you mean {meant}?' if meant else ''}", "model")
    return refusal.status, shapes.error(refusal)


async def _send(send: Send, status: int, body: bytes, more: Sequence[tuple[bytes, bytes]] = (JSON,)) -> None:
    headers = [*more, (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
