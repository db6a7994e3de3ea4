"""What lines of earlier versions say, which had the fields of each record by their places, without names.

These lists never change: no line is written by them any more. Fields came only at their ends, but for an event's.
"""

from typing import Any, Final

from pertoken.store import codec

_FIELDS: Final = {
    "Hold": ("hold_id", "attribution", "amount_picos", "tokens", "opened_at_us", "expires_at_us", "owner", "currency"),
    "Void": ("hold_id", "attribution", "opened_at_us"),
    "Settle": ("hold_id", "event", "claim", "outcome", "disagreement"),
    "Claim": ("owner", "name", "request_hash"),
    "Outcome": ("status", "headers", "body", "stream"),
    "Disagreement": ("provider", "model", "measured", "reported_tokens"),
    "Measured": ("text_tokens", "counted_tokens", "byte_tokens"),
    "Attribution": ("key", "team", "customer", "user", "provider", "model", "tags", "conversation"),
    "Timeline": ("held_us", "sent_us", "first_byte_us", "last_byte_us"),
    "OfCall": ("held_picos", "overrun_picos", "late", "changed", "timeline", "attempts"),
}  # fmt: skip
_EVENT: Final = (  # what is an event of a call had a list of its own in it
    "source", "event_id", "attribution", "occurred_at_us", "recorded_at_us", "opened_at_us", "status", "completeness",
    "quantities", "currency", "cost_picos", "price_picos", "lines", "of", "model_served", "service_tier", "response_id",
    "raw", "reason", "context", "priced_as", "parts", "book_lines",
)  # fmt: skip
_EVENT_OF_ALL: Final = (  # the event of an earlier version had the fields of all kinds, the newest last
    "source", "event_id", "attribution", "occurred_at_us", "recorded_at_us", "opened_at_us", "status", "completeness",
    "quantities", "currency", "cost_picos", "price_picos", "lines", "model_served", "service_tier", "response_id",
    "raw", "reason", "changed", "body_hash", "held_picos", "overrun_picos", "late", "context", "priced_as", "parts",
    "corrects", "was_unpriced", "book_lines", "timeline", "attempts",
)  # fmt: skip
_LENGTHS: Final = (28, 29, 31)  # how many of those there were, in turn
_NO_TIMELINE: Final = 29  # where a price was 0 for want of one
_PAIRS, _JSON, _JSON_OR_NOTHING = ("tags", "context"), ("quantities", "lines"), ("parts", "book_lines")


def fields(kind: type[Any], row: list[Any]) -> dict[str, Any]:
    """Return the fields of a record by name. Raises LookupError where it has more than it ever had."""
    return _named(_FIELDS[kind.__name__], row)


def event(row: list[Any]) -> dict[str, Any]:
    """Return the values of the event of a call by the names of its columns. Raises an error where it has others."""
    if len(row) == len(_EVENT):
        found = _named(_EVENT, row)
        found |= _named(_FIELDS["OfCall"], found.pop("of"))
    else:
        if len(row) not in _LENGTHS:
            raise LookupError(f"no event of a version before had {len(row)} fields")
        found = _named(_EVENT_OF_ALL, row)
        if len(row) <= _NO_TIMELINE:
            found["price_picos"] = None
    found |= _named(_FIELDS["Attribution"], found.pop("attribution"))
    found |= _named(_FIELDS["Timeline"], found.pop("timeline", ()))
    for name in _PAIRS:
        found[name] = codec.encode_tags(tuple((key, value) for key, value in found[name]))  # compiled, it takes no list
    for name in _JSON:
        found[name] = codec.encode(found[name])
    for name in _JSON_OR_NOTHING:
        found[name] = codec.encode(found.get(name, ()))
    return found


def _named(names: tuple[str, ...], row: Any) -> dict[str, Any]:
    if len(row) > len(names):
        raise LookupError(f"{len(row)} fields, of which {len(names)} have a name")
    return dict(zip(names, row, strict=False))
