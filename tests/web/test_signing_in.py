"""Where a request comes from, and how often an address may try to sign in."""

from ipaddress import ip_network

import pytest
from starlette.requests import Request

from pertoken.web.signing_in import Visitor, client_of

PROXIES = tuple(ip_network(one) for one in ("10.0.0.0/8", "127.0.0.0/8", "::1/128"))
FOR, PROTO = "x-forwarded-for", "x-forwarded-proto"

TOLD = [
    # peer, the lines of the proxy and of the client, the address, whether it is https, whether it is the machine itself
    ("10.0.0.1", [(FOR, "192.0.2.7")], ("192.0.2.7", False, False)),
    ("10.0.0.1", [(FOR, "192.0.2.99"), (FOR, "192.0.2.7")], ("192.0.2.7", False, False)),  # the first is a lie
    ("10.0.0.1", [(FOR, "192.0.2.99"), (FOR, "192.0.2.7, 10.0.0.2")], ("192.0.2.7", False, False)),
    ("10.0.0.1", [(PROTO, "https"), (PROTO, "http"), (FOR, "192.0.2.7")], ("192.0.2.7", False, False)),
    ("10.0.0.1", [(PROTO, "https, http"), (FOR, "192.0.2.7")], ("192.0.2.7", False, False)),
    ("10.0.0.1", [(PROTO, "http"), (PROTO, "HTTPS"), (FOR, "192.0.2.7")], ("192.0.2.7", True, False)),
    ("10.0.0.1", [(FOR, "192.0.2.7:5555")], ("192.0.2.7", False, False)),
    ("10.0.0.1", [(FOR, "[2001:db8::7]:80")], ("2001:db8::7", False, False)),
    ("10.0.0.1", [(FOR, "[2001:db8::7]")], ("2001:db8::7", False, False)),
    ("10.0.0.1", [(FOR, "2001:DB8:0::7")], ("2001:db8::7", False, False)),
    ("10.0.0.1", [(FOR, "192.0.2.7, 10.0.0.2:5555")], ("192.0.2.7", False, False)),
    ("10.0.0.1", [(FOR, "192.0.2.7, unknown")], ("10.0.0.1", False, False)),
    ("10.0.0.1", [(FOR, "192.0.2.7, x, 10.0.0.2")], ("10.0.0.1", False, False)),
    ("10.0.0.1", [(FOR, "")], ("10.0.0.1", False, False)),
    ("10.0.0.1", [(FOR, "10.0.0.3, 10.0.0.2")], ("10.0.0.1", False, False)),
    ("10.0.0.1", [(FOR, "127.0.0.1")], ("10.0.0.1", False, False)),  # loopback of the proxy's machine, not of ours
    ("127.0.0.1", [(FOR, "unknown")], ("127.0.0.1", False, False)),
    ("127.0.0.1", [(FOR, "10.0.0.2")], ("127.0.0.1", False, False)),
    ("127.0.0.1", [(FOR, "[::1]:80")], ("127.0.0.1", False, True)),
    ("127.0.0.1", [("forwarded", "for=192.0.2.7")], ("127.0.0.1", False, False)),
    ("127.0.0.1", [("x-real-ip", "192.0.2.7")], ("127.0.0.1", False, False)),
    ("127.0.0.1", [], ("127.0.0.1", False, True)),
    ("192.0.2.7", [(FOR, "192.0.2.99"), (PROTO, "https")], ("192.0.2.7", False, False)),
]


@pytest.mark.parametrize(("peer", "lines", "expected"), TOLD, ids=str)
def test_a_client_cannot_choose_its_address(
    peer: str, lines: list[tuple[str, str]], expected: tuple[str, bool, bool]
) -> None:
    """Of all lines that a trusted proxy forwards, the last word counts; what is no address is not believed."""
    given = [("x-pertoken-peer", peer), ("x-pertoken-scheme", "http"), *lines]
    headers = [(name.encode(), value.encode()) for name, value in given]

    assert client_of(Request({"type": "http", "headers": headers}), PROXIES) == Visitor(*expected)
