"""Chooses the proxy for an origin by the usual environment variables, which the caller passes in."""

import base64
import ipaddress
from collections.abc import Mapping
from typing import NamedTuple, Self
from urllib.parse import unquote, urlsplit

from pertoken.upstream.origin import DEFAULT_PORTS, Origin, parse_host

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Proxy(NamedTuple):
    """One HTTP proxy. `authorization` is the value of Proxy-Authorization, made from user and password."""

    host: str
    port: int
    authorization: bytes | None = None


class Exemption(NamedTuple):
    """One entry of NO_PROXY: a network, or a name with all its subdomains, on one port or (None) on all ports."""

    name: str  # "" if `network` decides; "*" for everything
    network: Network | None = None
    port: int | None = None

    def covers(self, origin: Origin) -> bool:
        """Tell whether this entry exempts the origin from proxies."""
        if self.port is not None and self.port != origin.port:
            return False
        if self.network is not None:
            address = _address(origin.host)
            return address is not None and address in self.network
        host = origin.host.rstrip(".")
        return self.name in ("*", host) or host.endswith("." + self.name)


class Proxies(NamedTuple):
    """The proxy for each scheme, and the exemptions from it."""

    http: Proxy | None = None
    https: Proxy | None = None
    exemptions: tuple[Exemption, ...] = ()

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Self:
        """Read HTTP_PROXY, HTTPS_PROXY and NO_PROXY in upper or lower case (lower wins, as in curl).

        Raises ValueError, which names the variable, if a value is invalid. To use or skip a proxy by accident would be
        worse than not to start.
        """
        values = {}
        for name in ("http_proxy", "https_proxy", "no_proxy"):
            values[name] = (environ.get(name) or environ.get(name.upper()) or "").strip()
        return cls(
            http=_named("http_proxy", values["http_proxy"]),
            https=_named("https_proxy", values["https_proxy"]),
            exemptions=tuple(_exemption(entry) for entry in values["no_proxy"].replace(",", " ").split()),
        )

    def find(self, origin: Origin) -> Proxy | None:
        """Return the proxy for this origin, or None for a direct connection. Loopback is not special."""
        proxy = self.https if origin.scheme == "https" else self.http
        if proxy is None or any(exemption.covers(origin) for exemption in self.exemptions):
            return None
        return proxy


def _named(variable: str, url: str) -> Proxy | None:
    if not url:
        return None
    try:
        return _proxy(url)
    except ValueError as error:
        # The message does not include the URL, which may contain a password.
        raise ValueError(f"{variable} is not http://[user:password@]host[:port]: {error}") from None


def _proxy(url: str) -> Proxy:
    parts = urlsplit(url if "://" in url else "http://" + url)
    if parts.scheme != "http":
        raise ValueError(f"only http proxies are supported, not {parts.scheme!r}")
    authorization = None
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        authorization = b"Basic " + base64.b64encode(pair.encode())
    port = parts.port if parts.port is not None else DEFAULT_PORTS["http"]
    return Proxy(parse_host(parts.hostname or ""), port, authorization)


def _exemption(entry: str) -> Exemption:
    whole = _network(entry.strip("[]"))
    if whole is not None:
        return Exemption("", whole)
    host, colon, port = entry.rpartition(":")
    if not (colon and port.isascii() and port.isdigit()):
        host, port = entry, ""
    name = host.strip("[]").lower()
    if name != "*":
        name = name.removeprefix("*").strip(".")
    if not name:
        raise ValueError(f"no_proxy has an entry without a name: {entry!r}")
    return Exemption(name, _network(name), int(port) if port else None)


def _network(text: str) -> Network | None:
    """Return the network, or None if the text is a name. A single address is a network of size 1."""
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
