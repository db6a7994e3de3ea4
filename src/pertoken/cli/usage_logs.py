"""Reading usage logs of several formats, line by line; a line that cannot be read is a problem, not the end."""

import csv
import gzip
import hashlib
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO

import msgspec

from pertoken.cli.line_reader import LINE_BYTES_MAX, numbered_lines
from pertoken.core.budgets import Attribution
from pertoken.core.periods import NotATime, parse_time
from pertoken.core.usage import QUANTITY_MAX
from pertoken.services.ingest import NotAnEvent, Problem, Reported, read_event

Reader = Callable[[IO[bytes], str, Mapping[str, str]], Iterator[Reported | Problem]]

AZURE_COLUMNS = ["TIMESTAMP", "ContextTokens", "GeneratedTokens"]


def open_log(path: Path) -> IO[bytes]:
    """Open a log, unpacked if its name ends in .gz. Raises OSError."""
    return gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")  # type: ignore[return-value]


def read_log(form: str, log: IO[bytes], name: str, defaults: Mapping[str, str]) -> Iterator[Reported | Problem]:
    """Yield the records of a log in the format `form`; `name` is the file's, `defaults` what its lines leave out.

    A file that breaks off (a torn .gz) ends in a problem: what was read before it stands. Raises NotAnEvent where the
    format needs a default that is not there.
    """
    last = 0
    try:
        for record in FORMATS[form](log, name, defaults):
            last = record.line
            yield record
    except (OSError, EOFError, zlib.error) as error:
        yield Problem(last + 1, "unreadable", f"the file breaks off here: {error}")


def read_events(log: IO[bytes], _name: str, defaults: Mapping[str, str]) -> Iterator[Reported | Problem]:
    """Yield pertoken's own JSON lines: id, at, provider, model, usage, and whom they belong to."""
    for number, line in numbered_lines(log):
        try:
            if len(line) > LINE_BYTES_MAX:
                raise NotAnEvent(f"longer than {LINE_BYTES_MAX} bytes")
            fields = msgspec.json.decode(line)
            if not isinstance(fields, dict):
                raise NotAnEvent("not a json object")
            yield read_event(number, fields, defaults)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            yield Problem(number, "invalid_json", str(error))
        except NotAnEvent as error:
            yield Problem(number, "invalid_event", str(error))


def read_azure_trace(log: IO[bytes], name: str, defaults: Mapping[str, str]) -> Iterator[Reported | Problem]:
    """Yield the rows of an Azure LLM inference trace: TIMESTAMP, ContextTokens, GeneratedTokens (times in UTC).

    A row has no id of its own: file, line and content are its identity. https://github.com/Azure/AzurePublicDataset
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
    for number, line in numbered_lines(log):
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
            yield Problem(number, "invalid_row", f"{text[:200]}: {error}")
            continue
        digest = hashlib.blake2b(",".join(row).encode(), digest_size=6).hexdigest()
        yield Reported(number, "azure-trace", f"{name}:{number}:{digest}", at_us, attribution, quantities)


FORMATS: Mapping[str, Reader] = {"events": read_events, "azure-trace": read_azure_trace}


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 20) or int(text) > QUANTITY_MAX:
        raise ValueError(f"{text[:100]!r} is not a count of tokens")
    return int(text)
