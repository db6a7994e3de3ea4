"""Step 9, its parts: our own headers, and refusals in the client's own wire format."""

from http import HTTPStatus

from pertoken.core.commands import Remaining, Settled
from pertoken.core.errors import Refusal
from pertoken.core.events import Event, OfCall
from pertoken.core.money import format_amount
from pertoken.ports.exchange import Exchange
from pertoken.services.call.call import Call
from pertoken.wire.format import Format

JSON = (b"content-type", b"application/json")
BODILESS = (HTTPStatus.NO_CONTENT, HTTPStatus.RESET_CONTENT, HTTPStatus.NOT_MODIFIED)


def refuse(exchange: Exchange, wire_format: Format, refusal: Refusal, call_id: str) -> None:
    """Answer with a refusal. Official SDKs raise their own exception for it, and do not retry what cannot succeed."""
    headers = [JSON, (b"x-pertoken-call-id", call_id.encode()), (b"x-pertoken-refused", str(refusal.code).encode())]
    if refusal.retry_after_s is not None:
        headers.append((b"retry-after", str(refusal.retry_after_s).encode()))
    elif refusal.status in (402, 409, 503):
        headers.append((b"x-should-retry", b"false"))
    exchange.answer(refusal.status, headers, wire_format.error(refusal))


def held_headers(call: Call, *, has_cache: bool) -> list[tuple[bytes, bytes]]:
    """Return what is known before the answer of a call that is held for. Without a cache, nothing is said of one."""
    holding = call.holding
    headers = _known(call, holding.hold.amount_picos, b"miss" if has_cache else None, call.changed)
    for one in holding.warned:
        percent = (one.held + one.spent) * 100 // one.touch.budget.limit if one.touch.budget.limit else 100
        headers.append((b"x-pertoken-budget-warning", _header_text(f"{one.touch.budget.name} at {percent} %")))
    return headers


def reused_headers(call: Call, event: Event) -> list[tuple[bytes, bytes]]:
    """Return what is said of a call that is answered from memory."""
    assert isinstance(event.of, OfCall), event
    return _known(call, 0, b"hit", event.of.changed) + settled_headers(Settled(event, None))


def _known(call: Call, held_picos: int, cache: bytes | None, changed: str | None) -> list[tuple[bytes, bytes]]:
    """Return what is said of every answer: call id, model, hold, cache, changes, folded names and warnings."""
    request = call.request
    headers = [
        (b"x-pertoken-call-id", call.call_id.encode()),
        (b"x-pertoken-model", _header_text(request.model)),
        (b"x-pertoken-held", format_amount(held_picos).encode()),
    ]
    if cache is not None:
        headers.append((b"x-pertoken-cache", cache))
    if changed is not None:
        headers.append((b"x-pertoken-changed", _header_text(changed)))
    if request.folded:
        headers.append((b"x-pertoken-folded", _header_text(", ".join(request.folded))))
    if request.warnings:
        headers += [(b"x-pertoken-warning", _header_text(warning)) for warning in request.warnings]
    return headers


def settled_headers(settled: Settled) -> list[tuple[bytes, bytes]]:
    """Return what is known once the call is settled: its cost, and what that leaves."""
    cost = format_amount(settled.event.cost_picos, settled.event.currency)
    headers = [(b"x-pertoken-cost", cost.encode()), *remaining_header(settled.tightest)]
    if settled.event.price_picos is not None:
        headers.append((b"x-pertoken-price", format_amount(settled.event.price_picos, settled.event.currency).encode()))
    return headers


def remaining_header(tightest: Remaining | None) -> list[tuple[bytes, bytes]]:
    """Return what is left of the tightest money budget the call touches; nothing when it touches none."""
    if tightest is None:
        return []
    text = format_amount(tightest.left, tightest.touch.budget.currency)
    return [(b"x-pertoken-budget-remaining", text.encode())]


def status_of_a_stream(status: int) -> int:
    """Return the status that a stream begins with: after a bodiless one its body would look like another answer."""
    return HTTPStatus.BAD_GATEWAY if status in BODILESS else status


def _header_text(text: str) -> bytes:
    """Return text that came from outside as a header value: nothing in it can end the line."""
    if text.isascii() and text.isprintable():
        return text.encode()
    return "".join(character if " " <= character <= "~" else "?" for character in text).encode()
