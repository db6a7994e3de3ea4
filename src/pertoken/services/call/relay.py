"""Step 9: pass the answer through to the client, and read from it what was used."""

import logging
from functools import partial
from typing import NamedTuple

from pertoken.core.usage import Completeness, Reading
from pertoken.ports import Answer, Exchange, ProviderFailed
from pertoken.services.call.hold import Holding
from pertoken.services.call.outrun import Outrun
from pertoken.services.call.understand import Request
from pertoken.services.world import Drains, World
from pertoken.wire import formats
from pertoken.wire.format import RequestFacts, StreamReader
from pertoken.wire.usage_reading import with_models_told_twice, without_zeros
from pertoken.wire.usage_table import Table

KEPT_BYTES_MAX = 4 * 1024 * 1024

log = logging.getLogger("pertoken.call")


class Relayed(NamedTuple):
    """What came back: the reading, the output text where no usage came, and how it ended."""

    reading: Reading
    text: str | None  # output text to count, None where the reading is enough
    last: bytes  # body (unary) or the kept-back end (streamed) that waits for the settlement
    failure: ProviderFailed | None = None
    passed: bytes = b""  # of a stream that is kept: what was passed on before `last`
    hung_up: bool = False  # the client was gone before the answer was whole


async def relay_whole(request: Request, answer: Answer) -> Relayed:
    """Read a whole answer."""
    try:
        body = await answer.read()
    except ProviderFailed as failure:
        return Relayed(Reading(None, Completeness.MISSING), "", b"", failure)
    reading = without_zeros(_read_whole(request, body), partial(request.format.answer_text, body))
    return Relayed(reading, None if _is_enough(reading) else request.format.answer_text(body), body)


async def relay_stream(
    exchange: Exchange, request: Request, holding: Holding, answer: Answer, world: World
) -> tuple[Relayed, Holding]:
    """Pass a streamed answer through as it comes.

    When the client hangs up, the provider is read to its end all the same, so that the call is settled on real usage;
    `drains` bounds how many such answers are read at once. A provider configured to be cut is given up at once instead.
    Where the client named the call, what is passed on is returned as well. The holding comes back as it is at the end.
    """
    drains = world.drains
    reader = request.format.stream_reader(_as_sent(request), dialect(request))
    if request.provider.cuts_on_hangup:
        exchange.when_gone(answer.abandon)
    outrun = Outrun(request, holding, reader, world)
    relay = _Relay(exchange, reader, drains, outrun, keep=holding.claim is not None)
    failure = None
    try:
        await answer.pour(relay.pass_on, relay.room)
    except ProviderFailed as error:
        error.__traceback__ = None  # else this frame and the failure know each other, and wait for the collector
        cut = exchange.gone and request.provider.cuts_on_hangup
        failure = ProviderFailed("the client hung up and the answer was cut") if cut else error
    finally:
        if relay.draining:
            drains.leave()
    reading, text_of = reader.reading(), reader.text
    is_complete, last = reader.complete, b""
    if failure is None and not is_complete and reading.completeness is Completeness.MISSING:
        last = reader.end()
        if last.lstrip().startswith(b"{"):  # no stream, but one whole answer
            reading, text_of = _read_whole(request, last), partial(request.format.answer_text, last)
    reading = without_zeros(reading, text_of)
    if failure is None and not is_complete and not _is_enough(reading):
        failure = ProviderFailed("the stream ended before its answer did")
    text = None if _is_enough(reading) else text_of()
    return Relayed(reading, text, last or reader.end(), failure, b"".join(relay.kept)), outrun.holding


def _read_whole(request: Request, body: bytes) -> Reading:
    return with_models_told_twice(request.format.read_answer(body, dialect(request)), body)


def _as_sent(request: Request) -> RequestFacts:
    """Return the facts, usage marked as wanted where we did not ask for it: only what we asked for is stripped."""
    return request.facts if request.provider.asks_for_usage else request.facts._replace(wants_usage=True)


def dialect(request: Request) -> Table:
    """Return the table of usage of who serves the call."""
    return formats.dialect_served(request.format, request.provider.name, request.provider.prices_from)


class _Relay:
    """Carries one stream's pieces from provider to client."""

    def __init__(self, exchange: Exchange, reader: StreamReader, drains: Drains, outrun: Outrun, *, keep: bool) -> None:
        self._exchange = exchange
        self._reader = reader
        self._drains = drains
        self._outrun = outrun
        self._outruns = False
        self.draining = False  # the client is gone, the provider is read on
        self._keep = keep
        self._kept_bytes = 0
        self.kept: list[bytes] = []

    def pass_on(self, chunk: bytes) -> bool:
        """Take a piece; tell whether `room` must be awaited before the next."""
        piece = self._reader.feed(chunk)
        if self._keep and self._kept_bytes <= KEPT_BYTES_MAX:
            self.kept.append(piece)
            self._kept_bytes += len(piece)
        self._outruns = self._outrun.add(chunk)
        if not self._exchange.gone:
            is_full = self._exchange.write(piece) if piece else False
            return is_full or self._outruns
        if not self.draining:
            self.draining = self._drains.enter()
        return self._outruns or not self.draining

    async def room(self) -> None:
        """Wait for a slow client, and hold more where that is needed.

        Raises ProviderFailed where nobody is left to read for, and Outran where no more can be held.
        """
        if self._outruns:
            await self._outrun.extend()
        await self._exchange.drain()
        if self._exchange.gone and not self.draining:
            self.draining = self._drains.enter()
            if not self.draining:
                raise ProviderFailed("the client hung up and too many answers are being drained")


def _is_enough(reading: Reading) -> bool:
    return reading.completeness is Completeness.FINAL and reading.quantities is not None
