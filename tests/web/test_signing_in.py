"""Where a request comes from, and how often an address may try to sign in."""

import threading
from ipaddress import ip_network

import pytest
from starlette.requests import Request

from pertoken.web.signing_in import ATTEMPTS_MAX, Attempts, Visitor, client_of

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


def test_attempts_at_the_same_time_are_counted_before_they_are_tried() -> None:
    """Of many attempts that begin at the same time, only as many are tried as an address has in a minute."""
    attempts = Attempts()
    begun: list[object] = []
    together = threading.Barrier(60)

    def attempt() -> None:
        together.wait()
        begun.append(attempts.begin("192.0.2.7"))

    threads = [threading.Thread(target=attempt) for _ in range(60)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len([at for at in begun if at is not None]) == ATTEMPTS_MAX
    assert attempts.begin("192.0.2.8") is not None


def test_an_attempt_that_succeeds_is_not_counted() -> None:
    """After a success an address has as many attempts as before, and no more."""
    attempts = Attempts()
    for _ in range(3 * ATTEMPTS_MAX):
        at = attempts.begin("192.0.2.7")
        assert at is not None
        attempts.take_back("192.0.2.7", at)
    begun = [attempts.begin("192.0.2.7") for _ in range(ATTEMPTS_MAX + 1)]

    assert None not in begun[:-1]
    assert begun[-1] is None
