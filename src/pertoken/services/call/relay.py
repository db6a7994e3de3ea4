"""Step 7: pass the answer through to the client, and read from it what was used."""

from pertoken.core.estimates import is_enough, most_used
from pertoken.core.facts import RequestFacts
from pertoken.core.usage import Completeness
from pertoken.ports.provider import ProviderFailed
from pertoken.ports.readers import NotRead
from pertoken.services.call.answered import Answered, read_answer
from pertoken.services.call.call import Call, Relayed
from pertoken.services.call.count import turn_of
from pertoken.services.call.forward import answer_headers
from pertoken.services.call.outrun import Outrun
from pertoken.services.call.refuse import held_headers, remaining_header, status_of_a_stream
from pertoken.services.call.request import Request
from pertoken.services.world import World
from pertoken.wire import formats
from pertoken.wire.format import StreamReader
from pertoken.wire.stream import look_at
from pertoken.wire.usage_reading import without_zeros
from pertoken.wire.usage_table import UsageTable

KEPT_BYTES_MAX = 4 * 1024 * 1024


async def relay(call: Call, world: World) -> Call:
    """Return the call with what came back: a stream is passed on as it comes, all but its end."""
    known = held_headers(call, has_cache=world.reuse is not None)
    call.headers = known + answer_headers(call.answer.headers)
    if call.request.facts.stream:
        call.is_begun = True
        remaining = remaining_header(call.holding.tightest)
        call.exchange.start(status_of_a_stream(call.answer.status), call.headers + remaining)
        call.relayed = await relay_stream(call, world)
    else:
        call.relayed = await relay_whole(call, world)
    return call


async def relay_whole(call: Call, world: World) -> Relayed:
    """Read a whole answer."""
    request, most = call.request, call.holding.bound.quantities
    failure, body = None, b""
    try:
        body = await call.answer.read()
    except ProviderFailed as error:
        failure = error
    last_byte_us = world.clock.now_us()
    if failure is None:
        answered = await read_answer(request, body, most, world)
    else:  # its head came, so it was made: how much was written, nobody has read
        answered = Answered(most_used(request.facts, request.rates, most, f"the answer was lost: {failure}"))
    return Relayed(
        answered.reading, answered.text, body, failure,
        hung_up=call.exchange.gone, tokens=answered.tokens, last_byte_us=last_byte_us, sent=call.sent,
    )  # fmt: skip


async def relay_stream(call: Call, world: World) -> Relayed:
    """Pass a streamed answer through as it comes.

    When the client hangs up, the provider is read to its end all the same, so that the call is settled on real usage;
    `drains` bounds how many such answers are read at once. A provider configured to be cut is given up at once instead.
    Where somebody wants to keep the answer, what is passed on is returned as well. The call gets its holding as it is
    at the end.
    """
    exchange, request, answer = call.exchange, call.request, call.answer
    reader = request.format.stream_reader(_as_sent(request), dialect(request))
    if request.provider.cuts_on_hangup:
        exchange.when_gone(answer.abandon)
    outrun = Outrun(request, call.holding, reader, world)
    way = _Way(call, reader, world, outrun)
    failure = None
    try:
        try:
            await answer.pour(way.pass_on, way.room)
        except ProviderFailed as error:
            error.__traceback__ = None  # else this frame and the failure know each other, and wait for the collector
            cut = exchange.gone and request.provider.cuts_on_hangup
            failure = ProviderFailed("the client hung up and the answer was cut", kind=None) if cut else error
        await way.read_rest()  # also what came before a failure: it was made, and may say what was used
    finally:
        if way.draining:
            world.drains.leave()
    last_byte_us = world.clock.now_us()
    call.holding = outrun.holding
    is_complete, last = reader.complete, b""
    reading, most = reader.reading(), outrun.holding.bound.quantities
    if way.not_read is not None:
        why = f"a part of the stream could not be read: {way.not_read}"
        answered = Answered(most_used(request.facts, request.rates, most, why))
        is_complete = True
    elif failure is None and not is_complete and reading.completeness is Completeness.MISSING:
        last = reader.end()
        if last.lstrip().startswith(b"{"):  # no stream, but one whole answer
            answered = await read_answer(request, last, most, world)
        else:
            answered = _read_to_here(reader)
    else:
        answered = _read_to_here(reader)
    if failure is None and not is_complete and not is_enough(answered.reading):
        failure = ProviderFailed("the stream ended before its answer did")
    last = last or reader.end()
    return Relayed(
        answered.reading, answered.text, last, failure, passed=b"".join(way.kept), hung_up=exchange.gone,
        tokens=answered.tokens, first_byte_us=way.first_byte_us, last_byte_us=last_byte_us, sent=call.sent,
    )  # fmt: skip


def _read_to_here(reader: StreamReader) -> Answered:
    """Return what a stream has said, and its output text where that is not enough."""
    reading = without_zeros(reader.reading(), reader.text)
    return Answered(reading, None if is_enough(reading) else reader.text())


def _as_sent(request: Request) -> RequestFacts:
    """Return the facts, usage marked as wanted where we did not ask for it: only what we asked for is stripped."""
    return request.facts if request.provider.asks_for_usage else request.facts._replace(wants_usage=True)


def dialect(request: Request) -> UsageTable:
    """Return the table of usage of who serves the call."""
    return formats.dialect_served(request.format, request.provider.name, request.provider.prices_from)


class _Way:
    """Carries one stream's pieces from provider to client."""

    def __init__(self, call: Call, reader: StreamReader, world: World, outrun: Outrun) -> None:
        self._exchange = call.exchange
        self._request = call.request
        self._reader = reader
        self._clock = world.clock
        self.first_byte_us: int | None = None
        self._readers = world.readers
        self._drains = world.drains
        self._outrun = outrun
        self._outruns = False
        self.draining = False  # the client is gone, the provider is read on
        self._keep = call.note is not None or call.holding.claim is not None
        self._kept_bytes = 0
        self.kept: list[bytes] = []
        self.not_read: NotRead | None = None  # why a part of the stream was passed on unread

    def pass_on(self, chunk: bytes) -> bool:
        """Take a piece; tell whether `room` must be awaited before the next."""
        if self.first_byte_us is None:
            self.first_byte_us = self._clock.now_us()
        piece = self._reader.feed(chunk)
        self._outruns = self._outrun.add(chunk)
        return self._send(piece) or self._reader.unread is not None

    def _send(self, piece: bytes) -> bool:
        """Send a piece to the client; tell whether `room` must be awaited before the next."""
        if self._keep and self._kept_bytes <= KEPT_BYTES_MAX:
            self.kept.append(piece)
            self._kept_bytes += len(piece)
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
        await self.read_apart()
        if self._outruns:
            await self._outrun.extend()
        await self._exchange.drain()
        if self._exchange.gone and not self.draining:
            self.draining = self._drains.enter()
            if not self.draining:
                raise ProviderFailed("the client hung up and too many answers are being drained", kind=None)

    async def read_rest(self) -> None:
        """Read the rest of what came, once no more comes."""
        await self.read_apart()
        self._reader.close()
        await self.read_apart()

    async def read_apart(self) -> None:
        """Have large events read by a helper process, and pass them on."""
        while (unread := self._reader.unread) is not None:
            try:
                args = unread.args
                looked = await self._readers.read(turn_of(self._request), look_at.__name__, unread.events, args)
            except NotRead as error:
                self.not_read, looked = error, None
            self._send(self._reader.take(looked))
