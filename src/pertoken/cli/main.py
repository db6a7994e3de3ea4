"""The group of all commands. A command's module is loaded when the command runs, so that `--help` answers at once."""

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

# command -> its module and its help text, which is here so that --help loads no module
COMMANDS: Mapping[str, tuple[str, str]] = {
    "serve": ("pertoken.cli.serve:serve", "Run the gateway."),
    "simulate": ("pertoken.cli.serve:simulate", "Run a simulated provider."),
    "demo": ("pertoken.cli.demo:demo", "Run everything once on this machine, with a simulated provider."),
    "key": ("pertoken.cli.key:key", "Create, list, rotate and revoke virtual keys."),
    "admin": ("pertoken.cli.admin:admin", "Manage keys to the control plane, and what teams may do."),
    "customer": ("pertoken.cli.customer:customer", "Create, list, show, change and close customers."),
    "budget": ("pertoken.cli.budget:budget", "Set, show and remove budgets."),
    "usage": ("pertoken.cli.usage:usage", "Show who used what, and what it cost."),
    "daily": ("pertoken.cli.usage:daily", "Show usage by day."),
    "weekly": ("pertoken.cli.usage:weekly", "Show usage by week."),
    "monthly": ("pertoken.cli.usage:monthly", "Show usage by month."),
    "conversation": ("pertoken.cli.usage:conversation", "Show usage by conversation (also: session)."),
    "latency": ("pertoken.cli.latency:latency", "Show how long calls took: p50, p95, p99."),
    "calls": ("pertoken.cli.calls:calls", "List calls one by one, newest first."),
    "top": ("pertoken.cli.top:top", "Watch what happens now: calls, spending, holds, refusals."),
    "explain": ("pertoken.cli.explain:explain", "Explain the cost of one call."),
    "verify": ("pertoken.cli.verify:verify", "Check the books: recompute all balances from events."),
    "archive": ("pertoken.cli.archive:archive", "Move old months of events to Parquet files, and back."),
    "price": ("pertoken.cli.price:price", "Show, import, compare, add and withdraw prices."),
    "plan": ("pertoken.cli.billing:plan", "Check, apply and show plans: what customers are charged by."),
    "subscribe": ("pertoken.cli.billing:subscribe", "Charge a customer by a plan."),
    "bill": ("pertoken.cli.billing:bill", "Print the bill that a plan makes of events in a file."),
    "rerate": ("pertoken.cli.rerate:rerate", "Correct charges that were made at a wrong or unknown price."),
    "provider": ("pertoken.cli.provider:provider", "List providers, encrypt their keys, compare their counts."),
    "count": ("pertoken.cli.count:count", "Count the tokens of a text or a request."),
    "extract": ("pertoken.cli.lines:extract", "Read usage from provider answers: JSON lines in, JSON lines out."),
    "rate": ("pertoken.cli.lines:rate", "Price usage: JSON lines in, JSON lines out."),
    "ingest": ("pertoken.cli.ingest:ingest", "Import usage that others report."),
    "doctor": ("pertoken.cli.doctor:doctor", "Find what is wrong with this installation."),
    "completion": ("pertoken.cli.completion:completion", "Print the completion script for bash, zsh or fish."),
}

ALIASES: Mapping[str, str] = {"session": "conversation"}  # names that other tools use


class LazyGroup(CommandGroup):
    """A group that knows its commands by name and loads each one when it runs."""

    def parse_args(self, context: click.Context, words: list[str]) -> list[str]:
        """Parse the options before the command."""
        with _safe_messages():
            return super().parse_args(context, words)

    def invoke(self, context: click.Context) -> Any:
        """Run the command; arguments that an error quotes are shown escaped."""
        with _safe_messages():
            return super().invoke(context)

    def resolve_command(
        self, context: click.Context, words: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, also by an alternative name."""
        return super().resolve_command(context, [ALIASES.get(words[0], words[0]), *words[1:]] if words else words)

    def list_commands(self, _context: click.Context) -> list[str]:
        """Return the commands in the order in which people need them."""
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
    except click.exceptions.NoArgsIsHelpError:  # this message is the help text, which has many lines
        raise
    except click.ClickException as error:
        error.message = escaped(error.message)  # type: ignore[misc]  # of the same error, so that click shows its usage
        raise


def _built() -> str:
    """Say which Python runs this, and whether the hot modules are compiled (all or none of them)."""
    spec = find_spec("pertoken.core.ledger")
    assert spec is not None
    compiled = not str(spec.origin).endswith(".py")
    return f"{'compiled' if compiled else 'pure'}, Python {platform.python_version()}"


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(version("pertoken"), prog_name="pertoken", message=f"%(prog)s, version %(version)s ({_built()})")
def cli() -> None:
    """Turn language-model traffic into exact money."""
