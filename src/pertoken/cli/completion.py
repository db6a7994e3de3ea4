"""`pertoken completion`: prints the script with which a shell completes commands and options."""

import click
from click.shell_completion import get_completion_class

from pertoken.cli.output import echo

SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the completion script of a shell.

    \b
    bash:  pertoken completion bash >> ~/.bashrc
    zsh:   pertoken completion zsh >> ~/.zshrc
    fish:  pertoken completion fish > ~/.config/fish/completions/pertoken.fish
    """  # noqa: D301  # click's mark of lines that stay as they are
    kind = get_completion_class(shell)
    assert kind is not None
    echo(kind(context.find_root().command, {}, "pertoken", "_PERTOKEN_COMPLETE").source())
