"""One call: its cost and the reasons, the times of its steps, and its budgets."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from pertoken.core.access import Action
from pertoken.core.events import EventStatus
from pertoken.core.periods import US_PER_SECOND, parse_time
from pertoken.services.explain import explain
from pertoken.web import shown
from pertoken.web.budget_bars import figure
from pertoken.web.page import NotHere, Page, PageContext, Visit, place
from pertoken.web.pages.prices import address

STEPS = ("held_ms", "sent_ms", "first_byte_ms", "last_byte_ms", "settled_ms")
BARS = (
    ("holding", None, "held_ms", "until the hold was on disk"),
    ("waiting", "sent_ms", "first_byte_ms", "from sending to the first byte"),
    ("answering", "first_byte_ms", "last_byte_ms", "from the first byte to the last"),
    ("settling", "last_byte_ms", "settled_ms", "until the settlement was written"),
)
WIDTH = 700


def show(visit: Visit) -> PageContext:
    """Return everything that is known about a call. Raises NotHere."""
    found = explain(visit.opened.archive, visit.name, visit.site.folders)
    if found is None:
        raise NotHere(f"There is no call {visit.name}, or it is not yours to see.")
    last = found["attempts"][-1] if found.get("attempts") else None
    usage = last["usage"] if last else {}
    no_price = last is not None and found["status"] == EventStatus.UNPRICED and not found["lines"]
    return {
        "call": found,
        "last": last,
        "at": shown.time(parse_time(last["at"]), visit.zone, visit.now_us) if last else None,
        "bars": _bars(last["timeline"]) if last and last["timeline"] else [],
        "cost": shown.NO_PRICE if no_price else shown.amount(found.get("cost"), found.get("currency", "")),
        "to_price": _to_price(visit, last) if no_price and last else None,
        "tokens": (shown.count(usage.get("input_tokens", 0)), shown.count(usage.get("output_tokens", 0))),
        "cached": shown.share(usage.get("cache_read_tokens", 0), usage.get("input_tokens", 0)),
        "took": shown.took(_us(last["timeline"]["settled_ms"]) if last and last["timeline"] else None),
        "first_byte": shown.took(_us(last["timeline"]["first_byte_ms"]) if last and last["timeline"] else None),
        "used": _used(found),
        "key": _key(visit, found),
        "left": _left,
    }


def _key(visit: Visit, found: Mapping[str, Any]) -> tuple[shown.Figure, str | None] | None:
    """Return the name of the key that made the call, and the address of its page if the visitor may see that."""
    key_id = (found.get("attribution") or {}).get("key")
    if not key_id:
        return None
    key = next((one for one in visit.opened.archive.list_keys() if one.key_id == key_id), None)
    return shown.identity(key_id) if key is None else shown.name(key.name), key and visit.link(place("/keys", key_id))


def _left(budget: Mapping[str, Any]) -> tuple[shown.Figure, str]:
    """Return what a budget has left, and its unit."""
    return figure(budget["remaining"], budget["currency"]), budget["currency"] or budget["axis"]


def _to_price(visit: Visit, last: dict[str, Any]) -> str | None:
    """Return where somebody states what the model costs."""
    if not (last["provider"] and last["model"] and visit.may(Action.PRICES_READ)):
        return None
    return address(visit, last["provider"], last["model"])


def _us(milliseconds: int | None) -> int | None:
    return None if milliseconds is None else milliseconds * US_PER_SECOND // 1000


def _used(found: dict[str, Any]) -> shown.Figure | None:
    """Return the share of the hold that the call used."""
    held = (found.get("hold") or {}).get("held")
    return shown.share(Decimal(found["cost"]), Decimal(held)) if held and Decimal(held) else None


def _bars(timeline: dict[str, int | None]) -> list[dict[str, Any]]:
    """Return the steps as bars on one timeline."""
    whole = max((timeline[step] or 0 for step in STEPS), default=0) or 1
    bars = []
    for name, start, end, meaning in BARS:
        ends, begins = timeline[end], 0 if start is None else timeline[start]
        if ends is None or begins is None:
            continue
        width = max(3.0, (ends - begins) * WIDTH / whole)
        bars.append(
            {
                "name": name, "x": round(min(begins * WIDTH / whole, WIDTH - width), 1), "width": round(width, 1),
                "text": f"{begins:,} to {ends:,} ms, {meaning}" if begins < ends else f"at {ends:,} ms, {meaning}",
            }
        )  # fmt: skip
    return bars


PAGE = Page("/calls/{call_id}", "Call", Action.CALLS_READ, show, "pages/call.html", parent="/calls")
