"""A group of commands that suggests the right command for a wrong one."""

import click

from pertoken.core.texts import nearest

# Words that people use for the same thing; in each row, the first one that is a command of the group is suggested.
SYNONYMS = (
    ("list", "status", "show", "ls", "get", "view", "info", "describe", "history"),
    ("remove", "revoke", "withdraw", "delete", "del", "rm", "drop", "unset", "disable"),
    ("create", "set", "add", "new", "make", "import", "update", "change", "edit"),
    ("rotate", "renew", "refresh", "regenerate"),
    ("serve", "run", "start", "up", "server", "gateway", "proxy"),
    ("usage", "report", "reports", "cost", "costs", "spend", "spending", "stats", "bill"),
    ("calls", "log", "logs", "requests", "events", "tail"),
    ("doctor", "status", "check", "health", "config"),
    ("verify", "audit", "check"),
    ("price", "model", "models"),
    ("count", "tokens", "tokenize"),
)


class CommandGroup(click.Group):
    """A group that answers an unknown command with the most likely one, or with all of them."""

    def resolve_command(
        self, context: click.Context, words: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command. Exits with 2 if there is no command of that name."""
        names = self.list_commands(context)
        if words and words[0] not in names and not words[0].startswith("-"):
            near = meant_command(words[0], names)
            hint = f"did you mean: {context.command_path} {near}?" if near else f"commands are: {', '.join(names)}"
            if words[0] == "help":
                hint = f"did you mean: {context.command_path} --help?"
            context.fail(f"no such command: {words[0]!r}; {hint}")
        return super().resolve_command(context, words)


def meant_command(word: str, names: list[str]) -> str | None:
    """Return the command that was most likely meant, by similar spelling, or else by similar meaning."""
    near = nearest(word, names)
    if near is not None:
        return near
    alike = (name for row in SYNONYMS if word.lower() in row for name in row if name in names)
    return next(alike, None)
