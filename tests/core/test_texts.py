# ruff: noqa: RUF001 - these are names in other scripts, and letters that look like others
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pertoken.core.texts import UNSAFE, escaped, lookalike, meant, nearest, tidy, unseen, why_no_name


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("\x1b[2J", "\\x1b[2J"),
        ("\x9b", "\\x9b"),
        ("a\u202eb", "a\\u202eb"),
        ("Ärger 中", "Ärger 中"),
        ("ac\u200bme", "ac\\u200bme"),
        ("a\U000e0041", "a\\U000e0041"),
        ("می\u200cخواهم", "می\u200cخواهم"),
    ],
)
def test_what_a_terminal_obeys_is_escaped(text: str, shown: str) -> None:
    """Controls become their escapes, letters of any script stay."""
    assert escaped(text) == shown


@given(st.text())
def test_nothing_unsafe_is_left(text: str) -> None:
    """No text has an unsafe character once it is escaped, but for those that are kept."""
    assert UNSAFE.search(escaped(text)) is None
    assert set(UNSAFE.findall(escaped(text, keep="\n"))) <= {"\n"}


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("my app/2", None),
        ("Ärger 中", None),
        ("", "must not be empty"),
        (" ", "blank"),
        ("a ", "blank"),
        ("a\nb", "control character, \\x0a"),
        ("a\x85b", "control character, \\x85"),
        ("a\u2067b", "control character, \\u2067"),
        ("\ud800", "control character, \\ud800"),
        ("a" * 256, None),
        ("a" * 257, "at most 256"),
    ],
)
def test_names(name: str, why: str | None) -> None:
    """A name is some text without controls and without blanks around it."""
    found = why_no_name(name)

    assert (found is None) == (why is None)
    assert (why or "") in (found or "")


# What writing needs, and may look empty to a careless rule.
REAL_NAMES = [
    "می\u200cخواهم",  # Persian: a non-joiner between Arabic letters
    "क्\u200dष",  # Hindi: a joiner after a virama
    "ශ්\u200dරී ලංකා",  # Sinhala: so is the name of the country written
    "أحمد",
    "👩\u200d💻 lab",
    "👩🏽\u200d🚀",
    "❤\ufe0f",
    "1\ufe0f\u20e3",
    "山田\u3000太郎",
    "Tシャツ",
    "Яндекс Cloud",
    "ООО Ромашка",
    "Ωmega",
    "Müller & Söhne",
    "Nguyễn",
]
# Another name that looks the same, and what is said of it.
TWINS = [
    ("ac\u200bme", "U+200B ZERO WIDTH SPACE"),
    ("ac\u200cme", "U+200C"),
    ("ac\u200dme", "U+200D"),
    ("ac\u00adme", "U+00AD SOFT HYPHEN"),
    ("acme\ufeff", "U+FEFF"),
    ("ac\u2060me", "U+2060"),
    ("acme\ufe0f", "U+FE0F"),
    ("acme\U000e0061", "U+E0061"),
    ("acme\U000e0101", "U+E0101"),
    ("acme\u3164", "U+3164 HANGUL FILLER"),
    ("acme\u2800", "U+2800"),
    ("acme\u00a0inc", "U+00A0 NO-BREAK SPACE"),
    ("\u200d💻", "U+200D"),
    ("💻\u200d", "U+200D"),
    ("cafe\u0301", "composed form (NFC); write it so: 'café'"),
    ("\u0430cme", "U+0430 CYRILLIC SMALL LETTER A"),
    ("acm\u0435 inc", "U+0435"),
    ("g\u03bfogle", "U+03BF GREEK SMALL LETTER OMICRON"),
]


@pytest.mark.parametrize("name", REAL_NAMES)
def test_real_names(name: str) -> None:
    """A name in any script is a name, with the joiners that its writing needs, and is kept and shown as it is."""
    assert why_no_name(name) is None
    assert tidy(name) == escaped(name) == name


@pytest.mark.parametrize(("name", "why"), TWINS)
def test_names_that_look_like_another(name: str, why: str) -> None:
    """A name that looks like another one is refused, with the character that makes the difference."""
    assert why in (why_no_name(name) or "")


@given(st.text(alphabet=st.characters() | st.sampled_from("\u200b\u200c\u200d\ufe0f\u00ad\u0301\u094d💻")))
def test_what_is_tidied_has_nothing_unseen(text: str) -> None:
    """What is tidied has nothing unsafe, nothing invisible, no blanks around it, and is tidy already."""
    kept = tidy(text)

    assert UNSAFE.search(kept) is None
    assert unseen(kept) is None
    assert kept == kept.strip() == tidy(kept)
    assert not kept or len(kept) > 256 or lookalike(kept) or why_no_name(kept) is None


def test_the_nearest_word() -> None:
    """A misspelt word is told with the known one that is like it; one that is like none with none."""
    assert nearest("tema", ["team", "customer"]) == "team"
    assert nearest("banana", ["team", "customer"]) is None
    assert meant("tema", ["team"]) == "; did you mean 'team'?"
    assert meant("banana", ["team"]) == ""
