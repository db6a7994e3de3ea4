"""The provider as an ASGI application: it routes requests, simulates faults and sends answers."""

import asyncio
import re
from typing import Any
from urllib.parse import parse_qs

import msgspec
from starlette.types import Receive, Scope, Send

from pertoken.simulator import behaviour
from pertoken.simulator.answers import Reply, SimulatedCall
from pertoken.simulator.behaviour import BadBehaviour, Behaviour
from pertoken.simulator.ledger import ServedLedger, ServedTokens
from pertoken.simulator.makers import maker_of
from pertoken.wire import routes

STALL_S = 600
SLOW_FIRST_BYTE_MS = 1_000
SECRETS = ("authorization", "x-api-key", "x-goog-api-key", "api-key")
TRANSPORT = "pertoken.transport"  # the scope's key for the connection, for faults that close it

_AZURE = re.compile(r"/openai/(?:v1|deployments/[^/]+)(?=/)")
_decode = msgspec.json.Decoder(dict[str, Any]).decode
_encode = msgspec.json.encode


class Simulator:
    """A simulated provider with its own ledger."""

    def __init__(self) -> None:
        self.ledger = ServedLedger()
        self._failed: dict[bytes, int] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "lifespan":
            while True:
                message = await receive()
                await send({"type": f"{message['type']}.complete"})
                if message["type"] == "lifespan.shutdown":
                    return
        body = await _read(receive)
        path: str = _AZURE.sub("/v1", scope["path"])
        if path.startswith("/sim/") or scope["method"] == "GET":
            await self._own(scope["method"], path, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        error = maker_of(routes.format_for_errors(path).name).error
        api_key = _api_key(headers, scope["query_string"])
        if not api_key:
            await _answer(send, 401, error(401, "no api key"))
            return
        try:
            request = _decode(body)
            asked = behaviour.read(headers)
        except (msgspec.DecodeError, BadBehaviour) as problem:
            await _answer(send, 400, error(400, str(problem)))
            return
        shown = {name: value for name, value in headers.items() if name not in SECRETS}
        self.ledger.arrived({"path": scope["path"], "headers": shown, "body_bytes": len(body), "body": request})
        fault = self._fault(asked, api_key.encode() + body)
        asked = asked._replace(fault=fault)
        await _wait(asked)
        if fault in ("http_500", "http_429"):
            await _answer(send, int(fault[5:]), error(int(fault[5:]), f"simulated {fault}"), [(b"retry-after", b"1")])
        elif fault == "close_before_headers":
            scope[TRANSPORT].close()
        else:
            endpoint = routes.find(path)
            if endpoint is None:
                await _answer(send, 404, error(404, f"no such path: {path}"))
                return
            model = str(request.get("model")) if endpoint.model is None else endpoint.model
            call = SimulatedCall(model, request, body, asked, scope["query_string"])
            reply = maker_of(endpoint.format.name).reply(call)
            streams = bool(request.get("stream")) if endpoint.stream is None else endpoint.stream
            await self._serve(scope, reply, asked, api_key, send, streams=streams)

    async def _serve(
        self, scope: Scope, reply: Reply, asked: Behaviour, api_key: str, send: Send, *, streams: bool
    ) -> None:
        used = reply.used
        if used is None:
            await _answer(send, 200, reply.body)
        elif streams:
            await self._stream(scope, reply, used, asked, api_key, send)
        elif asked.fault == "stall":
            await asyncio.sleep(STALL_S)
        elif asked.fault == "cut_midstream":
            self.ledger.serve(api_key, reply.model, used, aborted=True)
            await _head(send, b"application/json", length=len(reply.body))
            await send({"type": "http.response.body", "body": reply.body[: len(reply.body) // 2], "more_body": True})
            scope[TRANSPORT].close()
        else:
            self.ledger.serve(api_key, reply.model, used)
            await _answer(send, 200, reply.body)

    async def _stream(  # noqa: PLR0917 - one call site
        self, scope: Scope, reply: Reply, used: ServedTokens, asked: Behaviour, api_key: str, send: Send
    ) -> None:
        """Send a stream. The ledger bills everything that was generated, even if the client has gone."""
        stop = {"stall": 3, "cut_midstream": len(reply.pieces) // 2}.get(asked.fault or "")
        sent = reply.pieces[:stop]
        made = sum(piece.tokens for piece in sent)
        if stop is not None:
            reasoned = min(used.reasoning_tokens, made)
            used = used._replace(output_tokens=made, reasoning_tokens=reasoned)
        self.ledger.serve(api_key, reply.model, used, aborted=stop is not None)
        await _head(send, reply.content_type)
        for piece in sent:
            await send({"type": "http.response.body", "body": piece.data, "more_body": True})
            if asked.chunk_ms:
                await asyncio.sleep(asked.chunk_ms / 1000)
        if asked.fault == "stall":
            await asyncio.sleep(STALL_S)
        elif asked.fault == "cut_midstream":
            scope[TRANSPORT].close()
        else:
            await send({"type": "http.response.body", "body": b""})

    def _fault(self, asked: Behaviour, call: bytes) -> str | None:
        """Return the fault of this call. With `fault_times`, only the first calls with the same body and key fail."""
        if asked.fault is None or asked.fault_times is None:
            return asked.fault
        failed = self._failed.get(call, 0)
        self._failed[call] = failed + 1
        return asked.fault if failed < asked.fault_times else None

    async def _own(self, method: str, path: str, send: Send) -> None:
        if method == "POST" and path == "/sim/reset":
            self.ledger.reset()
            self._failed.clear()
            await _answer(send, 200, b'{"reset":true}')
        elif path == "/sim/ledger":
            await _answer(send, 200, _encode(self.ledger.invoice()))
        elif path == "/sim/calls":
            await _answer(send, 200, _encode({"calls": self.ledger.calls()}))
        elif path == "/v1/models":
            await _answer(send, 200, b'{"object":"list","data":[]}')
        else:
            await _answer(send, 404, b'{"error":{"message":"no such path"}}')


def create_app() -> Simulator:
    """Return a provider with an empty ledger."""
    return Simulator()


def _api_key(headers: dict[str, str], query: bytes) -> str:
    bearer = headers.get("authorization", "").removeprefix("Bearer ")
    given = bearer or next((headers[name] for name in SECRETS[1:] if headers.get(name)), None)
    return given or parse_qs(query.decode("latin-1")).get("key", [""])[0]


async def _wait(asked: Behaviour) -> None:
    if asked.fault == "slow_first_byte":
        await asyncio.sleep((asked.latency_ms or SLOW_FIRST_BYTE_MS) / 1000)
    elif asked.latency_ms:
        await asyncio.sleep(asked.latency_ms / 1000)


async def _read(receive: Receive) -> bytes:
    message = await receive()
    body: bytes = message.get("body", b"")
    parts = [body]
    while message.get("more_body"):
        message = await receive()
        parts.append(message.get("body", b""))
    return b"".join(parts) if len(parts) > 1 else body


async def _head(send: Send, content_type: bytes, *, status: int = 200, length: int | None = None) -> None:
    headers = [(b"content-type", content_type), (b"x-request-id", b"req_simulated")]
    if length is not None:
        headers.append((b"content-length", str(length).encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})


async def _answer(send: Send, status: int, body: bytes, more: list[tuple[bytes, bytes]] | None = None) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), *(more or [])]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
