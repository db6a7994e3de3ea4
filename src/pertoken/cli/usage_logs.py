"""Reading usage logs of several formats, line by line; a line that cannot be read is a problem, not the end."""

import csv
import gzip
import hashlib
import io
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO

import msgspec

from pertoken.core.budgets import Attribution
from pertoken.core.periods import NotATime, parse_time
from pertoken.services.ingest import NotAnEvent, Problem, Reported, read_event

LINE_BYTES_MAX = 4 * 1024 * 1024

Reader = Callable[[IO[bytes], str, Mapping[str, str]], Iterator[Reported | Problem]]


def open_log(path: Path) -> IO[bytes]:
    """Open a log, unpacked if its name ends in .gz. Raises OSError."""
    return gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")  # type: ignore[return-value]


def read_events(log: IO[bytes], _name: str, defaults: Mapping[str, str]) -> Iterator[Reported | Problem]:
    """Yield pertoken's own JSON lines: id, at, provider, model, usage, and whom they belong to."""
    for number, line in enumerate(log, start=1):
        if not line.strip():
            continue
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
    rows = csv.reader(io.TextIOWrapper(log, encoding="utf-8", errors="replace"))
    for number, row in enumerate(rows, start=1):
        if not row or row[0] == "TIMESTAMP":
            continue
        try:
            stamp, read, made = row
            quantities = {"input_tokens": _count(read), "output_tokens": _count(made)}
            at_us = parse_time(stamp[:26])  # the trace has tenths of microseconds; we keep microseconds
        except (ValueError, NotATime) as error:
            yield Problem(number, "invalid_row", f"{','.join(row)[:200]}: {error}")
            continue
        digest = hashlib.blake2b(",".join(row).encode(), digest_size=6).hexdigest()
        yield Reported(number, "azure-trace", f"{name}:{number}:{digest}", at_us, attribution, quantities)


FORMATS: Mapping[str, Reader] = {"events": read_events, "azure-trace": read_azure_trace}


def _count(text: str) -> int:
    count = int(text)
    if count < 0:
        raise ValueError(f"negative count {count}")
    return count
