"""The first hour of three new users, with the commands that README has, in a shell that has nothing else set.

Only the providers' addresses are not as README has them: the simulator stands for the providers.
"""

import json
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest
from anthropic import Anthropic
from google import genai
from google.genai import errors
from openai import OpenAI
from tests.e2e.conftest import PATIENCE_S, START_S, Process

README = (Path(__file__).parents[2] / "README.md").read_text()
START = README.split("## Start\n")[1].split("\n## ")[0]
ADDRESS = "http://127.0.0.1:4000"  # where README's gateway listens
SECRET = re.compile(r"sk-pt-(?:admin-)?[0-9a-z]{32}")
CHAT, CLAUDE = "gpt-4o-mini", "claude-haiku-4-5"
HELLO: list[Any] = [{"role": "user", "content": "hello"}]


def commands(text: str, beginning: str) -> list[str]:
    """Return README's commands that begin so, without what it says of them."""
    found = [line.partition("#")[0].strip() for line in re.findall(r"^\$ (.+)$", text, re.MULTILINE)]
    return [line for line in found if line.startswith(beginning)]


def command(text: str, beginning: str) -> str:
    """Return the one of README's commands that begins so."""
    (found,) = commands(text, beginning)
    return found


@dataclass
class Shell:
    """A new user's shell: `pertoken` is on the path, and what was exported stays."""

    folder: Path
    environ: dict[str, str]

    def __call__(self, line: str, code: int = 0) -> str:
        """Run a line, insist on its exit code, and return all that it prints."""
        done = subprocess.run(
            ["/bin/bash", "-c", line], cwd=self.folder, env=self.environ, capture_output=True, text=True,
            timeout=PATIENCE_S, check=False,
        )  # fmt: skip
        said = done.stdout + done.stderr
        assert "Traceback" not in said, said
        assert done.returncode == code, said
        return said

    def export(self, line: str) -> None:
        """Run README's export line."""
        self.environ.update(pair.split("=", 1) for pair in line.removeprefix("export").split())

    @contextmanager
    def serving(self, line: str) -> Iterator[Process]:
        """Run the gateway by a line, on a free port; end it as Ctrl-C does, and insist that it ends well."""
        log = self.folder / "gateway.log"
        environ = {**self.environ, "PORT": "0"}  # 4000 may be taken on this machine
        with log.open("wb") as sink:
            popen = subprocess.Popen(["/bin/bash", "-c", f"exec {line}"], cwd=self.folder, env=environ, stderr=sink)
        try:
            yield Process(popen, listening(popen, log), log)
        finally:
            popen.send_signal(signal.SIGINT)
            popen.wait(PATIENCE_S)
        assert "Traceback" not in log.read_text(), log.read_text()


def listening(popen: subprocess.Popen[bytes], log: Path) -> str:
    """Return where a gateway says that it listens."""
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and popen.poll() is None:
        found = re.search(r"listening on (http://\S+)", log.read_text())
        if found:
            return found[1]
        time.sleep(0.02)
    pytest.fail(f"the gateway did not start: {log.read_text()}")


def secret_in(said: str) -> str:
    """Return the one secret that a command has printed."""
    (found,) = SECRET.findall(said)
    return str(found)


@pytest.fixture
def shell(tmp_path: Path, simulator: Process) -> Shell:
    """Return the shell of somebody who has just installed pertoken, as README's Start says."""
    return Shell(
        tmp_path,
        {
            "HOME": str(tmp_path),
            "PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin",
            "COLUMNS": "160",
            "PERTOKEN_PROVIDERS__OPENAI__BASE_URL": f"{simulator.url}/v1",
            "PERTOKEN_PROVIDERS__ANTHROPIC__BASE_URL": simulator.url,
            "PERTOKEN_PROVIDERS__GOOGLE__BASE_URL": simulator.url,
        },
    )


def test_on_a_laptop(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """README's lines, one after the other: the gateway is up, both SDKs need two variables, and the bill is proven."""
    shell.export(command(START, "export OPENAI_API_KEY"))
    secret = secret_in(shell(command(START, "pertoken key create")))
    assert "100 USD per month (Europe/Berlin) for all calls, hard" in shell(command(START, "pertoken budget set"))
    with shell.serving(command(START, "pertoken serve")) as gateway:
        for name in ("OPENAI_BASE_URL", "ANTHROPIC_BASE_URL"):
            line = next(line for line in README.splitlines() if line.startswith(f"export {name}={ADDRESS}"))
            for pair in line.replace(ADDRESS, gateway.url).replace("sk-pt-...", secret).split()[1:]:
                monkeypatch.setenv(*pair.split("=", 1))
        answer = OpenAI(max_retries=0).chat.completions.with_raw_response.create(model=CHAT, messages=HELLO)
        Anthropic(max_retries=0).messages.create(model=CLAUDE, max_tokens=9, messages=HELLO)
        call_id = answer.headers["x-pertoken-call-id"]
        dates = answer.headers.get_list("date")

        usage = shell(command(README, "pertoken usage"))
        explained = shell(re.sub(r"call_\w+", call_id, command(README, "pertoken explain")))
        doctor = shell(f"pertoken doctor --port {gateway.url.rpartition(':')[2]}")
    verified = shell(command(README, "pertoken verify"))

    assert len(dates) == 1
    assert CHAT in usage
    assert CLAUDE in usage
    assert "output_tokens" in explained
    assert "key:my-app" in explained
    assert "everything" in explained
    assert "problem" not in doctor
    assert "checked 2 events" in verified
    assert "no difference" in verified


def ask(url: str, secret: str, body: Any = None) -> tuple[int, Any]:
    """Ask the control plane; return the status and the answer."""
    headers = {"authorization": f"Bearer {secret}", "content-type": "application/json"}
    request = urllib.request.Request(url, None if body is None else json.dumps(body).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


def sdk(url: str, secret: str) -> OpenAI:
    """Return an application of a team."""
    return OpenAI(base_url=f"{url}/v1", api_key=secret, max_retries=0)


def test_a_platform_team(shell: Shell) -> None:
    """Two teams make their own keys, each within its budget and its sight; one that is at its end stops alone."""
    shell.export(command(START, "export OPENAI_API_KEY"))
    with shell.serving(command(START, "pertoken serve")) as gateway:
        owners = {"growth": secret_in(shell(command(README, "pertoken admin create")))}
        owners["research"] = secret_in(shell("pertoken admin create bob --role team_owner --team research"))
        shell("pertoken budget set growth --limit 10 --scope team=growth --warn-at 80")
        shell("pertoken budget set research --limit 0.00000001 --scope team=research --window day")
        changed = shell("pertoken budget set growth --limit 20")
        api = f"{gateway.url}/api/v1"
        keys = {team: ask(f"{api}/keys", owner, {"name": "app"})[1]["secret"] for team, owner in owners.items()}
        refused = ask(f"{api}/keys", owners["research"], {"name": "mine", "team": "growth"})
        sdk(gateway.url, keys["growth"]).chat.completions.create(model=CHAT, messages=HELLO)
        with pytest.raises(openai.APIStatusError, match=r"budget 'research' of 0\.00000001 USD a day") as raised:
            sdk(gateway.url, keys["research"]).chat.completions.create(model=CHAT, messages=HELLO)
        sdk(gateway.url, keys["growth"]).chat.completions.create(model=CHAT, messages=HELLO)
        line = command(README, "curl").replace(ADDRESS, gateway.url).replace("sk-pt-admin-...", owners["growth"])
        budgets = json.loads(shell(line.replace("curl", "curl --silent --show-error", 1)))["budgets"]
        seen = {team: ask(f"{api}/usage?by=team", owner)[1]["rows"] for team, owner in owners.items()}
        theirs = {team: ask(f"{api}/keys", owner)[1]["keys"] for team, owner in owners.items()}
        by_team = shell("pertoken usage --by team")

    assert "20 USD per month for team=growth, hard" in changed
    assert refused[0] == 403
    assert raised.value.status_code == 402
    assert [(one["name"], one["limit"]) for one in budgets] == [("growth", "20")]
    assert [row["team"] for row in seen["growth"]] == ["growth"]
    assert seen["research"] == []
    assert {team: [key["team"] for key in found] for team, found in theirs.items()} == {team: [team] for team in owners}
    assert re.search(r"growth +2 ", by_team)
    assert "checked 2 events" in shell("pertoken verify")


# What somebody in a hurry types, the exit code, and what the answer must have. {db} is a database that is not there.
MISSPELT = [
    ("pertoken serv", 2, "did you mean: pertoken serve?"),
    ("pertoken usge --by model", 2, "did you mean: pertoken usage?"),
    ("pertoken key creat my-app", 2, "did you mean: pertoken key create?"),
    ("pertoken key create my-app --bugdet 5/day", 2, "Did you mean '--budget'?"),
    ("pertoken key create my-app --budget 5/dya", 1, "write LIMIT/WINDOW, such as 5/day"),
    ("pertoken key create ''", 1, "must not be empty"),
    ("pertoken budget set everything --limit 5 --widnow day", 2, "Did you mean '--window'?"),
    ("pertoken budget set everything --limit 5 --tz Europe/Berln", 1, "did you mean 'Europe/Berlin'?"),
    ("pertoken budget set everything --limit 5 --scope taem=growth", 1, "did you mean 'team'?"),
    ("pertoken budget set everything --limit five", 1, "write one such as 0.15"),
    ("pertoken usage --by modle", 2, "did you mean 'model'?"),
    ("pertoken usage --since 2026-02-30", 2, "not a time"),
    ("pertoken usage --db sqlite:///{db}", 1, "there is no database at"),
    ("pertoken verify --db sqllite:///{db}", 1, "use sqlite:///PATH"),
    ("pertoken explain call_0", 1, "x-pertoken-call-id"),
    ("pertoken admin create ann --role team_onwer --team growth", 2, "'team_owner'"),
    ("PERTOKEN_DATABSE_URL=sqlite:///{db} pertoken serve", 1, "did you mean PERTOKEN_DATABASE_URL?"),
    ("PERTOKEN_PROVIDERS__OPENAI__BASEURL=http://x pertoken serve", 1, "did you mean base_url?"),
    ("PERTOKEN_CONFIG=pertokn.yaml pertoken serve", 1, "pertokn.yaml: No such file"),
    ("OPENAI_API_KEY={secret} pertoken serve", 1, "the key of openai is a pertoken key"),
]
# Lines of README's settings, each misspelt, and what the gateway says when it is to start.
SETTINGS = [
    ("database_url:", "databse_url:", "did you mean database_url?"),
    ("env:OPENAI_API_KEY", "env:OPENAI_KEY", "OPENAI_KEY, which is not set"),
    ("provider: openai", "provider: opnai", "did you mean 'openai'?"),
    ("wire: openai", "wire: opneai", "write one of: openai"),
    ("providers:", "\tproviders:", "found a tab; indent YAML with spaces"),
]


def test_somebody_in_a_hurry(shell: Shell) -> None:
    """Whatever is misspelt before the start is answered with what was meant, and makes and changes nothing."""
    shell.export(command(START, "export OPENAI_API_KEY"))
    before = shell("pertoken usage", code=1)
    secret = secret_in(shell(command(START, "pertoken key create")))
    kept = (shell("pertoken key list --json"), shell("pertoken budget status --json"))
    absent = shell.folder / "misspelt.db"
    for line, code, meant in MISSPELT:
        said = shell(line.replace("{db}", str(absent)).replace("{secret}", secret), code)
        assert meant in said, (line, said)
    example = START.split("```yaml\n")[1].split("```")[0]
    for right, wrong, meant in SETTINGS:
        assert right in example
        (shell.folder / "pertoken.yaml").write_text(example.replace(right, wrong))
        said = shell("PERTOKEN_CONFIG=pertoken.yaml pertoken serve", 1)
        assert meant in said, (wrong, said)
        assert len(said.splitlines()) == 1

    assert "make one: pertoken key create my-app" in before
    assert not absent.exists()
    assert (shell("pertoken key list --json"), shell("pertoken budget status --json")) == kept


def test_an_application_in_a_hurry(shell: Shell) -> None:
    """Models, addresses, keys and headers that are misspelt: each SDK raises its own error, which says what to write.

    Of all these calls one is made and charged, that whose header alone is misspelt: its answer says so.
    """
    shell.export(command(START, "export OPENAI_API_KEY"))
    secret, admin = (secret_in(shell(line)) for line in (
        command(START, "pertoken key create"), command(README, "pertoken admin create"))
    )  # fmt: skip
    with shell.serving(command(START, "pertoken serve")) as gateway:
        url = gateway.url
        chat = sdk(url, secret).chat.completions
        with pytest.raises(openai.NotFoundError, match=f"did you mean {CHAT}"):
            chat.create(model="gpt-4o-mni", messages=HELLO)
        with pytest.raises(anthropic.NotFoundError, match=f"did you mean {CLAUDE}"):
            Anthropic(base_url=url, api_key=secret).messages.create(
                model="claude-haiku-45", max_tokens=9, messages=HELLO
            )
        gemini = genai.Client(api_key=secret, http_options={"base_url": url})
        with pytest.raises(errors.ClientError, match=r"did you mean gemini-2\.5-flash"):
            gemini.models.generate_content(model="gemini-2.5-flsh", contents="hello")
        with pytest.raises(openai.NotFoundError, match="did you mean /v1/chat/completions"):
            OpenAI(base_url=url, api_key=secret).chat.completions.create(model=CHAT, messages=HELLO)
        with pytest.raises(anthropic.NotFoundError, match="did you mean /v1/messages"):
            Anthropic(base_url=f"{url}/v1", api_key=secret).messages.create(model=CLAUDE, max_tokens=9, messages=HELLO)
        with pytest.raises(openai.AuthenticationError, match="is not a pertoken key, which begins with sk-pt-"):
            sdk(url, "sk-proj-of-a-provider").chat.completions.create(model=CHAT, messages=HELLO)
        with pytest.raises(openai.AuthenticationError, match="is for the control plane"):
            sdk(url, admin).chat.completions.create(model=CHAT, messages=HELLO)
        assert "make an admin key" in str(ask(f"{url}/api/v1/budgets", secret))
        assert "takes POST" in str(ask(f"{url}/v1/chat/completions", secret))
        headers = {"x-pertoken-costumer": "acme", "x-pertoken-tags": "a=b,,c"}
        answer = chat.with_raw_response.create(model=CHAT, messages=HELLO, extra_headers=headers)
        warned = answer.headers.get_list("x-pertoken-warning")

    assert any("did you mean x-pertoken-customer?" in one for one in warned)
    assert any("write NAME=VALUE,NAME=VALUE" in one for one in warned)
    assert "checked 1 events, 0 open holds" in shell("pertoken verify")
