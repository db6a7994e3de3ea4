"""Reads usage logs of several formats, line by line. A line that cannot be read is reported, and reading goes on."""

import contextlib
import csv
import gzip
import hashlib
import itertools
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, cast

import msgspec

from pertoken.cli.ingest_notes import Notes
from pertoken.cli.line_reader import LINE_BYTES_MAX, numbered_lines
from pertoken.cli.session import CommandRefused
from pertoken.core.budgets import Attribution
from pertoken.core.periods import NotATime, parse_time
from pertoken.core.usage import QUANTITY_MAX
from pertoken.services.ingest import NotAnEvent, RejectedLine, UsageRecord, read_event

NumberedLines = Iterable[tuple[int, bytes]]
Reader = Callable[[NumberedLines, str, Mapping[str, str], Notes], Iterator[UsageRecord | RejectedLine]]

SHOWN_MAX = 60  # bytes shown of a line
LOOK_AT = 10  # lines at the start of a file; if none has the expected format, the file has another one

AZURE_COLUMNS = ["TIMESTAMP", "ContextTokens", "GeneratedTokens"]


@contextlib.contextmanager
def open_log(path: Path) -> Iterator[IO[bytes]]:
    """Yield an open log, unpacked if its name ends in .gz. If it cannot be read, the command ends with one line."""
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as log:
            yield cast(IO[bytes], log)
    except WrongFormat as error:
        raise CommandRefused(f"{path} is {error}") from error
    except OSError as error:
        raise CommandRefused(f"cannot read {path}: {error.strerror or error}") from error


def read_so_far(log: IO[bytes]) -> int:
    """Return how many bytes of a log's file were read, before unpacking."""
    packed = log.fileobj if isinstance(log, gzip.GzipFile) else log
    return packed.tell() if packed is not None else 0


class WrongFormat(Exception):
    """A file has another format than `--format` says; nothing of it was imported."""


def read_log(
    form: str, log: IO[bytes], name: str, defaults: Mapping[str, str], notes: Notes
) -> Iterator[UsageRecord | RejectedLine]:
    """Yield the records of a log in the format `form`; `name` is the file's, `defaults` what its lines leave out.

    A file that breaks off (a torn .gz) ends in a rejected line; the lines before it are kept. `notes` gets suspicious
    lines. Raises WrongFormat, and NotAnEvent if the format needs a default that is missing.
    """
    last = 0
    try:
        lines = numbered_lines(log)
        first = list(itertools.islice(lines, LOOK_AT))
        if len(first) > 1 and not any(_LOOKS_RIGHT[form](line) for _, line in first):
            raise WrongFormat(f"not in the format {form}: {_expected(form, *first[0])}")
        for record in FORMATS[form](itertools.chain(first, lines), name, defaults, notes):
            last = record.line
            if isinstance(record, UsageRecord):
                notes.see_time(record.line, record.occurred_at_us)
            yield record
    except (OSError, EOFError, zlib.error) as error:
        yield RejectedLine(last + 1, "unreadable", f"the file ends unexpectedly: {error}")


def read_events(
    lines: NumberedLines, _name: str, defaults: Mapping[str, str], notes: Notes
) -> Iterator[UsageRecord | RejectedLine]:
    """Yield pertoken's own JSON lines: id, at, provider, model, usage and attribution."""
    for number, line in lines:
        try:
            if len(line) > LINE_BYTES_MAX:
                raise NotAnEvent(f"longer than {LINE_BYTES_MAX} bytes")
            fields = msgspec.json.decode(line)
            if not isinstance(fields, dict):
                raise NotAnEvent("not a json object")
            record = read_event(number, fields, defaults)
            notes.see_fields(number, fields)
            yield record
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            yield RejectedLine(number, "invalid_json", str(error))
        except NotAnEvent as error:
            yield RejectedLine(number, "invalid_event", str(error))


def read_azure_trace(
    lines: NumberedLines, name: str, defaults: Mapping[str, str], _notes: Notes
) -> Iterator[UsageRecord | RejectedLine]:
    """Yield the rows of an Azure LLM inference trace: TIMESTAMP, ContextTokens, GeneratedTokens (times in UTC).

    A row has no id, so its file, line and content are its identity. https://github.com/Azure/AzurePublicDataset
    """
    provider, model = defaults.get("provider"), defaults.get("model")
    if provider is None or model is None:
        raise NotAnEvent("an azure-trace names no model: give --provider and --model")
    attribution = Attribution(
        key=defaults.get("key"),
        team=defaults.get("team"),
        customer=defaults.get("customer"),
        provider=provider,
        model=model,
    )
    for number, line in lines:
        text = line[:LINE_BYTES_MAX].decode("utf-8", "replace").rstrip("\r\n")
        try:
            row = next(csv.reader([text]))
            if row == AZURE_COLUMNS:
                continue
            if len(row) != len(AZURE_COLUMNS):
                raise ValueError(f"it has {len(row)} columns; write {','.join(AZURE_COLUMNS)}")
            stamp, read, made = row
            quantities = {"input_tokens": _count(read), "output_tokens": _count(made)}
            at_us = parse_time(stamp[:26])  # the trace has tenths of microseconds; we keep microseconds
        except (ValueError, NotATime, csv.Error) as error:
            yield RejectedLine(number, "invalid_row", f"{text[:200]}: {error}")
            continue
        digest = hashlib.blake2b(",".join(row).encode(), digest_size=6).hexdigest()
        yield UsageRecord(number, "azure-trace", f"{name}:{number}:{digest}", at_us, attribution, quantities)


FORMATS: Mapping[str, Reader] = {"events": read_events, "azure-trace": read_azure_trace}


def _is_event(line: bytes) -> bool:
    """Tell whether a line has the shape of an event, valid or not."""
    try:
        fields = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return isinstance(fields, dict) and "usage" in fields and ("id" in fields or "at" in fields)


def _is_azure(line: bytes) -> bool:
    """Tell whether a line has as many columns as a trace; the header line counts too."""
    return line.count(b",") == len(AZURE_COLUMNS) - 1 and not line.lstrip().startswith((b"{", b"["))


_LOOKS_RIGHT: Mapping[str, Callable[[bytes], bool]] = {"events": _is_event, "azure-trace": _is_azure}
_SHAPE = {
    "events": 'a JSON object a line, with "id", "at", "provider", "model" and "usage"',
    "azure-trace": f"rows of {','.join(AZURE_COLUMNS)}",
}


def _expected(form: str, number: int, line: bytes) -> str:
    """Say what a format looks like, what the file has instead, and which format that may be."""
    others = [other for other, looks_right in _LOOKS_RIGHT.items() if other != form and looks_right(line)]
    hint = f"; try --format {others[0]}" if others else ""
    found = line[:SHOWN_MAX].decode("utf-8", "replace").strip()
    return f"it takes {_SHAPE[form]}, and line {number} is {found!r}{hint}"


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 20) or int(text) > QUANTITY_MAX:
        raise ValueError(f"{text[:100]!r} is not a count of tokens")
    return int(text)
