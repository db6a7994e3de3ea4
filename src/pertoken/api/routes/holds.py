"""Open holds as a resource: who holds how much, and since when."""

import msgspec

from pertoken.api.fields import Amount, CountField, Instant, PageQuery, page
from pertoken.api.route import Asked, Route
from pertoken.core.access import Action
from pertoken.core.holds import Hold
from pertoken.core.money import format_amount
from pertoken.core.periods import format_time
from pertoken.ports.store import Opened


class HoldAnswer(msgspec.Struct, kw_only=True):
    """An amount that is reserved for a running call. `owner` is the process that serves the call."""

    call_id: str
    held: Amount
    currency: str
    tokens: CountField
    opened_at: Instant
    expires_at: Instant
    key: str | None
    key_name: str | None
    team: str | None
    customer: str | None
    user: str | None
    provider: str | None
    model: str | None
    owner: str


class HoldsAnswer(msgspec.Struct):
    """Open holds, oldest first."""

    holds: list[HoldAnswer]
    next_cursor: str | None


def list_holds(opened: Opened, asked: Asked) -> HoldsAnswer:
    """Return the open holds that the principal may see."""
    names = {key.key_id: key.name for key in opened.archive.list_keys()}
    holds = opened.archive.open_holds()
    shown, cursor = page(holds, lambda hold: (hold.opened_at_us, hold.hold_id), asked.query, (int, str))
    return HoldsAnswer([_answer(hold, names.get(hold.attribution.key or "")) for hold in shown], cursor)


def _answer(hold: Hold, key_name: str | None) -> HoldAnswer:
    of = hold.attribution
    return HoldAnswer(
        call_id=hold.hold_id,
        held=format_amount(hold.amount_picos, hold.currency),
        currency=hold.currency,
        tokens=hold.tokens,
        opened_at=format_time(hold.opened_at_us),
        expires_at=format_time(hold.expires_at_us),
        key=of.key,
        key_name=key_name,
        team=of.team,
        customer=of.customer,
        user=of.user,
        provider=of.provider,
        model=of.model,
        owner=hold.owner,
    )


ROUTES = (
    Route("GET", "/api/v1/holds", Action.HOLDS_READ, "List open holds.", list_holds, HoldsAnswer, PageQuery),
)  # fmt: skip
