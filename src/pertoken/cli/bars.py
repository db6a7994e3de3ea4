"""Bars drawn with characters: blocks and eighths of blocks, or # if the output cannot show them."""

from decimal import Decimal
from typing import NamedTuple

BLOCKS = " ▏▎▍▌▋▊▉█"
PLAIN = "#"


class CostBar(NamedTuple):
    """A share that a table draws as a bar; a share of zero or less has no bar."""

    part: Decimal
    whole: Decimal


def draw_bar(bar: CostBar, width: int, encoding: str) -> str:
    """Return a bar of at most `width` characters; a share above zero has at least the smallest mark."""
    if bar.part <= 0 or bar.whole <= 0:
        return ""
    eighths = max(1, int(min(bar.part, bar.whole) * width * 8 / bar.whole))
    if not can_print(BLOCKS, encoding):
        return PLAIN * max(1, eighths // 8)
    whole, rest = divmod(eighths, 8)
    return BLOCKS[8] * whole + (BLOCKS[rest] if rest else "")


def can_print(text: str, encoding: str) -> bool:
    """Tell whether an output of this encoding has the characters of a text."""
    try:
        text.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True
