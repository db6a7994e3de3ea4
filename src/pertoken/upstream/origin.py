"""Splits the base URL of a provider into its origin and its path prefix. It does no I/O."""

import ipaddress
import re
from typing import Final, NamedTuple
from urllib.parse import urlsplit

DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_HOST: Final = re.compile(r"[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?\.?")
_PATH: Final = re.compile(r"[!-\"$->@-~]*")  # printable ASCII without space, '#' and '?'


class Origin(NamedTuple):
    """Scheme, host and port of a server. `host` is in lower case; an IPv6 literal has no brackets."""

    scheme: str
    host: str
    port: int

    @property
    def authority(self) -> str:
        """Host and port as in a URL, always with the port."""
        return f"{bracketed(self.host)}:{self.port}"

    @property
    def host_field(self) -> str:
        """The value of the Host header, with the port only if it is not the default port of the scheme."""
        return bracketed(self.host) if self.port == DEFAULT_PORTS[self.scheme] else self.authority


def parse_origin(base_url: str) -> tuple[Origin, str]:
    """Split a base URL into its origin and the path prefix of every target, without a slash at the end.

    Raises ValueError for anything except http(s)://host[:port][/path], such as a user, a query or a fragment.
    """
    parts = urlsplit(base_url)
    if parts.scheme not in DEFAULT_PORTS:
        raise ValueError(f"a base url starts with http:// or https://: {base_url!r}")
    if parts.username is not None or parts.password is not None:
        raise ValueError("a base url holds no user or password; configure the key instead")
    if "?" in base_url or "#" in base_url or not _PATH.fullmatch(parts.path):
        raise ValueError(f"a base url ends with its path (no query, fragment, blank or non-ascii): {base_url!r}")
    port = parts.port  # raises ValueError if the port is not a number or out of range
    if port is None:
        port = DEFAULT_PORTS[parts.scheme]
    if port == 0:
        raise ValueError(f"a base url cannot have port 0: {base_url!r}")
    return Origin(parts.scheme, parse_host(parts.hostname or ""), port), parts.path.rstrip("/")


def parse_host(text: str) -> str:
    """Return a host name (IDNA-encoded, lower case) or an IP literal without brackets. Raises ValueError otherwise."""
    if ":" in text:
        return str(ipaddress.IPv6Address(text))
    host = text if text.isascii() else text.encode("idna").decode("ascii")
    host = host.lower()
    if not _HOST.fullmatch(host):
        raise ValueError(f"not a host name: {text!r}")
    return host


def bracketed(host: str) -> str:
    """Return the host as in a URL: an IPv6 literal gets brackets."""
    return f"[{host}]" if ":" in host else host
