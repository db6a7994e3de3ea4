"""A budget on an axis that nobody knew: set, held against, full, settled and shown. `test_axes` runs this file."""

import asyncio
import json
import sys
import threading
from pathlib import Path
from typing import Any

from click.testing import CliRunner
from tests.api.conftest import ROOT_KEY, SECRET_KEY, Api
from tests.core.test_admission import Asking, counted
from tests.factories import event, hold
from tests.web.conftest import Browser

import pertoken
from pertoken import settings
from pertoken.api.app import create_api
from pertoken.cli.main import cli
from pertoken.core.admission import explain_refusal, may_shrink, smaller
from pertoken.core.budgets import Attribution
from pertoken.core.commands import OpenHold, Refused, Settle, Settled, Stale
from pertoken.wiring.committer import start_committer
from pertoken.wiring.database import open_database
from pertoken.wiring.hasher import make_hasher
from pertoken.wiring.installation import Installation
from pertoken.wiring.pages import make_site
from pertoken.wiring.plane import make_plane

PATH = "/api/v1/budgets/heavy"
ASKED = {"limit": 2_500, "axis": "weight", "window": "total"}
WHO = Attribution(provider="openai", model="gpt-4o-mini")
FIRST = hold("call_1", attribution=WHO, tokens=500)  # weighs 1,500
SECOND = hold("call_2", attribution=WHO, tokens=1)  # weighs 1,001
EVENT = event(FIRST, quantities={"input_tokens": 20, "output_tokens": 4})  # weighs 1,024


async def begin(installation: Installation, loop: asyncio.AbstractEventLoop) -> tuple[Api, Any]:
    """Start the ledger and the control plane."""
    hasher, committer = make_hasher(installation), start_committer(installation)
    plane = make_plane(installation, committer, hasher)
    return Api(create_api(plane), installation.database, committer, loop, hasher, plane), plane


async def submit(api: Api, command: Any) -> Any:
    """Return what the ledger answers a settlement, or a hold that knows the newest directory."""
    result: Any = Stale()
    while isinstance(result, Stale):
        opening = command if isinstance(command, Settle) else OpenHold(command, api.committer.directory.revision)
        result = await api.committer.submit(opening)
    return result


def fill(api: Api) -> dict[str, Any]:
    """Set the budget, fill it, be refused, settle, and fit."""
    made = api("PUT", PATH, ASKED)
    held = api.run(submit(api, FIRST))
    full = api("GET", PATH).json["standing"][0]
    refused = api.run(submit(api, SECOND))
    assert isinstance(refused, Refused), (held, refused)
    settled = api.run(submit(api, Settle(FIRST.hold_id, EVENT)))
    assert isinstance(settled, Settled), settled
    fits = api.run(submit(api, SECOND))
    capped = smaller(Asking(), counted(2_000), refused.blocker._replace(held=0), was_loose=False)
    return {
        "made": [made.status, made.json["axis"], made.json["limit"]],
        "full": full,
        "refusal": explain_refusal(refused, FIRST.opened_at_us).message,
        "may_shrink": may_shrink(refused.blocker),
        "capped": capped and capped.output_max,
        "held": [type(held).__name__, type(fits).__name__],
    }


def command(*words: str) -> str:
    """Return what a command prints."""
    done = CliRunner().invoke(cli, words, prog_name="pertoken")
    assert done.exit_code == 0, done.output
    return done.output


def main(folder: Path) -> None:
    """Print what was found."""
    url = f"sqlite:///{folder}/pertoken.db"
    environ = {"PERTOKEN_DATABASE_URL": url, "PERTOKEN_ADMIN_KEY": ROOT_KEY, "PERTOKEN_SECRET_KEY": SECRET_KEY}
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()
    with open_database(settings.load(environ)) as installation:
        api, plane = asyncio.run_coroutine_threadsafe(begin(installation, loop), loop).result(60)
        found = fill(api)
        plane.close()
        api.run(api.committer.close())
        browser = Browser(make_site(installation), installation.database).sign_in()
        found["pages"] = [browser.get(path).text for path in ("/budgets", "/budgets/heavy")]
        found["differences"] = browser.differences()
    found["source"] = pertoken.__file__
    found["status"] = json.loads(command("budget", "status", "--db", url, "--json"))
    found["table"] = command("budget", "status", "--db", url)
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main(Path.cwd())
