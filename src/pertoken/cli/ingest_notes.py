"""Notes about suspicious lines that were imported: how many there are, and which is the first."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pertoken.core.periods import US_PER_SECOND, format_time

# The fields of an event that are read; all others are ignored.
EVENT_FIELDS = frozenset(
    (
        "id", "source", "at", "provider", "model", "usage", "by_model", "key", "team", "customer", "user",
        "conversation", "tags", "service_tier", "batch", "speed", "region",
    )
)  # fmt: skip
AHEAD_US = 300 * US_PER_SECOND  # the most by which the clocks of two machines may differ
TEXT_MAX = 60  # characters shown of a name or a time

UNKNOWN, ZONELESS, FUTURE, UNPRICED = "unknown_field", "time_without_zone", "future_time", "unpriced"
_SAID = {
    UNKNOWN: "unknown fields, which were ignored",
    ZONELESS: "a time without a zone, which was read as UTC",
    FUTURE: "a time in the future; it was imported anyway",
    UNPRICED: "no price yet; it was imported anyway",
}


class Notes:
    """Counts suspicious lines by the reason."""

    def __init__(self, now_us: int) -> None:
        self._latest_us = now_us + AHEAD_US
        self._found: dict[str, tuple[int, int, str]] = {}  # code -> number of lines, the first line, its text

    def see_fields(self, line: int, fields: Mapping[str, Any]) -> None:
        """Check the fields of an imported line."""
        if not fields.keys() <= EVENT_FIELDS:
            self._add(UNKNOWN, line, min(fields.keys() - EVENT_FIELDS))
        at = fields.get("at")
        if isinstance(at, str) and not at.endswith("Z") and datetime.fromisoformat(at).tzinfo is None:
            self._add(ZONELESS, line, at)

    def see_time(self, line: int, occurred_at_us: int) -> None:
        """Check the time of an imported line."""
        if occurred_at_us > self._latest_us:
            self._add(FUTURE, line, format_time(occurred_at_us))

    def add_unpriced(self, lines: int, first: int, reason: str) -> None:
        """Record how many events have no price, and why the first one has none."""
        if lines:
            self._found[UNPRICED] = (lines, first, reason)

    def rows(self) -> list[dict[str, Any]]:
        """Return the notes, for JSON."""
        return [
            {"code": code, "lines": lines, "first_line": first, "example": example}
            for code, (lines, first, example) in self._found.items()
        ]

    def sentences(self) -> list[str]:
        """Return the notes, for people."""
        return [
            f"note: {lines:,} {'line has' if lines == 1 else 'lines have'} {_SAID[code]}; the first is line {first}: "
            f"{example}"
            for code, (lines, first, example) in self._found.items()
        ]

    def _add(self, code: str, line: int, example: str) -> None:
        lines, first, shown = self._found.get(code, (0, line, example[:TEXT_MAX]))
        self._found[code] = (lines + 1, first, shown)
