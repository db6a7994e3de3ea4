"""`pertoken extract` and `pertoken rate`: JSON lines in, JSON lines out, one answer for each line."""

import gc
import json
import sys
from collections.abc import Callable
from math import isfinite
from typing import Any, NamedTuple, Protocol, TypeVar

import click
import msgspec

from pertoken.cli.line_reader import LINE_BYTES_MAX, numbered_lines
from pertoken.cli.output import echo
from pertoken.cli.session import db_option, now_us, price_book

WRITE_LINES = 500  # answers gathered for one write

json_lines_option = click.option("--json", is_flag=True, expose_value=False, help="JSON lines on stdout (always on).")


class BadLine(ValueError):
    """A line that cannot be answered."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class _Line(msgspec.Struct, gc=False):
    """A provider's answer with its original body."""

    id: Any = None
    api: Any = None
    provider: Any = None
    body: msgspec.Raw = msgspec.Raw(b"null")
    sse: Any = None


class _Fields(NamedTuple):
    """A line."""

    id: Any
    fields: dict[str, Any]


class _HasId(Protocol):
    @property
    def id(self) -> Any:
        """The line's own id, for the answer."""


_L = TypeVar("_L", bound=_HasId)
_line = msgspec.json.Decoder(_Line)


@click.command()
@json_lines_option
def extract() -> None:
    """Read usage from provider answers: {"id", "api", "provider", "body" | "sse"} a line."""
    from pertoken.services.extract import CannotExtract, extract_usage

    def answer(line: _Line) -> dict[str, Any]:
        body, sse = bytes(line.body), line.sse
        try:
            found = extract_usage(
                line.api,
                line.provider,
                body if body.startswith(b"{") else None,
                sse if isinstance(sse, str) else None,
            )
            return found if line.provider is None else {"provider": line.provider, **found}  # fields for `rate`
        except CannotExtract as error:
            raise BadLine(error.code, str(error)) from error

    _answer_all(_decode_answer, answer)


@click.command()
@click.option("--free-quotas", is_flag=True, help="Subtract free quotas, in the order of the lines.")
@db_option
@json_lines_option
def rate(db: str | None, *, free_quotas: bool) -> None:
    """Price usage: {"id", "provider", "model", "usage", "at", "service_tier", "batch", "speed", "region"} a line."""
    from pertoken.core.charging import FreeUse
    from pertoken.core.usage import Contradiction
    from pertoken.services.ingest import NotAnEvent
    from pertoken.services.rate import HasNoUsage, rate_usage

    book, at_us, free = price_book(db), now_us(), FreeUse() if free_quotas else None

    def answer(line: _Fields) -> dict[str, Any]:
        try:
            return rate_usage(line.fields, book, at_us, free)
        except NotAnEvent as error:
            raise BadLine("invalid_line", str(error)) from error
        except HasNoUsage as error:
            raise BadLine(error.code, str(error)) from error
        except Contradiction as error:
            raise BadLine("contradictory_usage", str(error)) from error

    _answer_all(_decode_fields, answer)


def _answer_all(decode: Callable[[bytes], _L], answer: Callable[[_L], dict[str, Any]]) -> None:
    """Answer each line of standard input. A bad line gets an error object, and the exit code is 1."""
    failed = 0
    encode = msgspec.json.encode
    gc.freeze()  # exclude the price book from garbage collection, which would cost 5 % of the time of a line
    waiting: list[bytes] = []
    for number, line in numbered_lines(sys.stdin.buffer):
        ident: Any = None
        try:
            if len(line) > LINE_BYTES_MAX:
                raise BadLine("too_large", f"longer than {LINE_BYTES_MAX} bytes")
            decoded = decode(line)
            ident = decoded.id
            waiting.append(encode({"id": ident, **answer(decoded)}))
        except BadLine as error:
            failed += 1
            trouble = {"code": error.code, "message": f"line {number}: {error}"}
            waiting.append(encode({"id": ident, "error": trouble}))
        if len(waiting) >= WRITE_LINES:
            _write(waiting)
    _write(waiting)
    if failed:
        echo(f"{failed} {'line' if failed == 1 else 'lines'} failed", err=True)
        raise SystemExit(1)


def _decode_fields(line: bytes) -> _Fields:
    try:
        fields = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadLine("invalid_json", str(error)) from error
    if not isinstance(fields, dict):
        raise BadLine("invalid_line", "not a json object")
    return _Fields(fields.get("id"), fields)


def _decode_answer(line: bytes) -> _Line:
    try:
        return _line.decode(line)
    except msgspec.ValidationError:
        _decode_fields(line)  # raises an error that says what is wrong
        raise BadLine("invalid_line", "not a json object") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        try:
            return _line.decode(_mended(line))
        except (ValueError, RecursionError):
            raise BadLine("invalid_json", str(error)) from error


def _mended(line: bytes) -> bytes:
    """Return a line in which values that some tools write but JSON forbids are texts, which are never valid counts.

    These values are NaN and Infinity. Half a surrogate pair, as in a stream that was cut inside a letter, becomes "?".
    Raises ValueError if the line is still not JSON.
    """
    if b"NaN" not in line and b"Infinity" not in line and b"\\ud" not in line.lower():
        raise ValueError
    fields = json.loads(line, parse_constant=str, parse_float=_finite)
    return json.dumps(fields, ensure_ascii=False).encode("utf-8", "replace")


def _finite(number: str) -> float | str:
    value = float(number)
    return value if isfinite(value) else number


def _write(waiting: list[bytes]) -> None:
    if waiting:
        waiting.append(b"")
        sys.stdout.buffer.write(b"\n".join(waiting))
        sys.stdout.buffer.flush()
        waiting.clear()
