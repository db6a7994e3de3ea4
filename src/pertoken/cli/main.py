"""The group of all commands. Their modules load when they run, so that `--help` answers at once."""

import contextlib
import importlib
import platform
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

import click

from pertoken.cli.group import CommandGroup
from pertoken.core.texts import escaped

# command -> where it lives, and what it does (said here, so that --help loads nothing)
COMMANDS: Mapping[str, tuple[str, str]] = {
    "serve": ("pertoken.cli.serve:serve", "Run the gateway."),
    "simulate": ("pertoken.cli.serve:simulate", "Run a simulated provider."),
    "demo": ("pertoken.cli.demo:demo", "Show the main job, end to end."),
    "key": ("pertoken.cli.key:key", "Make, list and revoke virtual keys."),
    "admin": ("pertoken.cli.admin:admin", "Make, list and revoke keys to the control plane."),
    "budget": ("pertoken.cli.budget:budget", "Set budgets and see how they stand."),
    "usage": ("pertoken.cli.usage:usage", "Who used what, and what it cost."),
    "daily": ("pertoken.cli.usage:daily", "Usage by day."),
    "weekly": ("pertoken.cli.usage:weekly", "Usage by week."),
    "monthly": ("pertoken.cli.usage:monthly", "Usage by month."),
    "conversation": ("pertoken.cli.usage:conversation", "Usage by conversation (also: session)."),
    "latency": ("pertoken.cli.latency:latency", "How long calls took: p50, p95, p99."),
    "calls": ("pertoken.cli.calls:calls", "Calls one by one, the newest first."),
    "explain": ("pertoken.cli.explain:explain", "Why one call cost what it cost."),
    "verify": ("pertoken.cli.verify:verify", "Prove every balance from first entries."),
    "archive": ("pertoken.cli.archive:archive", "Move old months of events to Parquet files, and back."),
    "price": ("pertoken.cli.price:price", "Look into the price book: import, compare, add, withdraw."),
    "rerate": ("pertoken.cli.rerate:rerate", "Correct what was rated under a wrong or unknown price."),
    "provider": ("pertoken.cli.provider:provider", "Which providers can be called; their keys, encrypted."),
    "count": ("pertoken.cli.count:count", "Count the tokens of a text."),
    "extract": ("pertoken.cli.lines:extract", "Read usage from provider answers: JSON lines in, JSON lines out."),
    "rate": ("pertoken.cli.lines:rate", "Price usage: JSON lines in, JSON lines out."),
    "ingest": ("pertoken.cli.ingest:ingest", "Take in usage that others report."),
    "doctor": ("pertoken.cli.doctor:doctor", "Find what is wrong with this installation."),
    "completion": ("pertoken.cli.completion:completion", "Print what completes commands in bash, zsh or fish."),
}

ALIASES: Mapping[str, str] = {"session": "conversation"}  # as other tools call it


class LazyGroup(CommandGroup):
    """A group that knows its commands by name and loads one when it runs."""

    def parse_args(self, context: click.Context, words: list[str]) -> list[str]:
        """Read the words before the command."""
        with _safe_messages():
            return super().parse_args(context, words)

    def invoke(self, context: click.Context) -> Any:
        """Run the command; what it quotes of its words is shown escaped."""
        with _safe_messages():
            return super().invoke(context)

    def resolve_command(
        self, context: click.Context, words: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, by another name as well."""
        return super().resolve_command(context, [ALIASES.get(words[0], words[0]), *words[1:]] if words else words)

    def list_commands(self, _context: click.Context) -> list[str]:
        """Return the commands in the order people meet them."""
        return list(COMMANDS)

    def get_command(self, _context: click.Context, name: str) -> click.Command | None:
        """Load one command."""
        if name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, _context: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without loading them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@contextlib.contextmanager
def _safe_messages() -> Iterator[None]:
    try:
        yield
    except click.exceptions.NoArgsIsHelpError:  # its message is our own help, of many lines
        raise
    except click.ClickException as error:
        error.message = escaped(error.message)  # type: ignore[misc]  # of the same error, so that click shows its usage
        raise


def _built() -> str:
    """Say which Python runs this, and whether the hot modules are compiled; all are, or none is."""
    spec = find_spec("pertoken.core.ledger")
    assert spec is not None
    compiled = not str(spec.origin).endswith(".py")
    return f"{'compiled, ' if compiled else ''}Python {platform.python_version()}"


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(version("pertoken"), prog_name="pertoken", message=f"%(prog)s, version %(version)s ({_built()})")
def cli() -> None:
    """Turn language-model traffic into exact money."""
