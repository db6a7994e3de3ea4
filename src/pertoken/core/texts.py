"""Rules for names, how to show any text, and the known word nearest to a misspelt one.

A terminal obeys control characters (ESC and the C1 controls begin commands), and bidirectional controls reorder what
stands beside them. So a name that an operator makes has none, and whatever else is shown has them escaped.

Two names that look alike are a trap on a bill. So a name that an operator makes

- has no invisible characters: what Unicode calls default-ignorable, the tags among them, and blanks other than the
  plain one and the ideographic one. Where writing needs one it stays: the joiners U+200C and U+200D between Arabic
  letters and after a virama (Persian, Hindi and others; the rule of RFC 5892 appendix A, its joining types taken as
  "an Arabic letter on both sides"), U+200D between emoji, and U+FE0F behind a symbol;
- is in Unicode's composed form (NFC), so that one "é" is not written in two ways. Compatibility forms (NFKC) are not
  folded: a full-width letter looks different;
- has no word in which Latin letters stand together with Cyrillic or Greek ones that look like Latin ones. Words of
  different scripts may stand side by side. A word all of whose letters are Cyrillic is a word, whatever it looks like.

What a call or a report names is not refused for its looks: `tidy` leaves out what is invisible and composes the rest.
"""

import difflib
import re
import unicodedata
from collections.abc import Iterable

NAME_CHARACTERS_MAX = 256
TAGS_MAX = 20  # of a key, and of a call

# C0 and C1 controls, line and paragraph separators, bidirectional controls; and halves of surrogate pairs.
UNSAFE_CLASS = r"\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069"
UNSAFE = re.compile(rf"[{UNSAFE_CLASS}\ud800-\udfff]")
# Default-ignorable characters (Unicode 15, DerivedCoreProperties.txt) that are not unsafe already, blanks that look
# like the plain one, and the blank pattern of Braille.
_UNSEEN = re.compile(
    r"[\xa0\xad\u034f\u115f\u1160\u1680\u17b4\u17b5\u180b-\u180f\u2000-\u200d\u202f\u205f-\u2065"
    r"\u206a-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3"
    r"\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
_NON_JOINER, _JOINER, _EMOJI_SELECTOR, _KEYCAP = "\u200c", "\u200d", "\ufe0f", "\u20e3"
_SKIN_TONES = frozenset("\U0001f3fb\U0001f3fc\U0001f3fd\U0001f3fe\U0001f3ff")
_VIRAMA = 9  # its combining class
_WORD = re.compile(r"[^\W\d_]+")
# Letters of other scripts that look like Latin ones (Unicode's confusables.txt, those of everyday fonts).
_LIKE_LATIN = frozenset(
    "аеорсухіјѕһԁԛԝүӏАВЕКМНОРСТУХІЈЅԌԚԜҮӀ"  # Cyrillic
    "ΑΒΕΖΗΙΚΜΝΟΡΤΥΧοανιρυχϲϳ"  # Greek
)
NEAR = 0.7  # of difflib's ratio: one or two letters of a word


def escaped(text: str, *, keep: str = "") -> str:
    """Return a text as it may be shown: each unsafe or needless invisible character not in `keep` as its escape."""
    if text.isascii() and text.isprintable():
        return text
    seen = _UNSEEN.sub(lambda found: found[0] if _is_needed(text, found.start()) else _escape(found[0]), text)
    return UNSAFE.sub(lambda found: found[0] if found[0] in keep else _escape(found[0]), seen)


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
    return None if text.isascii() else _why_like_another(text, what)


def tidy(text: str) -> str:
    """Return a name from a call or a report in the form in which it is stored.

    That is without what nobody sees or a terminal obeys, without blanks around it, and composed.
    """
    if text.isascii():
        return (text if text.isprintable() else UNSAFE.sub("", text)).strip()
    return unicodedata.normalize("NFC", _without_unseen(UNSAFE.sub("", text))).strip()


def unseen(text: str) -> str | None:
    """Return the first invisible character that the script of a text does not need, or None."""
    if text.isascii():
        return None
    return next((text[found.start()] for found in _UNSEEN.finditer(text) if not _is_needed(text, found.start())), None)


def lookalike(text: str) -> str | None:
    """Return the first letter that resembles a Latin one in a word with Latin letters, or None."""
    if text.isascii():
        return None
    words: list[str] = _WORD.findall(text)
    for word in words:
        strange = [letter for letter in word if letter in _LIKE_LATIN]
        if strange and any(unicodedata.name(letter, "").startswith("LATIN") for letter in word):
            return strange[0]
    return None


def nearest(word: str, known: Iterable[str], near: float = NEAR) -> str | None:
    """Return the known word that is most like a misspelt one, None when none is much like it."""
    found = difflib.get_close_matches(word[:NAME_CHARACTERS_MAX], list(known), 1, near)
    return found[0] if found else None


def meant(word: str, known: Iterable[str]) -> str:
    """Return a question to end a message with, "; did you mean 'team'?"; nothing when no known word is near."""
    near = nearest(word, known)
    return "" if near is None else f"; did you mean {near!r}?"


def _why_like_another(text: str, what: str) -> str | None:
    """Return why a name would look like another, None when it would not."""
    found = unseen(text)
    if found is not None:
        return f"{what} has an invisible character, {_named(found)}; write it without: {tidy(text)!r}"
    if not unicodedata.is_normalized("NFC", text):
        return f"{what} is not in Unicode's composed form (NFC); write it so: {tidy(text)!r}"
    found = lookalike(text)
    if found is not None:
        return f"{what} mixes scripts in a word: {found!r} is {_named(found)}; write the word in one script"
    return None


def _without_unseen(text: str) -> str:
    return _UNSEEN.sub(lambda found: _instead(text, found.start()), text)


def _instead(text: str, at: int) -> str:
    """Return what is kept of an invisible character: itself where it is needed, of a blank a plain one."""
    character = text[at]
    if _is_needed(text, at):
        return character
    return " " if unicodedata.category(character) == "Zs" else ""


def _is_needed(text: str, at: int) -> bool:
    """Tell whether an invisible character is part of how something is written."""
    character, before, after = text[at], text[at - 1 : at], text[at + 1 : at + 2]
    if not before:
        return False
    if character == _EMOJI_SELECTOR:
        return after == _KEYCAP or unicodedata.category(before) in ("So", "Sm")
    if character not in (_JOINER, _NON_JOINER):
        return False
    if unicodedata.combining(before) == _VIRAMA:
        return True
    if character == _NON_JOINER:
        return after != "" and unicodedata.bidirectional(before) == unicodedata.bidirectional(after) == "AL"
    is_emoji = before == _EMOJI_SELECTOR or before in _SKIN_TONES or unicodedata.category(before) == "So"
    return is_emoji and after != "" and unicodedata.category(after) == "So"


def _named(character: str) -> str:
    name = unicodedata.name(character, "")
    return f"U+{ord(character):04X} {name}".rstrip()


def _escape(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
