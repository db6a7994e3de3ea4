"""What a name may be, how any text is shown, and the known word that is nearest to a misspelt one.

A terminal obeys control characters (ESC and the C1 controls begin commands), and bidirectional controls reorder what
stands beside them. So a name that an operator makes has none, and whatever else is shown has them escaped.
"""

import difflib
import re
from collections.abc import Iterable

NAME_CHARACTERS_MAX = 256
TAGS_MAX = 20  # of a key, and of a call

# C0 and C1 controls, line and paragraph separators, bidirectional controls; and halves of surrogate pairs.
UNSAFE_CLASS = r"\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069"
UNSAFE = re.compile(rf"[{UNSAFE_CLASS}\ud800-\udfff]")
NEAR = 0.7  # of difflib's ratio: one or two letters of a word


def escaped(text: str, *, keep: str = "") -> str:
    """Return a text as it may be shown: each unsafe character that is not in `keep` as its escape."""
    if text.isascii() and text.isprintable():
        return text
    return UNSAFE.sub(lambda found: found[0] if found[0] in keep else _escape(found[0]), text)


def why_no_name(text: str, what: str = "the name") -> str | None:
    """Return why a text cannot be a name that an operator makes, None when it can."""
    if not text:
        return f"{what} must not be empty"
    if len(text) > NAME_CHARACTERS_MAX:
        return f"{what} has {len(text):,} characters; it may have at most {NAME_CHARACTERS_MAX} characters"
    unsafe = UNSAFE.search(text)
    if unsafe is not None:
        return f"{what} has a control character, {_escape(unsafe[0])}; write it without: {escaped(text)!r}"
    if text != text.strip():
        return f"{what} begins or ends with a blank, or is blank: {text!r}"
    return None


def nearest(word: str, known: Iterable[str], near: float = NEAR) -> str | None:
    """Return the known word that is most like a misspelt one, None when none is much like it."""
    found = difflib.get_close_matches(word[:NAME_CHARACTERS_MAX], list(known), 1, near)
    return found[0] if found else None


def meant(word: str, known: Iterable[str]) -> str:
    """Return a question to end a message with, "; did you mean 'team'?"; nothing when no known word is near."""
    near = nearest(word, known)
    return "" if near is None else f"; did you mean {near!r}?"


def _escape(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
