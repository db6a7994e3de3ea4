"""The control plane on a database of each kind, asked without sockets, and a key of each role."""

import asyncio
import json
import threading
import time
import uuid
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from tests.conftest import STORES, MakeDatabase, with_prices

from pertoken import settings
from pertoken.api.app import Plane, create_api
from pertoken.core.access import Role
from pertoken.core.secrets import Hasher
from pertoken.services.admins import create_admin
from pertoken.services.verify import verify
from pertoken.store.admins import AdminKeys
from pertoken.store.archive import Archive
from pertoken.store.committer import Committer
from pertoken.store.database import Database
from pertoken.wiring.clock import SystemClock
from pertoken.wiring.committer import start_committer
from pertoken.wiring.database import open_database
from pertoken.wiring.hasher import make_hasher
from pertoken.wiring.plane import make_plane

SECRET_KEY = "5e" * 32
ROOT_KEY = "the-root-key-of-these-tests"


@dataclass
class Reply:
    """What a request was answered."""

    status: int
    headers: dict[str, str]
    raw: bytes

    @property
    def json(self) -> Any:
        """The body."""
        return json.loads(self.raw)


@dataclass
class Api:
    """The control plane, its event loop on a thread of its own."""

    app: Any
    database: Database
    committer: Committer
    loop: asyncio.AbstractEventLoop
    hasher: Hasher
    plane: Plane
    key: str = ROOT_KEY

    def __call__(self, method: str, path: str, body: Any = None, *, query: Any = None, **headers: str | None) -> Reply:
        """Ask; `body` is JSON unless it is bytes. Headers are named with underscores, None leaves one out."""
        raw = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        said = {
            "authorization": f"Bearer {self.key}",
            "content-type": "application/json",
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        encoded = [(name.encode(), value.encode()) for name, value in said.items() if value is not None]
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "server": ("test", 80),
            "client": ("test", 1),
            "root_path": "",
            "path": path,
            "raw_path": quote(path).encode(),
            "query_string": urlencode(query or {}).encode(),
            "headers": encoded,
        }
        return self.run(self._exchange(scope, raw))

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine on the event loop."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(120)

    async def _exchange(self, scope: dict[str, Any], raw: bytes) -> Reply:
        pieces = [raw[at : at + 65_536] for at in range(0, len(raw), 65_536)] or [b""]
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            piece = pieces.pop(0)
            return {"type": "http.request", "body": piece, "more_body": bool(pieces)}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        await self.app(scope, receive, send)
        headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        return Reply(sent[0]["status"], headers, b"".join(one.get("body", b"") for one in sent[1:]))

    def as_role(self, role: Role, of: str = "t1") -> "Api":
        """Return the same control plane, asked with a fresh key of a role; a team owner's or customer's is `of`."""
        team, customer = (of if role is Role.TEAM_OWNER else None), (of if role is Role.CUSTOMER else None)
        with self.database.write() as connection:
            made = create_admin(
                AdminKeys(connection),
                SystemClock(),
                self.hasher,
                fresh(role),
                role,
                team=team,
                customer=customer,
            )
        return Api(self.app, self.database, self.committer, self.loop, self.hasher, self.plane, made.secret)

    def differences(self) -> list[dict[str, Any]]:
        """Return what verification finds wrong."""
        with self.database.read() as connection:
            return verify(Archive(connection), time.time_ns() // 1_000).differences


def fresh(name: str) -> str:
    """Return a name that no other test uses."""
    return f"{name}-{uuid.uuid4().hex}"


def event(**fields: Any) -> dict[str, Any]:
    """Return an event as it is reported."""
    said = {
        "id": fresh("event"),
        "at": "2026-11-01T10:00:00Z",
        "provider": "openai",
        "model": "gpt-4o-mini",
        "usage": {"input_tokens": 1_000, "output_tokens": 100},
    }
    return {**said, **fields}


@pytest.fixture(scope="session", params=STORES)
def api(
    request: pytest.FixtureRequest, make_database: MakeDatabase, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Api]:
    """Return the control plane, asked as root."""
    url = make_database(request.param, tmp_path_factory.mktemp("api"), with_prices)
    loaded = settings.load(
        {"PERTOKEN_DATABASE_URL": url, "PERTOKEN_ADMIN_KEY": ROOT_KEY, "PERTOKEN_SECRET_KEY": SECRET_KEY}
    )
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    with open_database(loaded) as installation:

        async def begin() -> tuple[Any, Committer, Plane, Hasher]:
            hasher = make_hasher(installation)
            committer = start_committer(installation)
            plane = make_plane(installation, committer, hasher)
            return create_api(plane), committer, plane, hasher

        app, committer, plane, hasher = asyncio.run_coroutine_threadsafe(begin(), loop).result(60)
        yield Api(app, installation.database, committer, loop, hasher, plane)
        plane.close()
        asyncio.run_coroutine_threadsafe(committer.close(), loop).result(60)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()
