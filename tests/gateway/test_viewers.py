import asyncio
import base64
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, cast

import pytest

from pertoken.core.access import Principal, Role
from pertoken.core.secrets import Hasher
from pertoken.gateway.viewers import Viewers, secret_of
from pertoken.ports.ledger import StoreUnavailable

ROOT_KEY = "the-root-key"
HERE = ("127.0.0.1", 4711)


class Plane:
    """A control plane whose database is down."""

    root_key = ROOT_KEY
    hasher = Hasher(b"the secret key of the tests of viewers")

    @property
    def store(self) -> "Plane":
        """The store, which is down."""
        return self

    def read(self) -> AbstractContextManager[Any]:
        """Raise StoreUnavailable."""
        raise StoreUnavailable("disk full")

    async def in_thread(self, work: Callable[[], Any]) -> Any:
        """Run work in this thread."""
        return work()


def status(*, is_open: bool | None = None, host: str = "127.0.0.1", client: Any = HERE, **headers: str) -> int:
    """Return the status of the refusal of a request, or 200 if it may read."""
    viewers = Viewers(cast(Any, Plane()), is_open, host)
    given = {"host": "127.0.0.1:8080", **headers}
    scope = {"client": client, "headers": [(k.replace("_", "-").encode(), v.encode()) for k, v in given.items()]}
    refused = asyncio.run(viewers.why_not(scope))
    return 200 if refused is None else refused[0]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, 200),
        ({"host": "::1"}, 200),
        ({"host": "0.0.0.0"}, 401),  # noqa: S104 - the address of a server that listens everywhere
        ({"host": "10.0.0.1"}, 401),
        ({"client": ("10.0.0.1", 1)}, 401),
        ({"client": None}, 401),
        ({"x_forwarded_for": "10.0.0.1"}, 401),
        ({"x_forwarded_proto": "https"}, 401),
        ({"forwarded": "for=10.0.0.1"}, 401),
        ({"via": "1.1 proxy"}, 401),
        ({"x_real_ip": "10.0.0.1"}, 401),
        ({"is_open": False}, 401),
        ({"is_open": True, "host": "0.0.0.0", "client": ("10.0.0.1", 1), "forwarded": "for=x"}, 200),  # noqa: S104
    ],
    ids=str,
)
def test_who_may_read_without_a_key(asked: dict[str, Any], expected: int) -> None:
    """Without a setting, only clients on the same machine may read, if the server is on loopback; a setting decides."""
    assert status(**asked) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [("localhost", 200), ("localhost:8080", 200), ("[::1]:8080", 200), ("[::1]", 200), ("127.0.0.1", 200),
     ("evil.example", 401), ("evil.example:8080", 401), ("127.0.0.1.evil.example:80", 401), ("", 401)],
)  # fmt: skip
def test_a_page_of_another_site_cannot_read(name: str, expected: int) -> None:
    """A request with the host name of another site is refused, even from this machine."""
    viewers = Viewers(cast(Any, Plane()), None, "127.0.0.1")
    refused = asyncio.run(viewers.why_not({"client": HERE, "headers": [(b"host", name.encode())]}))

    assert (200 if refused is None else refused[0]) == expected


@pytest.mark.parametrize(
    "names", [("localhost", "evil.example"), ("evil.example", "localhost"), ("localhost", "localhost"), ()]
)
def test_a_request_has_one_host(names: tuple[str, ...]) -> None:
    """A request with two Host lines, or none, is refused, because it is not certain which of them a browser sent."""
    viewers = Viewers(cast(Any, Plane()), None, "127.0.0.1")
    headers = [(b"host", name.encode()) for name in names]
    refused = asyncio.run(viewers.why_not({"client": HERE, "headers": headers}))

    assert refused is not None
    assert refused[0] == 401


def test_the_operator_s_key_works_while_the_store_does_not() -> None:
    """While the database is down, the admin key of the settings may read; any other key gets 503."""
    assert status(is_open=False, authorization=f"Bearer {ROOT_KEY}") == 200
    assert status(is_open=False, authorization="Bearer another") == 503


class PlaneOf(Plane):
    """A control plane that finds one principal for every key."""

    def __init__(self, principal: Principal) -> None:
        self._principal = principal

    async def in_thread(self, work: Callable[[], Any]) -> Principal:  # noqa: ARG002 - a stand-in
        """Return the principal."""
        return self._principal


@pytest.mark.parametrize(
    ("role", "team", "expected"),
    [
        (Role.VIEWER, None, 200),
        (Role.TEAM_OWNER, "red", 403),
        (Role.TEAM_OWNER, None, 403),
        (Role.VIEWER, "red", 403),
    ],
)
def test_who_sees_a_part_may_not_read(role: Role, team: str | None, expected: int) -> None:
    """What is about all calls is for who sees all; a key whose role and team do not go together sees nothing."""
    viewers = Viewers(cast(Any, PlaneOf(Principal("a_1", "ada", role, team))), is_open=False, host="127.0.0.1")
    refused = asyncio.run(viewers.why_not({"client": HERE, "headers": [(b"authorization", b"Bearer abc")]}))

    assert (200 if refused is None else refused[0]) == expected


@pytest.mark.parametrize(
    ("header", "secret"),
    [
        (b"Bearer abc", b"abc"),
        (b"bearer   abc ", b"abc"),
        (b"Basic " + base64.b64encode(b"name:a:b"), b"a:b"),
        (b"basic " + base64.b64encode(b":abc"), b"abc"),
        (b"Basic " + base64.b64encode(b"no colon"), b""),
        (b"Basic %%%", b""),
        (b"Digest abc", b""),
        (b"", b""),
    ],
)
def test_the_secret_is_read_in_both_ways(header: bytes, secret: bytes) -> None:
    """The secret is a bearer token or the password of basic authentication; any other header has no secret."""
    assert secret_of(header) == secret
