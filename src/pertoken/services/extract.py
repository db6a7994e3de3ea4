"""Reads usage from a provider's answer, for `pertoken extract`."""

from collections.abc import Callable
from decimal import Decimal
from functools import lru_cache, partial
from typing import Any, NamedTuple

import msgspec

from pertoken.core.facts import RequestFacts
from pertoken.core.untold import UNDIVIDED, divided, untold
from pertoken.core.usage import QUANTITY_MAX, Completeness, Reading
from pertoken.wire import answers, batch_lines, formats, provider_error, providers, usage_table
from pertoken.wire.content import as_dict, parse
from pertoken.wire.formats import FormatRow
from pertoken.wire.usage_reading import with_models_told_twice, without_zeros
from pertoken.wire.usage_table import UsageTable

PROVIDER_ERROR = "provider_error"
_FACTS = RequestFacts(model="")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"

_any = msgspec.json.Decoder()


class CannotExtract(ValueError):
    """A line names no known API or provider, has no answer, or its usage contradicts itself."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class _Reader(NamedTuple):
    """How the answers of one API are read, in the words of one provider."""

    whole: Callable[[bytes], Reading]
    stream: Callable[[bytes], Reading]
    rows: UsageTable


def extract_usage(api: object, provider: object, body: bytes | None, sse: str | None) -> dict[str, Any]:
    """Return model, service tier, completeness and usage of one answer: `body` as JSON, or `sse` as it streamed.

    Speed, region and the models of an answer that several made are there only where they are known. Quantities are
    whole numbers, but for `seconds`, which is as exact as the provider wrote it. What is the provider's error has no
    usage, and an `error` that says what it says. Raises CannotExtract.
    """
    reader = _reader(str(api), provider if provider is None else str(provider))
    if sse is not None:
        data = _as_events(sse.encode("utf-8", "surrogatepass"))
        reading = reader.stream(data)
    elif body is not None:
        reading, data = reader.whole(body), body
    else:
        raise CannotExtract("invalid_line", "the line needs body (an object) or sse (a text)")
    inner = batch_lines.answers(data) if body is not None and _is_none(reading) else []
    if len(inner) > 1:
        raise CannotExtract("invalid_line", f"the body contains {len(inner)} answers; write each on its own line")
    if inner:
        reading, data = reader.whole(inner[0]), inner[0]
    if reading.contradiction is not None:
        raise CannotExtract("contradictory_usage", reading.contradiction)
    answer = _answer(_divided(reading, reader.rows) if reading.made else reading)
    if inner:
        answer["batch"] = True
    if reading.completeness is Completeness.MISSING and (told := provider_error.find(data)) is not None:
        answer["error"] = {"code": PROVIDER_ERROR, "message": told}
    return answer


def _is_none(reading: Reading) -> bool:
    """Tell whether an answer tells nothing of usage."""
    return reading.completeness is Completeness.MISSING and not reading.raw


def _divided(reading: Reading, rows: UsageTable) -> Reading:
    """Return the reading with the output that usage does not divide as what the answer shows: sound, else pictures."""
    quantities = reading.quantities or {}
    most = {f"output_{kind}_tokens": QUANTITY_MAX for kind in sorted(reading.made)}
    units = untold(quantities, most, reading.made)
    text = usage_table.plain(rows, as_dict(parse(reading.raw)))
    found = divided(quantities, {unit: most[unit] for unit in units[:1]}, text)
    if not found:
        return reading
    return reading._replace(quantities=found[0], note=reading.note or UNDIVIDED)


def _answer(reading: Reading) -> dict[str, Any]:
    usage: dict[str, Any] = dict(reading.quantities or {})
    if reading.seconds is not None:
        usage["seconds"] = _number(reading.seconds)
    if reading.reported_cost is not None:
        usage["reported_cost"] = format(reading.reported_cost, "f")
    if reading.reported_fee is not None:
        usage["reported_fee"] = format(reading.reported_fee, "f")
    answer: dict[str, Any] = {
        "model": reading.model,
        "service_tier": reading.service_tier,
        "completeness": reading.completeness.value,
        "usage": usage,
    }
    if reading.speed is not None:
        answer["speed"] = reading.speed
    if reading.note is not None:
        answer["note"] = reading.note
    if reading.region is not None:
        answer["region"] = reading.region
    if reading.attributes:
        answer["attributes"] = dict(reading.attributes)
    if reading.parts:
        answer["by_model"] = [{"model": model or None, "usage": used} for model, used in reading.parts]
    return answer


def _number(value: Decimal) -> int | msgspec.Raw:
    """Return a decimal as a JSON number with all its digits."""
    return int(value) if value == int(value) else msgspec.Raw(format(value, "f").encode())


@lru_cache(maxsize=256)
def _reader(api: str, provider: str | None) -> _Reader:
    """Return how one API is read in one provider's words. Raises CannotExtract where either is unknown."""
    if api not in formats.EXTRACTED:
        raise CannotExtract("unknown_api", f"unknown api {api!r:.80}; known: {', '.join(formats.EXTRACTED)}")
    name = "" if provider is None else providers.known(provider)
    if name is None:
        names = ", ".join(sorted(providers.PROVIDERS))
        raise CannotExtract("unknown_provider", f"unknown provider {provider!r:.80}; known: {names}")
    rows = formats.dialect(api, name)
    row = formats.BY_NAME.get(api)
    if row is None:
        read = formats.READ[api]
        return _Reader(partial(answers.read_answer, read), partial(answers.read_stream, read), rows)
    return _Reader(
        lambda body: _read_whole(row, body, rows),
        lambda data: _read_stream(row, data, rows),
        rows,
    )


def _read_whole(row: FormatRow, body: bytes, rows: UsageTable) -> Reading:
    reading = with_models_told_twice(row.format.read_answer(body, rows), body)
    return _with_names(without_zeros(reading, partial(row.format.answer_text, body)))


def _read_stream(row: FormatRow, data: bytes, rows: UsageTable) -> Reading:
    if row.session is not None and row.session.mark in data:  # each of its turns is billed
        return answers.read_stream(row.session, data)
    reader = row.format.stream_reader(_FACTS, rows)
    reader.feed(data)
    return _with_names(without_zeros(reader.reading(), reader.text))


def _with_names(reading: Reading) -> Reading:
    """Return the reading with a note of all models that the answer names, where they are several."""
    if not reading.models:
        return reading
    names = f"the answer names {' and '.join(reading.models)}"
    return reading._replace(note=f"{names}; {reading.note}" if reading.note else names)


def _as_events(data: bytes) -> bytes:
    """Return events as they are, and plain lines of JSON as events: the last one only if its line has ended."""
    data = data.removeprefix(_BYTE_ORDER_MARK)
    if not data.lstrip().startswith(b"{"):
        return data
    *lines, rest = data.split(b"\n")
    events = [b"data: %s\n\n" % line.strip() for line in lines if not line.isspace() and line]
    return b"".join([*events, b"data: %s" % rest])
