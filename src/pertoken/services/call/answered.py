"""Step 7, a part: what a whole answer says was used. Heavy answers are read apart, in a process of their own."""

from functools import partial
from typing import NamedTuple

from pertoken.core.bounds import Family
from pertoken.core.estimates import is_enough, most_used
from pertoken.core.usage import Quantities, Reading
from pertoken.ports.readers import NotRead
from pertoken.ports.tokens import Tokenizers
from pertoken.services.call.count import turn_of
from pertoken.services.call.heavy import BYTES_MAX, VALUES_MAX
from pertoken.services.call.request import Request
from pertoken.services.world import World
from pertoken.wire import formats
from pertoken.wire.usage_reading import with_models_told_twice, without_zeros
from pertoken.wire.usage_table import UsageTable

_FIELD = b'":'


class Answered(NamedTuple):
    """What a whole answer says, and its output text where that is not enough."""

    reading: Reading
    text: str | None = None  # to be counted
    tokens: int | None = None  # of the text where it is counted already


def is_heavy_answer(body: bytes) -> bool:
    """Tell whether an answer is better read apart. Fields take time; the numbers of a vector are skipped quickly."""
    return len(body) > BYTES_MAX or body.count(_FIELD) > VALUES_MAX


def answer_of(  # noqa: PLR0917 - what reading an answer depends on
    tokenizers: Tokenizers, body: bytes, format_name: str, provider: str, prices_from: tuple[str, ...], family: Family
) -> Answered:
    """Return what an answer says, its output counted where that is not enough."""
    rows = formats.dialect_served(formats.SERVED[format_name], provider, prices_from)
    found = _read(body, format_name, rows)
    if found.text is None:
        return found
    return Answered(found.reading, None, tokenizers.count_text(family, found.text).tokens)


async def read_answer(request: Request, body: bytes, most: Quantities, world: World) -> Answered:
    """Read a whole answer. One that cannot be read is taken to have used the most that is held for: `most`."""
    provider = request.provider
    if not is_heavy_answer(body):
        rows = formats.dialect_served(request.format, provider.name, provider.prices_from)
        return _read(body, request.format.name, rows)
    args = (request.format.name, provider.name, tuple(provider.prices_from), request.family)
    try:
        answered: Answered = await world.readers.read(turn_of(request), answer_of.__name__, body, args)
    except NotRead as error:
        return Answered(most_used(request.facts, request.rates, most, f"the answer could not be read: {error}"))
    return answered


def _read(body: bytes, format_name: str, rows: UsageTable) -> Answered:
    """Return what an answer says, with its output text where that is not enough."""
    wire = formats.SERVED[format_name]
    reading = with_models_told_twice(wire.read_answer(body, rows), body)
    reading = without_zeros(reading, partial(wire.answer_text, body))
    return Answered(reading, None if is_enough(reading) else wire.answer_text(body))
