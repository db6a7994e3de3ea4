"""Step 7, a part: notice a stream that outruns its hold, and extend the hold, or cut the stream.

A hold covers the most that a call can make under its cap, so only the stream of a provider that ignores the cap can
outrun it. How much a stream has made is certain only at its end. Before that its text can be counted, which takes a
millisecond for a thousand tokens. So it is counted first when the bytes passed on could be more than the hold covers,
and again when, at the rate seen so far, the hold would be used up. A stream that stays well below its cap is never
counted.
"""

from typing import assert_never

from pertoken.core.admission import amount_of, explain_refusal, with_output
from pertoken.core.commands import Gone, Refused, Resize, Resized
from pertoken.core.errors import Code, Refusal
from pertoken.core.provider_errors import ErrorKind
from pertoken.ports.ledger import StoreUnavailable
from pertoken.ports.provider import ProviderFailed
from pertoken.services.call.call import Holding
from pertoken.services.call.count import count_output
from pertoken.services.call.request import Request
from pertoken.services.world import World
from pertoken.wire.format import StreamReader

BYTES_PER_TOKEN_MIN = 50  # as passed on, with all that stands around a token; most have 120 to 250
STEP_TOKENS = 64  # counted again after so many at the earliest
GRACE = 1.05  # what an answer may seem to make beyond its cap: an end, a refusal, a call's brackets
DOUBT = 2  # a count by another tokenizer than the model's may be so many times too large


class Outran(ProviderFailed):
    """The stream was cut: it made more than was held for it, and no more could be held."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message, kind=ErrorKind.CUT)
        self.refusal = refusal


class Outrun:
    """Watches one stream. `add` every chunk; where it says so, `extend` before the next."""

    def __init__(self, request: Request, holding: Holding, reader: StreamReader, world: World) -> None:
        self._request = request
        self._reader = reader
        self._world = world
        self._bytes = 0
        self._due_bytes = (self._held_tokens(holding) + STEP_TOKENS) * BYTES_PER_TOKEN_MIN
        self.holding = holding

    def add(self, chunk: bytes) -> bool:
        """Take a chunk as it came; tell whether the stream may have made more than is held."""
        self._bytes += len(chunk)
        return self._bytes > self._due_bytes

    async def extend(self) -> None:
        """Count what was made and hold more where that is needed. Raises Outran."""
        tokens = await self._count()
        held = self._held_tokens(self.holding)
        if tokens > (held if self._request.family.exact else held * DOUBT):
            await self._hold(2 * tokens)
            held = self._held_tokens(self.holding)
        bytes_each = self._bytes / max(1, tokens)
        self._due_bytes = int(bytes_each * max(held * GRACE, tokens + STEP_TOKENS))

    async def _hold(self, tokens: int) -> None:
        request, hold = self._request, self.holding.hold
        bound = with_output(request, self.holding.bound, -(-tokens // max(1, request.facts.choices)))
        amount = amount_of(request, bound)
        assert isinstance(amount, int), "what had a price for less output has one for more"
        more = hold._replace(amount_picos=amount, tokens=bound.tokens)
        asked = Resize(
            hold.hold_id, hold.attribution, hold.opened_at_us, more.amount_picos, more.tokens, hold.expires_at_us
        )
        try:
            result = await self._world.ledger.submit(asked)
        except StoreUnavailable as error:
            raise Outran(
                Refusal(Code.STORE_UNAVAILABLE, f"{self._cut()}, and the ledger cannot hold more now: {error}")
            ) from error
        match result:
            case Resized(hold=resized):
                self.holding = self.holding.resized(resized, bound)
            case Refused():
                raise Outran(
                    Refusal(Code.BUDGET_EXCEEDED, f"{self._cut()}: {explain_refusal(result, hold.opened_at_us)[1]}")
                )
            case Gone():
                raise Outran(Refusal(Code.BUDGET_EXCEEDED, f"{self._cut()}, and its hold has expired"))
            case _:
                assert_never(result)

    def _cut(self) -> str:
        provider, held = self._request.provider.name, self._held_tokens(self.holding)
        return f"the answer was cut: {provider} went beyond the {held} output tokens that were held for it"

    async def _count(self) -> int:
        return await count_output(self._request, self._reader.text(at_end=False), self._world)

    @staticmethod
    def _held_tokens(holding: Holding) -> int:
        return holding.bound.quantities["output_tokens"]
