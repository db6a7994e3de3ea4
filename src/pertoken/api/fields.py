"""Fields shared by several resources: texts, times, pages and their cursors."""

import base64
import binascii
from collections.abc import Callable, Iterable
from typing import Annotated, Any, TypeVar

import msgspec

from pertoken.api.problem import ApiRefused, Problem
from pertoken.core.periods import FOREVER_US, TIMES_END_US, NotATime, format_time, parse_time
from pertoken.core.texts import UNSAFE_CLASS

T = TypeVar("T")

TEXT_MAX = 256
CURSOR_MAX = 2_000
PAGE_MAX = 1_000

# No control characters; what follows the end keeps a last line feed from slipping through.
_PRINTABLE = rf"^[^{UNSAFE_CLASS}]+$(?!\n)"
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=TEXT_MAX, pattern=_PRINTABLE)]
PLAIN = _PRINTABLE.replace("+$", "*$")  # of a text that may be empty
Instant = Annotated[str, msgspec.Meta(extra_json_schema={"format": "date-time"})]  # RFC 3339, in UTC

# Schema details that msgspec does not check: the code that reads these texts checks them and has clearer messages.
_YEAR = r"(19[789]\d|[2-8]\d{3}|9[0-8]\d{2}|99[0-8]\d|999[0-7])"  # the years for which calendar windows can be computed
_CLOCK = r"T\d{2}:\d{2}:[0-5]\d(\.\d{1,6})?(Z|[+-]\d{2}:\d{2})"
_DATE = {"format": "date", "pattern": rf"^{_YEAR}-\d{{2}}-\d{{2}}$"}
_TIME = {"format": "date-time", "pattern": rf"^{_YEAR}-\d{{2}}-\d{{2}}{_CLOCK}$"}
Time = Annotated[
    str, msgspec.Meta(description="A date or a time (RFC 3339).", extra_json_schema={"anyOf": [_DATE, _TIME]})
]
GivenInstant = Annotated[str, msgspec.Meta(description="A time (RFC 3339).", extra_json_schema=_TIME)]
Amount = Annotated[str, msgspec.Meta(description="A decimal in the currency's major unit, exact.")]
DecimalText = Annotated[str, msgspec.Meta(max_length=100, extra_json_schema={"pattern": r"^[0-9]+(\.[0-9]+)?$(?!\n)"})]
Cursor = Annotated[
    str,
    msgspec.Meta(
        max_length=CURSOR_MAX,
        description="`next_cursor` of the previous page.",
        extra_json_schema={"pattern": "^[A-Za-z0-9_-]+$(?!\n)"},
    ),
]
PageLimit = Annotated[int, msgspec.Meta(ge=1, le=PAGE_MAX, description="Rows of one page.")]
CountField = Annotated[int, msgspec.Meta(ge=0)]


class NoQuery(msgspec.Struct, forbid_unknown_fields=True):
    """A path that takes no parameters."""


class PageQuery(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Which part of a list is requested."""

    limit: PageLimit = 100
    cursor: Cursor | None = None


def page(
    rows: Iterable[T], place: Callable[[T], tuple[Any, ...]], query: PageQuery, kinds: tuple[type, ...]
) -> tuple[list[T], str | None]:
    """Return the rows of one page, and the cursor of the next page; None at the end.

    `kinds` are the types of a place's parts. Raises ApiRefused for an invalid cursor.
    """
    placed = sorted(((place(row), row) for row in rows), key=lambda one: one[0])
    if query.cursor is not None:
        after = read_cursor(query.cursor, kinds)
        placed = [one for one in placed if one[0] > after]
    shown = placed[: query.limit]
    return [row for _, row in shown], write_cursor(shown[-1][0]) if len(placed) > len(shown) else None


def write_cursor(place: tuple[Any, ...]) -> str:
    """Return a place in a list as opaque text."""
    return base64.urlsafe_b64encode(msgspec.json.encode(place)).decode().rstrip("=")


def read_cursor(text: str, kinds: tuple[type, ...]) -> tuple[Any, ...]:
    """Return the place in the list that a cursor stands for. Raises ApiRefused."""
    try:
        padded = text.encode("ascii") + b"=" * (-len(text) % 4)
        place = msgspec.json.decode(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (ValueError, binascii.Error, msgspec.DecodeError, RecursionError) as error:
        raise _no_cursor() from error
    if not isinstance(place, list) or tuple(map(type, place)) != kinds:
        raise _no_cursor()
    if any(isinstance(part, int) and abs(part) >= 2**63 for part in place):
        raise _no_cursor()
    return tuple(place)


def read_time(text: str | None, param: str) -> int | None:
    """Return an instant; for a plain date, the start of that day in UTC. Raises ApiRefused."""
    if text is None:
        return None
    try:
        at_us = parse_time(text)
    except (NotATime, OverflowError) as error:
        raise ApiRefused(Problem.INVALID_PARAMETER, f"not a time: {text!r}; use 2026-11-23T10:00:00Z", param) from error
    if not 0 <= at_us < TIMES_END_US:
        raise ApiRefused(Problem.INVALID_PARAMETER, f"{param} is not between 1970 and 9999", param)
    return at_us


def format_some(at_us: int | None) -> str | None:
    """Return the text of an instant, or None."""
    return None if at_us is None or at_us >= FOREVER_US else format_time(at_us)


def _no_cursor() -> ApiRefused:
    return ApiRefused(Problem.INVALID_PARAMETER, "not a cursor of this list; start without one", "cursor")
