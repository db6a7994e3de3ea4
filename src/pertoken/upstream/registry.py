"""Providers as configured: base URL, auth style, wire; each sends with its own key over the shared client."""

from collections.abc import Awaitable, Callable, Mapping
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import quote, urlencode

from pertoken.ports import HeaderList, ProviderFailed
from pertoken.upstream.errors import (
    ConnectTimeout,
    FirstByteTimeout,
    IdleTimeout,
    TotalTimeout,
    UpstreamError,
)
from pertoken.upstream.http import Client
from pertoken.upstream.origin import Origin, parse_origin
from pertoken.upstream.response import Response

MODEL = "{model}"  # in a base URL: the model of the call stands here

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

    async def send(self, path: str, headers: HeaderList, body: bytes, model: str) -> "HttpAnswer":
        """Send a POST with the provider's own key. Raises ProviderFailed."""
        prefix = self.prefix.replace(MODEL, quote(model, safe="")) if MODEL in self.prefix else self.prefix
        if self.query:
            path = f"{path}{'&' if '?' in path else '?'}{self.query}"
        target = f"{prefix}{path}".encode("ascii", "replace")
        try:
            return HttpAnswer(await self.client.send(self.origin, b"POST", target, _sent(headers, self.auth), body))
        except UpstreamError as error:
            raise _failed(error) from error


class HttpAnswer:
    """An answer whose failures speak the port's language."""

    __slots__ = ("_response", "headers", "status")

    def __init__(self, response: Response) -> None:
        self._response = response
        self.status = response.status
        self.headers = response.headers

    async def read(self) -> bytes:
        """Return the whole body. Raises ProviderFailed."""
        try:
            return await self._response.read()
        except UpstreamError as error:
            raise _failed(error) from error

    async def pour(self, sink: Callable[[bytes], bool], room: Callable[[], Awaitable[None]]) -> None:
        """Give the body to `sink` as it arrives. Raises ProviderFailed, and what sink and room raise."""
        try:
            await self._response.pour(sink, room)
        except UpstreamError as error:
            raise _failed(error) from error

    def abandon(self) -> None:
        """Close the connection now; whoever waits for the body gets ProviderFailed."""
        self._response.abandon()


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
    client: Client,
) -> HttpProvider:
    """Return a provider from its settings. Raises ValueError when the base URL is none."""
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
    )


@lru_cache(maxsize=4096)  # a client's calls come with the same head again and again
def _sent(headers: HeaderList, auth: tuple[bytes, bytes] | None) -> HeaderList:
    asked = ((b"accept-encoding", b"identity"), *headers)
    return asked if auth is None else (*asked, auth)


def _failed(error: UpstreamError) -> ProviderFailed:
    timed_out = isinstance(error, ConnectTimeout | FirstByteTimeout | IdleTimeout | TotalTimeout)
    return ProviderFailed(str(error), timed_out=timed_out, may_bill=timed_out and error.sent)
