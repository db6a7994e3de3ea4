"""The provider's own record: what it would bill by API key and model, and the last calls as received."""

from collections import deque
from typing import Any, NamedTuple

CALLS_KEPT = 1_000


class ServedTokens(NamedTuple):
    """The usage of one answer; totals are inclusive."""

    input_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    web_searches: int = 0


class ServedLedger:
    """The provider's own count."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Delete all records."""
        self._sums: dict[tuple[str, str], list[int]] = {}
        self._calls: deque[dict[str, Any]] = deque(maxlen=CALLS_KEPT)

    def arrived(self, call: dict[str, Any]) -> None:
        """Record a call as received."""
        self._calls.appendleft(call)

    def serve(self, api_key: str, model: str, used: ServedTokens, *, aborted: bool = False) -> None:
        """Record one answer that would be billed."""
        row = self._sums.setdefault((api_key, model), [0] * (len(ServedTokens._fields) + 2))
        row[0] += 1
        row[1] += aborted
        for at, quantity in enumerate(used, start=2):
            row[at] += quantity

    def invoice(self) -> dict[str, Any]:
        """Return everything that would be billed."""
        names = ("calls", "aborted", *ServedTokens._fields)
        rows = [
            {"api_key": api_key, "model": model, **dict(zip(names, sums, strict=True))}
            for (api_key, model), sums in sorted(self._sums.items())
        ]
        return {"calls": sum(row["calls"] for row in rows), "by": rows}

    def calls(self) -> list[dict[str, Any]]:
        """Return the last CALLS_KEPT calls as received, the newest first."""
        return list(self._calls)
