"""`pertoken count`: tokens of a text."""

from typing import BinaryIO

import click

from pertoken.cli.session import json_option, print_json


@click.command()
@click.option("--model", required=True, help="Whose tokenizer counts.")
@click.argument("file", type=click.File("rb"), default="-")
@json_option
def count(model: str, file: BinaryIO, as_json: bool) -> None:
    """Count the tokens of FILE or standard input, and say how it was counted: exact, or by a factor."""
    from pertoken.core.bounds import family_of  # noqa: PLC0415 - keeps --help fast
    from pertoken.counting.tokenizers import Tokenizers  # noqa: PLC0415

    text = file.read().decode("utf-8", "replace")
    counted = Tokenizers().count_text(family_of(model), text)
    if as_json:
        print_json({"tokens": counted.tokens, "method": counted.method, "model": model})
    else:
        click.echo(f"{counted.tokens:,} tokens ({counted.method}) of {len(text):,} characters for {model}")
