"""Providers as configured: base URL, key and wire format. Each sends with its own key over the shared client."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import quote, urlencode

from pertoken.core.provider_errors import ErrorKind
from pertoken.ports.headers import HeaderList
from pertoken.ports.provider import ProviderFailed
from pertoken.upstream.encoding import Decoder, decoder
from pertoken.upstream.errors import (
    ConnectFailed,
    ConnectTimeout,
    DecodingFailed,
    FirstByteTimeout,
    IdleTimeout,
    InvalidRequest,
    PoolExhausted,
    ProtocolError,
    TotalTimeout,
    UpstreamError,
)
from pertoken.upstream.http import Client
from pertoken.upstream.origin import Origin, parse_origin
from pertoken.upstream.response import Response

MODEL = "{model}"  # a placeholder for the model of the call in a base URL

UNPACKED_AT_ONCE = 64 * 1024  # bytes of one decoding step, so that a decompression bomb is noticed early

_AUTH = {
    "bearer": (b"authorization", b"Bearer "),
    "x-api-key": (b"x-api-key", b""),
    "x-goog-api-key": (b"x-goog-api-key", b""),
    "api-key": (b"api-key", b""),
}


class HttpProvider(NamedTuple):
    """A provider reached over HTTP."""

    name: str
    wire: str
    asks_for_usage: bool
    cuts_on_hangup: bool
    output_cap: str
    prices_from: tuple[str, ...]
    client: Client
    origin: Origin
    prefix: str
    query: str
    auth: tuple[bytes, bytes] | None
    missing_key: str | None = None

    async def send(self, path: str, headers: HeaderList, body: bytes, model: str) -> "HttpAnswer":
        """Send a POST with the provider's own key. Raises ProviderFailed."""
        prefix = self.prefix.replace(MODEL, _segment(model)) if MODEL in self.prefix else self.prefix
        if self.query:
            path = f"{path}{'&' if '?' in path else '?'}{self.query}"
        target = f"{prefix}{path}".encode("ascii", "replace")
        try:
            return HttpAnswer(await self.client.send(self.origin, b"POST", target, _sent(headers, self.auth), body))
        except UpstreamError as error:
            raise _failed(error) from error


class HttpAnswer:
    """An answer in plain bytes, whose failures are the port's ProviderFailed.

    We ask providers not to compress their answers. A compressed answer is decoded here, within the limits of
    `encoding`, because later code must read its usage.
    """

    __slots__ = ("_decoder", "_response", "headers", "status")

    def __init__(self, response: Response) -> None:
        """Raise DecodingFailed for a content encoding that we do not know."""
        self._response = response
        self.status = response.status
        self.headers = response.headers
        self._decoder: Decoder | None = None
        packed = [value for name, value in response.headers if name == b"content-encoding"]
        if packed:
            self._decoder = decoder(b",".join(packed))
            if self._decoder is not None:
                self.headers = [field for field in response.headers if field[0] != b"content-encoding"]
            elif response.status < 400:  # an error answer costs nothing and may be passed on without being read
                response.abandon()
                raise DecodingFailed(f"the answer has a content-encoding that was not asked for: {packed}", sent=True)

    async def read(self) -> bytes:
        """Return the whole body. Raises ProviderFailed."""
        try:
            body = await self._response.read()
            unpack = self._decoder
            if unpack is None:
                return body
            return await asyncio.to_thread(lambda: b"".join((*_unpack(unpack, body), unpack.flush())))
        except UpstreamError as error:
            raise _failed(error) from error

    async def pour(self, sink: Callable[[bytes], bool], room: Callable[[], Awaitable[None]]) -> None:
        """Pass the body to `sink` as it arrives. Raises ProviderFailed, and any error of `sink` and `room`."""
        unpack = self._decoder
        try:
            if unpack is None:
                await self._response.pour(sink, room)
                return

            def take(piece: bytes) -> bool:
                full = False
                for plain in _unpack(unpack, piece):
                    full = sink(plain) or full
                return full

            await self._response.pour(take, room)
            sink(unpack.flush())
        except UpstreamError as error:
            raise _failed(error) from error

    def abandon(self) -> None:
        """Close the connection now. A task that waits for the body gets ProviderFailed."""
        self._response.abandon()


def _segment(model: str) -> str:
    """Return a model's name as one path segment. Raises ProviderFailed for a name that could leave its directory."""
    if not {"", ".", ".."}.isdisjoint(model.split("/")):
        message = f"not sent: the model's name cannot be part of a path: {model!r:.80}"
        raise ProviderFailed(message, kind=ErrorKind.NOT_SENT)
    return quote(model, safe="")


def _unpack(unpack: Decoder, data: bytes) -> Iterator[bytes]:
    for start in range(0, len(data), UNPACKED_AT_ONCE):
        yield unpack.feed(data[start : start + UNPACKED_AT_ONCE])


def http_provider(
    name: str,
    *,
    wire: str,
    base_url: str,
    auth: str,
    api_key: str | None,
    query: Mapping[str, str],
    asks_for_usage: bool,
    cuts_on_hangup: bool,
    output_cap: str,
    prices_from: tuple[str, ...] = (),
    missing_key: str | None = None,
    client: Client,
) -> HttpProvider:
    """Return a provider from its settings. Raises ValueError if the base URL is invalid."""
    origin, prefix = parse_origin(base_url)
    sent = None
    if api_key is not None and auth != "none":
        header, scheme = _AUTH[auth]
        sent = (header, scheme + api_key.encode())
    return HttpProvider(
        name,
        wire,
        asks_for_usage,
        cuts_on_hangup,
        output_cap,
        prices_from,
        client,
        origin,
        prefix,
        urlencode(query),
        sent,
        missing_key,
    )


@lru_cache(maxsize=512)  # most calls of a client have the same headers; an entry may have 64 KB
def _sent(headers: HeaderList, auth: tuple[bytes, bytes] | None) -> HeaderList:
    asked = ((b"accept-encoding", b"identity"), *headers)
    return asked if auth is None else (*asked, auth)


def _failed(error: UpstreamError) -> ProviderFailed:
    error.__traceback__ = (
        None  # the transfer holds the error, and the error's frames hold the transfer: a reference cycle with the body
    )
    kind = _kind_of(error)
    # Each of these needs a received request.
    has_worked = kind is ErrorKind.TIMED_OUT or isinstance(error, DecodingFailed | ProtocolError)
    return ProviderFailed(str(error), kind=kind, may_bill=has_worked and error.sent)


def _kind_of(error: UpstreamError) -> ErrorKind:
    match error:
        case ConnectTimeout() | FirstByteTimeout() | IdleTimeout() | TotalTimeout():
            return ErrorKind.TIMED_OUT
        case ConnectFailed() | PoolExhausted():
            return ErrorKind.UNREACHABLE
        case InvalidRequest():
            return ErrorKind.NOT_SENT
        case _:
            return ErrorKind.BROKE_OFF
