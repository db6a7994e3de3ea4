"""The fixture with which the tests of this room drive a stream reader."""

from collections.abc import Callable
from typing import NamedTuple

import pytest

from pertoken.core.facts import RequestFacts
from pertoken.core.usage import Reading
from pertoken.wire.format import Format


class Seen(NamedTuple):
    """The result of reading one stream."""

    forwarded: bytes  # sent before the end
    kept: bytes  # held back until the end
    reading: Reading
    text: str
    complete: bool


Stream = Callable[..., Seen]


def _drive(wire_format: Format, chunks: list[bytes], facts: RequestFacts) -> Seen:
    reader = wire_format.stream_reader(facts)
    forwarded = b"".join([reader.feed(chunk) for chunk in chunks])
    reading, complete, text = reader.reading(), reader.complete, reader.text()
    return Seen(forwarded, reader.end(), reading, text, complete)


@pytest.fixture(scope="session")
def stream() -> Stream:
    """Return a function that reads a stream split at every place, and checks that the result is always the same."""

    def check(wire_format: Format, data: bytes, facts: RequestFacts | None = None, *, step: int = 1) -> Seen:
        facts = facts or RequestFacts(model="m", stream=True)
        whole = _drive(wire_format, [data], facts)
        splits = [[data[:at], data[at:]] for at in range(1, len(data), step)]
        for chunks in [[bytes([byte]) for byte in data], *splits]:
            seen = _drive(wire_format, chunks, facts)

            assert seen.forwarded + seen.kept == whole.forwarded + whole.kept
            assert seen[2:] == whole[2:]
        return whole

    return check
