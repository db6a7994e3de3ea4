"""Step 8, a part: what the provider's own usage object tells of how its tokens divide: see `core.untold`."""

from pertoken.core.usage import Reading
from pertoken.services.call.relay import dialect
from pertoken.services.call.request import Request
from pertoken.wire import usage_table
from pertoken.wire.content import as_dict, parse

_SHORT = ("cache_creation", "ephemeral_5m_input_tokens")


def text_told(request: Request, reading: Reading) -> dict[str, int]:
    """Return how many tokens of each side are told to be text."""
    return usage_table.plain(dialect(request), as_dict(parse(reading.raw)))


def short_told(reading: Reading) -> int | None:
    """Return how many tokens are told to be kept in a cache for a short time, None where nothing is told."""
    value = usage_table.value_at(_SHORT, parse(reading.raw))
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    return value if isinstance(value, int) else None
