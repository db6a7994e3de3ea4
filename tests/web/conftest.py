"""The pages on a database of each kind, asked without sockets, by a browser that keeps its cookies."""

import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from html import unescape
from typing import Any

import pytest
from starlette.testclient import TestClient
from tests.conftest import STORES, MakeDatabase, with_prices

from pertoken import settings
from pertoken.core.access import Role
from pertoken.core.audit import AuditSearch, Change
from pertoken.core.periods import FOREVER_US
from pertoken.services.admins import create_admin
from pertoken.services.verify import verify
from pertoken.store.admins import AdminKeys
from pertoken.store.database import Database
from pertoken.web.app import create_pages
from pertoken.web.site import Site
from pertoken.wiring.database import open_database
from pertoken.wiring.pages import make_site

SECRET_KEY = "5e" * 32
ROOT_KEY = "the-root-key-of-these-tests"
LOOPBACK = {"x-pertoken-peer": "127.0.0.1", "x-pertoken-scheme": "http"}


@dataclass
class Browser:
    """Somebody who looks at pages."""

    site: Site
    database: Database
    headers: dict[str, str] = field(default_factory=lambda: dict(LOOPBACK))

    def __post_init__(self) -> None:
        self.client = TestClient(create_pages(self.site), base_url="http://test", follow_redirects=False)

    def get(self, path: str, **headers: str) -> Any:
        """Ask for a page."""
        return self.client.get(path, headers={**self.headers, **headers})

    def post(self, path: str, form: dict[str, str], **headers: str) -> Any:
        """Send a form as it is."""
        return self.client.post(path, data=form, headers={**self.headers, **headers})

    def send(self, path: str, deed: str, **fields: str) -> Any:
        """Open a page and send one of its forms, filled."""
        page = self.get(path).text
        found = {name: unescape(re.search(rf'name="{name}" value="([^"]*)"', page)[1]) for name in ("csrf", "once")}  # type: ignore[index]
        return self.post(path, {**found, "deed": deed, **fields})

    def changes(self, object_: str) -> list[Change]:
        """Return what was written down about one object, the newest first."""
        with self.site.store.read() as opened:
            found = opened.audit.search(AuditSearch(0, FOREVER_US, 100, object=object_))
        return [one.change for one in found]

    def differences(self) -> list[Any]:
        """Return what is wrong with the books."""
        with self.site.store.read() as opened:
            return verify(opened.archive, self.site.clock.now_us()).differences

    def sign_in(self, key: str = ROOT_KEY) -> "Browser":
        """Sign in with an admin key."""
        answer = self.post("/login", {"key": key})
        assert answer.status_code == 303, answer.text
        return self

    def as_role(self, role: Role, of: str = "t1") -> "Browser":
        """Return another browser, signed in with a fresh key of a role; a team owner's or customer's is `of`."""
        team, customer = (of if role is Role.TEAM_OWNER else None), (of if role is Role.CUSTOMER else None)
        with self.database.write() as connection:
            name = f"{role}-{uuid.uuid4().hex}"
            made = create_admin(
                AdminKeys(connection), self.site.clock, self.site.hasher, name, role, team=team, customer=customer
            )
        return Browser(self.site, self.database).sign_in(made.secret)


@pytest.fixture(scope="session", params=STORES)
def site(
    request: pytest.FixtureRequest, make_database: MakeDatabase, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Site, Database]]:
    """Return what pages work with, on an empty database."""
    url = make_database(request.param, tmp_path_factory.mktemp("web"), with_prices)
    loaded = settings.load(
        {"PERTOKEN_DATABASE_URL": url, "PERTOKEN_ADMIN_KEY": ROOT_KEY, "PERTOKEN_SECRET_KEY": SECRET_KEY}
    )
    with open_database(loaded) as installation:
        yield make_site(installation), installation.database


@pytest.fixture
def browser(site: tuple[Site, Database]) -> Browser:
    """Return a browser that nobody is signed in with."""
    return Browser(*site)
