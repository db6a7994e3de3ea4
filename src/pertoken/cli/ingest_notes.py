"""What is said of lines that were taken in although something about them is odd: how many, and where first."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pertoken.core.periods import US_PER_SECOND, format_time

# What is read of an event; everything else in it is passed over.
EVENT_FIELDS = frozenset(
    (
        "id", "source", "at", "provider", "model", "usage", "by_model", "key", "team", "customer", "user",
        "conversation", "tags", "service_tier", "batch", "speed", "region",
    )
)  # fmt: skip
AHEAD_US = 300 * US_PER_SECOND  # how far the clocks of two machines may be apart
TEXT_MAX = 60  # of a name or a time that is shown

UNKNOWN, ZONELESS, FUTURE, UNPRICED = "unknown_field", "time_without_zone", "future_time", "unpriced"
_SAID = {
    UNKNOWN: "unknown fields, which were ignored",
    ZONELESS: "a time without a zone, which was read as UTC",
    FUTURE: "a time in the future; it was imported anyway",
    UNPRICED: "no price yet; it was imported anyway",
}


class Notes:
    """Counts lines by what is odd about them."""

    def __init__(self, now_us: int) -> None:
        self._latest_us = now_us + AHEAD_US
        self._found: dict[str, tuple[int, int, str]] = {}  # code -> lines, the first of them, what stands there

    def see_fields(self, line: int, fields: Mapping[str, Any]) -> None:
        """Look at the fields of a line that is taken in."""
        if not fields.keys() <= EVENT_FIELDS:
            self._add(UNKNOWN, line, min(fields.keys() - EVENT_FIELDS))
        at = fields.get("at")
        if isinstance(at, str) and not at.endswith("Z") and datetime.fromisoformat(at).tzinfo is None:
            self._add(ZONELESS, line, at)

    def see_time(self, line: int, occurred_at_us: int) -> None:
        """Look at the time of a line that is taken in."""
        if occurred_at_us > self._latest_us:
            self._add(FUTURE, line, format_time(occurred_at_us))

    def add_unpriced(self, lines: int, first: int, reason: str) -> None:
        """Say how many events have no price, and why the first has none."""
        if lines:
            self._found[UNPRICED] = (lines, first, reason)

    def rows(self) -> list[dict[str, Any]]:
        """Return what was found, for JSON."""
        return [
            {"code": code, "lines": lines, "first_line": first, "example": example}
            for code, (lines, first, example) in self._found.items()
        ]

    def sentences(self) -> list[str]:
        """Return what was found, for people."""
        return [
            f"note: {lines:,} {'line has' if lines == 1 else 'lines have'} {_SAID[code]}; the first is line {first}: "
            f"{example}"
            for code, (lines, first, example) in self._found.items()
        ]

    def _add(self, code: str, line: int, example: str) -> None:
        lines, first, shown = self._found.get(code, (0, line, example[:TEXT_MAX]))
        self._found[code] = (lines + 1, first, shown)
