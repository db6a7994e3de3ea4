"""A folder of Parquet files with the events of months, and their list, manifest.json.

A file is written under another name, flushed, read back and compared before it is named and listed; the list is
replaced as a whole. So what is listed is whole, and what is not listed was not finished.
"""

import fcntl
import hashlib
import os
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Annotated, NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pertoken.core.money import format_amount
from pertoken.core.periods import Window, bounds, format_time, parse_time
from pertoken.core.prices import PriceRow
from pertoken.core.rates import row_ids
from pertoken.ports.months import FolderFailed, MonthFile, StoredEvent
from pertoken.store.month_rows import SCHEMA, from_batch, is_known, to_batch

FORMAT = 1
MANIFEST = "manifest.json"
NAME = r"^[0-9]{4}-[0-9]{2}(\.[0-9]+)?\.parquet$"
GROUP = 20_000  # events of one row group, and what is in memory at once
CHUNK = 1_000  # events that come back together
GROUP_BYTES_MAX = 1 << 29  # of one row group, unpacked: 26 KB an event
PRICES = "pertoken.prices"  # in a file's own metadata
ABOUT = (
    "Usage events of pertoken by month (UTC). Amounts are whole numbers of 10^-12 US dollars, or 10^-10 of the smallest"
    " coin of another currency; times are UTC. The events of a month are in all files of that month together."
)
_NOT_OURS = (ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError)  # what no event raises
_ERRORS = (OSError, pa.ArrowException, msgspec.DecodeError, *_NOT_OURS)
_TEXTS = (pa.string(), pa.binary())
_SORTED = msgspec.msgpack.Encoder(order="sorted")
_read_prices = msgspec.json.Decoder(list[PriceRow])


class _Listed(msgspec.Struct, kw_only=True):
    """A file in the list."""

    file: Annotated[str, msgspec.Meta(pattern=NAME)]  # never a path
    month: Annotated[str, msgspec.Meta(pattern=r"^[0-9]{4}-[0-9]{2}$")]
    events: int
    conversation_events: int
    cost: dict[str, str]  # by currency, exact, in its major unit
    cost_picos: dict[str, str]
    sha256: str
    bytes: int
    made_at: str
    pertoken: str
    schema: str


class _Manifest(msgspec.Struct, kw_only=True):
    """The list."""

    format: int = FORMAT
    about: str = ABOUT
    files: list[_Listed] = []


class _Contents(NamedTuple):
    """What events come to, and a digest of every part of each, in order."""

    events: int
    conversations: int
    cost_picos: dict[str, int]
    digest: bytes
    prices: frozenset[str]  # ids of rows


class MonthFolder:
    """Keeps the files of one folder. Whoever changes them holds `locked`."""

    def __init__(self, path: Path, schema: str) -> None:
        """Take the folder, and the version of the database that events come from."""
        self._path = path
        self._schema = schema

    @property
    def place(self) -> str:
        """Where it is, for people."""
        return str(self._path)

    @contextmanager
    def locked(self, *, make: bool = False) -> Iterator[None]:
        """Let nobody else change the folder; with `make` it need not be there yet. Raises FolderFailed."""
        with _failing(f"cannot open the folder {self._path}"):
            if make:
                self._path.mkdir(parents=True, exist_ok=True)
            folder = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            try:
                fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise FolderFailed(f"another command works in {self._path}; wait for it to end") from error
            yield
        finally:
            os.close(folder)

    def files(self) -> list[MonthFile]:
        """Return the files that are listed, by their names."""
        return sorted(map(_file, self._manifest().files))

    def unlisted(self) -> list[str]:
        """Return the names of files of months that are in the folder and not in the list."""
        listed = {file.name for file in self.files()}
        with _failing(f"cannot read the folder {self._path}"):
            names = {path.name for path in self._path.glob("*.parquet") if re.fullmatch(NAME, path.name)}
        return sorted(names - listed)

    def write(
        self, month_us: int, events: Iterable[StoredEvent], prices: Mapping[str, PriceRow], at_us: int,
        taken: Collection[str] = (),
    ) -> MonthFile:  # fmt: skip
        """Write the events of a month beside the listed files, durable, and prove it by reading it back."""
        name = self._free_name(month_us, taken)
        part = self._part(name)
        with _failing(f"cannot write {part}"):
            written = _write(part, events, prices)
            _flush(part)
            if _contents(_read(part, 0)) != written:
                raise FolderFailed(f"{part} does not read as it was written; the disk may be failing")
            return MonthFile(
                name, month_us, written.events, written.conversations, written.cost_picos, _sha256(part),
                part.stat().st_size, at_us,
            )  # fmt: skip

    def publish(self, file: MonthFile, instead_of: Collection[str]) -> None:
        """List a file that was written, in the place of those with the hashes `instead_of`, which go."""
        manifest = self._manifest()
        gone = [listed for listed in manifest.files if listed.sha256 in instead_of]
        left = [listed for listed in manifest.files if listed.sha256 not in instead_of]
        manifest.files = sorted([*left, self._listed(file)], key=lambda listed: listed.file)
        with _failing(f"cannot list {file.name} in {self._path}"):
            self._part(file.name).replace(self._path / file.name)
            _flush(self._path)
            part = self._part(MANIFEST)
            part.touch(0o600)
            part.write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n")
            _flush(part)
            part.replace(self._path / MANIFEST)
            _flush(self._path)
            for listed in gone:
                (self._path / listed.file).unlink(missing_ok=True)

    def faults(self, file: MonthFile) -> list[str]:
        """Return what is wrong with a listed file: it must be the one that was written, and say what is listed."""
        path = self._path / file.name
        try:
            if _sha256(path) != file.sha256:
                return ["its hash is not the one that is listed: it was changed or damaged"]
            found = _contents(self._within(file, _read(path, 0)))
        except FileNotFoundError:
            return ["it is listed but missing"]
        except _ERRORS as error:
            return [f"it cannot be read: {error}"]
        pairs = (
            ("events", file.events, found.events),
            ("conversation_events", file.conversations, found.conversations),
            ("cost_picos", dict(file.cost_picos), found.cost_picos),
            ("bytes", file.size, path.stat().st_size),
        )
        return [f"{what}: {listed} listed, {have} found" for what, listed, have in pairs if listed != have]

    def read(self, file: MonthFile, start: int = 0) -> Iterator[StoredEvent]:
        """Yield the events of a file, from number `start` on."""
        with _failing(f"cannot read {self._path / file.name}"):
            yield from _read(self._path / file.name, start)

    def chunks(self, file: MonthFile, end: int) -> Iterator[Sequence[StoredEvent]]:
        """Yield the first `end` events of a file in pieces, the last piece first."""
        path = self._path / file.name
        with _failing(f"cannot read {path}"), _opened(path) as reader:
            starts = [0]
            for group in range(reader.num_row_groups):
                starts.append(starts[-1] + reader.metadata.row_group(group).num_rows)
            for group in reversed(range(reader.num_row_groups)):
                if starts[group] >= end:
                    continue
                events = list(_group(reader, group))[: end - starts[group]]
                for at in reversed(range(0, len(events), CHUNK)):
                    yield events[at : at + CHUNK]

    def of_call(self, file: MonthFile, end: int, call_id: str) -> Iterator[StoredEvent]:
        """Yield those of the first `end` events of a file that are of one call: only their ids are looked through."""
        path = self._path / file.name
        with _failing(f"cannot read {path}"), _opened(path) as reader:
            start = 0
            for group in range(reader.num_row_groups):
                ids = _table(reader, group, ["event_id"]).column(0).to_pylist()[: end - start]
                places = [at for at, one in enumerate(ids) if one == call_id or one.startswith(f"{call_id}.")]
                if places:
                    yield from _events_of(_table(reader, group).take(places))
                start += reader.metadata.row_group(group).num_rows
                if start >= end:
                    return

    def prices(self, file: MonthFile) -> list[PriceRow]:
        """Return the prices that the lines of a file's events name."""
        path = self._path / file.name
        with _failing(f"cannot read {path}"), _opened(path) as reader:
            return _read_prices.decode((reader.metadata.metadata or {}).get(PRICES.encode(), b"[]"))

    def _manifest(self) -> _Manifest:
        path = self._path / MANIFEST
        try:
            manifest = msgspec.json.decode(path.read_bytes(), type=_Manifest)
        except FileNotFoundError:
            return _Manifest()
        except (OSError, msgspec.DecodeError) as error:
            raise FolderFailed(f"cannot read {path}: {error}") from error
        if manifest.format != FORMAT:
            raise FolderFailed(f"{path} is of format {manifest.format}, this version of pertoken reads {FORMAT}")
        return manifest

    def _free_name(self, month_us: int, taken: Collection[str]) -> str:
        """Return the name of the next file of a month: what is listed, or taken, is never overwritten."""
        month = format_time(month_us)[:7]
        known = {file.name for file in self.files()}.union(taken)
        names = (f"{month}{f'.{number}' if number > 1 else ''}.parquet" for number in range(1, len(known) + 2))
        return next(name for name in names if name not in known)

    def _part(self, name: str) -> Path:
        return self._path / f".{name}.part"

    def _listed(self, file: MonthFile) -> _Listed:
        return _Listed(
            file=file.name,
            month=format_time(file.month_us)[:7],
            events=file.events,
            conversation_events=file.conversations,
            cost={currency: format_amount(picos, currency) for currency, picos in file.cost_picos.items()},
            cost_picos={currency: str(picos) for currency, picos in file.cost_picos.items()},
            sha256=file.sha256,
            bytes=file.size,
            made_at=format_time(file.made_at_us),
            pertoken=version("pertoken"),
            schema=self._schema,
        )

    @staticmethod
    def _within(file: MonthFile, events: Iterator[StoredEvent]) -> Iterator[StoredEvent]:
        """Pass on events of the file's month in order. Raises ValueError for another."""
        last_us, end_us = bounds(Window.MONTH, file.month_us, "UTC")
        for stored in events:
            at_us = stored.event.occurred_at_us
            if not last_us <= at_us < end_us:
                raise ValueError(f"event {stored.event.event_id!r} of {format_time(at_us)} is out of place")
            last_us = at_us
            yield stored


def _file(listed: _Listed) -> MonthFile:
    try:
        month_us, made_at_us = parse_time(f"{listed.month}-01"), parse_time(listed.made_at)
        cost_picos = {currency: int(picos) for currency, picos in listed.cost_picos.items()}
    except ValueError as error:
        raise FolderFailed(f"{listed.file} is not listed as it was written: {error}") from error
    return MonthFile(
        listed.file, month_us, listed.events, listed.conversation_events, cost_picos, listed.sha256, listed.bytes,
        made_at_us,
    )  # fmt: skip


def _write(path: Path, events: Iterable[StoredEvent], prices: Mapping[str, PriceRow]) -> _Contents:
    """Write a file, a row group at a time; return what it must contain."""
    batches = _in_batches(events)
    path.touch(0o600)  # customers' names and usage are nobody else's to read
    with pq.ParquetWriter(path, SCHEMA, compression="zstd") as writer:

        def written() -> Iterator[StoredEvent]:
            for batch in batches:
                writer.write_batch(to_batch(batch), row_group_size=GROUP)
                yield from batch

        contents = _contents(written())
        rows = [prices[one] for one in sorted(contents.prices) if one in prices]
        writer.add_key_value_metadata({PRICES: msgspec.json.encode(rows).decode()})
    return contents


def _in_batches(events: Iterable[StoredEvent]) -> Iterator[list[StoredEvent]]:
    left = iter(events)
    while batch := list(islice(left, GROUP)):
        yield batch


def _read(path: Path, start: int) -> Iterator[StoredEvent]:
    with _opened(path) as reader:
        for group in range(reader.num_row_groups):
            rows = reader.metadata.row_group(group).num_rows
            if start < rows:
                yield from islice(_group(reader, group), start, None)
            start = max(0, start - rows)


@contextmanager
def _opened(path: Path) -> Iterator[pq.ParquetFile]:
    """Open a file of ours. Raises ValueError for one of other columns, or with groups larger than we write any.

    Half a megabyte can hold five million equal rows, and eight kilobytes ten gigabytes of text: each text is kept once,
    and stays so until it is known what all of them come to.
    """
    metadata = pq.read_metadata(path)
    schema = metadata.schema.to_arrow_schema()
    if not is_known(schema):
        raise ValueError("its columns are those of another version of pertoken")
    for group in map(metadata.row_group, range(metadata.num_row_groups)):
        if group.num_rows > GROUP or group.total_byte_size > GROUP_BYTES_MAX:
            raise ValueError(
                f"a group of {group.num_rows:,} events and {group.total_byte_size:,} bytes, and pertoken writes at "
                f"most {GROUP:,} and {GROUP_BYTES_MAX:,}"
            )
    texts = [field.name for field in schema if field.type in _TEXTS]
    with pq.ParquetFile(path, read_dictionary=texts) as reader:
        yield reader


def _group(reader: pq.ParquetFile, group: int) -> Iterator[StoredEvent]:
    return _events_of(_table(reader, group))


def _table(reader: pq.ParquetFile, group: int, columns: list[str] | None = None) -> pa.Table:
    """Return a row group or some of its columns, after checking that it has no more text than pertoken writes."""
    table = reader.read_row_group(group, columns=columns)
    texts = [column for column in table.columns if pa.types.is_dictionary(column.type)]
    text_bytes = sum(_text_bytes(chunk) for column in texts for chunk in column.chunks)
    if text_bytes > GROUP_BYTES_MAX:
        raise ValueError(f"a group has {text_bytes:,} bytes of text, and pertoken writes at most {GROUP_BYTES_MAX:,}")
    return table


def _events_of(table: pa.Table) -> Iterator[StoredEvent]:
    for batch in table.to_batches():
        yield from from_batch(batch)


def _text_bytes(texts: pa.DictionaryArray) -> int:
    """Return how many bytes texts have, each counted as often as it is there."""
    lengths = pc.binary_length(texts.dictionary).cast(pa.int64())
    return int(pc.sum(lengths.take(texts.indices)).as_py() or 0)


def _contents(events: Iterable[StoredEvent]) -> _Contents:
    digest, cost_picos = hashlib.sha256(), defaultdict[str, int](int)
    count = conversations = 0
    priced: set[str] = set()
    for stored in events:
        event = stored.event
        digest.update(_SORTED.encode(stored))
        count += 1
        conversations += event.attribution.conversation is not None
        cost_picos[event.currency] += event.cost_picos
        priced.update(line[2] for line in (*event.lines, *event.book_lines))
        if sum(line[3] for line in event.lines) != event.cost_picos:
            raise ValueError(f"the lines of event {event.event_id!r} do not add up to its cost")
    prices = frozenset(one for price_id in priced for one in row_ids(price_id))
    return _Contents(count, conversations, dict(cost_picos), digest.digest(), prices)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _flush(path: Path) -> None:
    """See that a file, or the names in a folder, are on disk."""
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


@contextmanager
def _failing(what: str) -> Iterator[None]:
    try:
        yield
    except _ERRORS as error:
        raise FolderFailed(f"{what}: {error}") from error
