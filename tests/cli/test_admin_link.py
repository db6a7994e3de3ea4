"""`pertoken admin link`: a way in without a key, once."""

import json

from click.testing import CliRunner
from tests.web.conftest import Browser

from pertoken import settings
from pertoken.cli.main import cli
from pertoken.wiring.database import open_database
from pertoken.wiring.pages import make_site


def test_a_link_signs_in_at_the_address_that_is_named(tmp_path, monkeypatch) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    """The link leads to the gateway's address and signs its first user in as admin."""
    url = f"sqlite:///{tmp_path}/t.db"
    monkeypatch.setenv("PERTOKEN_DATABASE_URL", url)
    monkeypatch.setenv("PERTOKEN_SECRET_KEY", "5e" * 32)
    loaded = settings.load()
    with open_database(loaded) as installation:
        made = CliRunner().invoke(cli, ["admin", "link", "--url", "http://127.0.0.1:4001/", "--json"])

        assert made.exit_code == 0, made.output
        link = json.loads(made.stdout)["link"]
        assert link.startswith("http://127.0.0.1:4001/login/link/link-")
        browser = Browser(make_site(installation), installation.database)
        assert browser.get(link.removeprefix("http://127.0.0.1:4001")).status_code == 303
        assert browser.get("/keys").status_code == 200
