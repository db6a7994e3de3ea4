"""`pertoken demo`: shows the main use end to end, with real processes, official SDKs and a simulated provider.

Every step runs the command that a person would type, and prints it first.
"""

import contextlib
import http.client
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pertoken.cli.demo_history import APPS, CALLS, DAYS, history, pilot_limit, price_change
from pertoken.cli.serve import why_not_free

if TYPE_CHECKING:
    from openai import OpenAI

START_S = 30
PORT = 4000  # the port of the gateway with --keep, if it is free
OPENAI_MODELS = ("gpt-4o-mini", "gpt-4.1", "gpt-5-mini")
CLAUDE = "claude-sonnet-5"
GEMINI = "gemini-2.5-flash"
SERVED = ("acme-app", "intern")  # keys whose calls are compared with the provider's count
PILOT = "globex-pilot"
FAULTS = ("http_500", "cut_midstream", "no_usage")  # of the simulated provider
FAILURES = 4  # of each fault
REFUSALS = 4  # calls of a customer whose budget is used up


@click.command()
@click.option("--calls", default=60, show_default=True, help="Number of ordinary calls.")
@click.option("--seed", default=7, show_default=True, help="Seed that chooses the calls.")
@click.option("--keep", is_flag=True, help="Keep the gateway and the provider running until Ctrl-C.")
@click.option(
    "--past", type=click.IntRange(min=0), default=CALLS, show_default=True,
    help="With --keep: number of calls in the days before, for the pages to show.",
)  # fmt: skip
def demo(calls: int, seed: int, past: int, *, keep: bool) -> None:
    """Run the gateway and a simulated provider, make calls with the official SDKs, and show the costs."""
    try:
        import anthropic  # noqa: F401 - the SDKs are an extra that only the demo needs
        import google.genai  # noqa: F401
        import openai  # noqa: F401
    except ImportError as error:
        raise click.ClickException(
            f"the demo drives the official SDKs, which are not installed ({error}); "
            "in the folder of pertoken's source: pip install '.[demo]'"
        ) from error
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that both processes end with this one
    with tempfile.TemporaryDirectory(prefix="pertoken-demo-") as folder, contextlib.ExitStack() as stack:
        scene = Scene(Path(folder), keep=keep)
        now = datetime.now(UTC)
        if keep and past:
            scene.remember(now, past, seed)
        scene.start(stack)
        if keep and past:
            scene.have_trouble(now)
        scene.play(calls, random.Random(seed))  # noqa: S311 - a demo's dice
        if keep:
            scene.keep()
        else:
            hint = f"to keep it running, on port {PORT} where that is free: pertoken demo --keep"
            click.echo(f"\neverything was removed; {hint}")


class Scene:
    """One run of the demo: its folder, its two processes, and its keys."""

    def __init__(self, folder: Path, *, keep: bool) -> None:
        self.folder = folder
        self.kept = keep
        self.secrets: dict[str, str] = {}
        self.ids: dict[str, str] = {}  # of keys
        self.environ = {**os.environ, "PERTOKEN_DATABASE_URL": f"sqlite:///{folder}/pertoken.db"}

    def remember(self, now: datetime, calls: int, seed: int) -> None:
        """Import usage of the days before, with `pertoken ingest`."""
        say(f"{calls:,} made-up calls of the last {DAYS} days, imported as usage that others report")
        for app in APPS:
            self.key(app.key, "--team", app.team)
        self.command(
            "budget", "set", "support-monthly", "--limit", "60", "--window", "month", "--scope", "team=support"
        )
        self.command(*price_change(now))
        file = self.folder / "history.jsonl"
        with file.open("w") as lines:
            for event in history(now, seed, calls, self.ids):
                lines.write(json.dumps(event) + "\n")
        self.command("ingest", str(file))
        file.unlink()

    def start(self, stack: contextlib.ExitStack) -> None:
        """Start the provider and the gateway."""
        say("starting a simulated provider and the gateway")
        self.provider = stack.enter_context(self._process("pertoken.simulator", "--port", "0"))
        self.environ.update(
            PERTOKEN_PROVIDERS__OPENAI__BASE_URL=f"{self.provider}/v1",
            PERTOKEN_PROVIDERS__ANTHROPIC__BASE_URL=self.provider,
            PERTOKEN_PROVIDERS__GOOGLE__BASE_URL=self.provider,
            OPENAI_API_KEY="simulated",
            ANTHROPIC_API_KEY="simulated",
            GEMINI_API_KEY="simulated",
            NO_PROXY="127.0.0.1",
        )
        port = str(PORT) if self.kept and why_not_free("127.0.0.1", PORT) is None else "0"
        self.gateway = stack.enter_context(self._process("pertoken", "serve", "--port", port))
        click.echo(f"provider {self.provider}   gateway {self.gateway}")

    def have_trouble(self, now: datetime) -> None:
        """Make calls that fail at the provider and calls that a budget refuses; then give the budget room again."""
        say("a provider that fails, breaks off or reports no usage; a customer whose budget is used up")
        pilot = self.key(PILOT, "--team", "growth", "--customer", "globex")
        since = f"{now - timedelta(days=DAYS + 1):%Y-%m-%d}"
        used = json.loads(self._run("usage", "--since", since, "--customer", "globex", "--json", capture=True))[
            "total"
        ]["cost"]
        terms = ("--limit", pilot_limit(used), "--window", "total", "--scope", "customer=globex")
        self.command("budget", "set", PILOT, *terms, "--before-refusal", "refuse")
        for fault in FAULTS:
            for _ in range(FAILURES):
                became = broken_call(self.gateway, self.secrets["support-desk"], fault)
            click.echo(f"{fault}, {FAILURES} times: {became}")
        for _ in range(REFUSALS):
            refused = refused_call(self.gateway, pilot)
        click.echo(f"{REFUSALS} times: {refused}")
        urllib.request.urlopen(f"{self.provider}/sim/reset", data=b"", timeout=10).close()  # noqa: S310 - our own address

    def play(self, calls: int, dice: random.Random) -> None:
        """Create keys, make calls, a refusal and a hang-up; then show usage, one explained call and a verification."""
        say("virtual keys replace provider keys; a hard budget is never exceeded")
        acme = self.key("acme-app", "--team", "growth", "--customer", "acme", "--budget", "5/day")
        intern = self.key("intern", "--team", "research", "--budget", "0.0001/day")
        self.command("budget", "set", "growth-monthly", "--limit", "100", "--window", "month", "--scope", "team=growth")
        self.command("budget", "set", "per-customer", "--limit", "20", "--window", "month", "--each", "customer")

        say(f"{calls} calls with the official SDKs: chat, messages, generateContent; whole and streamed")
        for _ in range(calls):
            one_call(self.gateway, acme, dice)
        click.echo(f"{calls} answered")

        say("a call that does not fit its budget is refused before it is sent")
        click.echo(refused_call(self.gateway, intern))

        say("a client that hangs up in the middle of a stream still pays for the generated output")
        call_id = hang_up(self.gateway, acme)
        self.wait_for(call_id)

        say("where the money went")
        self.command("usage", "--by", "model")
        self.command("budget", "status")
        say("the hung-up call, explained line by line")
        self.command("explain", call_id)
        say("the books, checked from events")
        self.command("verify")
        self.compare_with_the_provider()

    def keep(self) -> None:
        """Say how to use the running gateway, and wait until interrupted."""
        say("it keeps running; set these variables in an application to use it")
        secret = self.secrets["acme-app"]
        click.echo(f"export OPENAI_BASE_URL={self.gateway}/v1 OPENAI_API_KEY={secret}")
        click.echo(f"export ANTHROPIC_BASE_URL={self.gateway} ANTHROPIC_API_KEY={secret}")
        click.echo(f"export GOOGLE_GEMINI_BASE_URL={self.gateway} GEMINI_API_KEY={secret}")
        say("and this one for pertoken's commands")
        click.echo(f"export PERTOKEN_DATABASE_URL={self.environ['PERTOKEN_DATABASE_URL']}")
        say("and this link for the pages (another: pertoken admin link)")
        click.echo(self._run("admin", "link", "--url", self.gateway, capture=True).strip())
        click.echo("\nrunning until Ctrl-C; then everything is removed")
        with contextlib.suppress(KeyboardInterrupt):
            while True:
                time.sleep(3600)

    def command(self, *arguments: str) -> None:
        """Print a command and run it."""
        click.secho(f"$ pertoken {' '.join(arguments)}", fg="cyan")
        self._run(*arguments)

    def key(self, *arguments: str) -> str:
        """Print the command that creates a key, run it, and return the secret."""
        click.secho(f"$ pertoken key create {' '.join(arguments)}", fg="cyan")
        made = json.loads(self._run("key", "create", *arguments, "--json", capture=True))
        secret: str = made["secret"]
        self.secrets[made["name"]], self.ids[made["name"]] = secret, made["id"]
        click.echo(f"{made['name']}: {secret if self.kept else f'{secret[:6]}...{secret[-4:]}'}")
        return secret

    def wait_for(self, call_id: str) -> None:
        """Wait until a call is settled, while the provider's answer is read to the end."""
        for _ in range(100):
            found = self._run("explain", call_id, "--json", capture=True, check=False)
            if found and json.loads(found).get("attempts"):
                return
            time.sleep(0.1)
        raise click.ClickException(f"{call_id} was not settled within 10 s")

    def compare_with_the_provider(self) -> None:
        """Compare pertoken's count with the provider's own."""
        with urllib.request.urlopen(f"{self.provider}/sim/ledger", timeout=10) as answer:  # noqa: S310 - our own address
            served = json.load(answer)
        theirs = {name: sum(row[name] for row in served["by"]) for name in ("input_tokens", "output_tokens")}
        of_keys = json.loads(self._run("usage", "--by", "key", "--json", capture=True))["rows"]
        rows = [row for row in of_keys if row["key_name"] in SERVED]
        ours = {name: sum(row[name] for row in rows) for name in theirs}
        same = ours == theirs and sum(row["calls"] for row in rows) == served["calls"]
        verdict = "the same as pertoken" if same else f"but pertoken counts {ours}"
        counts = f"{theirs['input_tokens']:,} input tokens, {theirs['output_tokens']:,} output tokens"
        click.echo(f"the provider counts {served['calls']} calls, {counts}: {verdict}")
        if not same:
            raise click.ClickException("pertoken's count differs from the provider's")

    def _run(self, *arguments: str, capture: bool = False, check: bool = True) -> str:
        command = [sys.executable, "-m", "pertoken", *arguments]
        done = subprocess.run(  # noqa: S603 - this program
            command, env=self.environ, check=False, stdout=subprocess.PIPE if capture else None, text=True
        )
        if check and done.returncode:
            raise click.ClickException(f"pertoken {' '.join(arguments)} ended with {done.returncode}")
        return done.stdout or ""

    @contextlib.contextmanager
    def _process(self, module: str, *arguments: str) -> Iterator[str]:
        log = self.folder / f"{module}.log"
        with log.open("wb") as sink:
            command = [sys.executable, "-m", module, *arguments]
            process = subprocess.Popen(command, env=self.environ, stdout=sink, stderr=sink)  # noqa: S603 - this program
        try:
            yield wait_until_listening(process, log)
        finally:
            process.terminate()
            process.wait(30)


def say(text: str) -> None:
    """Print a heading."""
    click.secho(f"\n{text}", bold=True)


def wait_until_listening(process: "subprocess.Popen[bytes]", log: Path) -> str:
    """Return the address that a process says it listens on."""
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        found = re.search(r"listening on (http://\S+)", log.read_text())
        if found:
            return found[1]
        time.sleep(0.02)
    raise click.ClickException(f"the process did not start: {log.read_text()}")


def one_call(gateway: str, secret: str, dice: random.Random) -> None:
    """Make one call of a random kind."""
    kind = dice.choice((chat, chat, chat_stream, messages, generate))
    kind(gateway, secret, dice)


def chat(gateway: str, secret: str, dice: random.Random) -> None:
    """Make a chat completion."""
    _openai(gateway, secret).chat.completions.create(
        model=dice.choice(OPENAI_MODELS),
        messages=[{"role": "user", "content": question(dice)}],
        max_completion_tokens=200,
        extra_headers={"x-pertoken-conversation": f"conversation-{dice.randrange(8)}"},
    )


def chat_stream(gateway: str, secret: str, dice: random.Random) -> None:
    """Make a streamed chat completion and read it to its end."""
    stream = _openai(gateway, secret).chat.completions.create(
        model=dice.choice(OPENAI_MODELS), messages=[{"role": "user", "content": question(dice)}], stream=True
    )
    for _ in stream:
        pass


def messages(gateway: str, secret: str, dice: random.Random) -> None:
    """Make an Anthropic message."""
    from anthropic import Anthropic

    client = Anthropic(base_url=gateway, api_key=secret)
    client.messages.create(model=CLAUDE, max_tokens=300, messages=[{"role": "user", "content": question(dice)}])


def generate(gateway: str, secret: str, dice: random.Random) -> None:
    """Make a Gemini call, whole or streamed."""
    from google import genai

    client = genai.Client(api_key=secret, http_options={"base_url": gateway})
    if dice.random() < 0.5:
        client.models.generate_content(model=GEMINI, contents=question(dice))
    else:
        for _ in client.models.generate_content_stream(model=GEMINI, contents=question(dice)):
            pass


def refused_call(gateway: str, secret: str) -> str:
    """Return the error that the SDK raises for a call that does not fit."""
    from openai import APIStatusError

    try:
        _openai(gateway, secret).chat.completions.create(
            model="gpt-4.1", messages=[{"role": "user", "content": "write a long story"}], max_completion_tokens=2_000
        )
    except APIStatusError as error:
        return f"{type(error).__name__} {error.status_code}: {error.message}"
    raise click.ClickException("the call was not refused")


def broken_call(gateway: str, secret: str, fault: str) -> str:
    """Make a streamed call that fails at the provider; return the result."""
    asked = {"model": "gpt-4.1", "messages": [{"role": "user", "content": "where is my parcel?"}], "stream": True}
    headers = {
        "authorization": f"Bearer {secret}", "content-type": "application/json",
        "x-sim-fault": fault, "x-sim-output-tokens": "60",
    }  # fmt: skip
    request = urllib.request.Request(f"{gateway}/v1/chat/completions", json.dumps(asked).encode(), headers)  # noqa: S310 - our own address
    try:
        with urllib.request.urlopen(request, timeout=START_S) as answer:  # noqa: S310 - our own address
            return f"{len(answer.read()):,} bytes"
    except (OSError, http.client.HTTPException) as error:
        return repr(error)


def hang_up(gateway: str, secret: str) -> str:
    """Stop reading a stream after a few chunks and return the call's id."""
    stream = _openai(gateway, secret).chat.completions.create(
        model="gpt-4.1",
        messages=[{"role": "user", "content": "count to one hundred"}],
        stream=True,
        extra_headers={"x-sim-output-tokens": "100", "x-sim-chunk-ms": "10"},
    )
    call_id = stream.response.headers["x-pertoken-call-id"]
    for _, _chunk in zip(range(5), stream, strict=False):
        pass
    stream.close()
    click.echo(f"{call_id}: read 5 chunks of 100, then hung up")
    return call_id


def question(dice: random.Random) -> str:
    """Return a prompt of some length."""
    words = ("summarise", "the", "quarterly", "report", "of", "our", "largest", "customer", "in", "plain", "words")
    return " ".join(dice.choice(words) for _ in range(dice.randrange(5, 200)))


def _openai(gateway: str, secret: str) -> "OpenAI":
    from openai import OpenAI

    return OpenAI(base_url=f"{gateway}/v1", api_key=secret, max_retries=0)
