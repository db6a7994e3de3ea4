"""`pertoken count`: tokens of a text, of a request, or of a number of words."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pertoken.cli.output import echo
from pertoken.cli.session import CommandRefused, json_option, print_json

if TYPE_CHECKING:
    from pertoken.core.bounds import Family


class _Api(click.Choice[str]):
    """An API whose requests can be counted. The list is loaded on demand, so that other commands start quickly."""

    def __init__(self) -> None:
        self.case_sensitive = True

    @property
    def choices(self) -> tuple[str, ...]:  # type: ignore[override]  # read-only here
        """All such APIs."""
        from pertoken.counting.requests import FORMATS, TEXT

        return ("auto", TEXT, *FORMATS)


@click.command()
@click.option("--model", help="Model whose tokenizer counts. A request may name it itself.")
@click.option("--api", type=_Api(), default="auto", show_default=True, help="API of the request in FILE.")
@click.option("--words", type=click.IntRange(min=0), help="Estimate the tokens of this many words.")
@click.option("--tokens", type=click.IntRange(min=0), help="Estimate the words of this many tokens.")
@click.option("--kind", default="prose", show_default=True, help="Kind of text: prose, technical, german, json, ...")
@click.argument("file", nargs=-1, metavar="[FILE]")
@json_option
def count(  # noqa: PLR0917 - click passes each option by name
    model: str | None, api: str, words: int | None, tokens: int | None, kind: str, file: tuple[str, ...], as_json: bool
) -> None:
    """Count the tokens of FILE or standard input: a text, or the JSON body of a request.

    The output says how sure the count is: exact; approximate, if the frame is not published; by a factor, if the
    tokenizer is closed; or a bound, an upper limit for requests with media.
    """
    if words is not None or tokens is not None:
        _rule_of_thumb(words, tokens, kind, as_json=as_json)
        return
    from pertoken.core.bounds import byte_bound, family_of
    from pertoken.counting import requests
    from pertoken.counting.tokenizers import Tokenizers
    from pertoken.wire.format import BadRequest

    body = _read(file)
    if api == "auto":
        api = requests.detect(body, model)
    model = model or _named_model(body, api)
    family = family_of(model)
    answer: dict[str, Any] = {"model": model, "api": api, "bytes": len(body)}
    if api == requests.TEXT:
        text = body.decode("utf-8", "replace")
        counted = Tokenizers().count_text(family, text)
        answer = {"tokens": counted.tokens, "method": counted.method, **answer, "characters": len(text)}
        has_tools = False
    else:
        try:
            found = requests.count_request(body, api, model, family, Tokenizers())
        except BadRequest as error:
            raise CommandRefused(f"not a request of api {api}: {error.message}; see: pertoken count --help") from error
        answer = {"tokens": found.tokens, "method": str(found.method), **answer, "parts": found.parts}
        if found.not_counted is not None:
            answer["not_counted"] = found.not_counted
        has_tools = "tools" in found.parts
    answer |= {"family": family.name, "encoding": family.exact or "o200k_base"}
    answer |= {"factor_percent": None if family.exact else family.count_factor_percent, "evidence": family.evidence}
    if not answer.get("parts", {}).keys() - {"text", "tools", "response_format"}:
        answer["byte_bound"] = byte_bound(len(body), family, tools=has_tools)
    if as_json:
        print_json(answer)
    else:
        _print(answer, family)


def _read(named: tuple[str, ...]) -> bytes:
    """Return the content of a file or standard input. Exits with 2 if the argument is a text instead of a file."""
    if named in ((), ("-",)):
        if sys.stdin.isatty():
            echo("reading standard input; Ctrl-D ends it", err=True)
        return sys.stdin.buffer.read()
    path = Path(named[0])
    if len(named) > 1 or not path.exists():
        text = shlex.quote(" ".join(named))
        raise click.UsageError(f"no file {named[0]!r}; to count a text: echo {text} | pertoken count --model MODEL")
    try:
        return path.read_bytes()
    except OSError as error:
        raise click.UsageError(f"cannot read {named[0]}: {error.strerror}") from error


def _named_model(body: bytes, api: str) -> str:
    """Return the model that a request names. Exits with 2 if it names none."""
    from pertoken.wire.content import as_dict, parse

    named = as_dict(parse(body)).get("model") if api != "text" else None
    if not isinstance(named, str):
        raise click.UsageError("the model is missing; pass --model MODEL")
    return named


def _print(answer: dict[str, Any], family: "Family") -> None:
    of = f"{answer['characters']:,} characters" if "characters" in answer else f"a {answer['api']} request"
    echo(f"{answer['tokens']:,} tokens ({answer['method']}) of {of} for {answer['model']}")
    for part, tokens in answer.get("parts", {}).items():
        if len(answer["parts"]) > 1:
            echo(f"  {part}: {tokens:,}")
    if family.exact is None:
        factor = f"{family.count_factor_percent / 100:g}"
        digits = ", each digit a token" if family.single_digits else ""
        echo(f"o200k count x {factor}{digits}; measured for {family.name}: {family.evidence}")
    if "byte_bound" in answer and answer["method"] != "exact":
        echo(f"for any text, at most {answer['byte_bound']:,}: from {answer['bytes']:,} bytes")
    if "not_counted" in answer:
        echo(f"not counted: {answer['not_counted']}")


def _rule_of_thumb(words: int | None, tokens: int | None, kind: str, *, as_json: bool) -> None:
    from pertoken.counting import words as thumb

    if words is not None and tokens is not None:
        raise click.UsageError("pass --words or --tokens, not both")
    measured = thumb.kinds().get(kind)
    if measured is None:
        raise click.BadParameter(f"must be one of {', '.join(thumb.kinds())}", param_hint="--kind")
    estimate = thumb.from_words(words, measured) if words is not None else thumb.from_tokens(tokens or 0, measured)
    if estimate is None or measured.error_percent is None:
        raise CommandRefused(
            f"words cannot be estimated for {kind}, which has {float(measured.bytes_per_token):g} bytes a token; "
            "see: pertoken count --model MODEL FILE"
        )
    error = float(measured.error_percent)
    if as_json:
        print_json(
            {
                "words": estimate.words,
                "tokens": estimate.tokens,
                "tokens_by_rule": estimate.tokens_by_rule,
                "method": "rule of thumb",
                "kind": kind,
                "error_percent": error,
                "bytes_per_token": float(measured.bytes_per_token),
                "corpus": measured.corpus,
            }
        )
        return
    echo(f"{estimate.words:,} words are about {estimate.tokens:,} tokens of o200k, as measured for {kind}")
    echo(f"the rule of thumb, 4 tokens for 3 words, says {estimate.tokens_by_rule:,}: {error:+g} % ({measured.corpus})")
