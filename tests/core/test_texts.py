import pytest
from hypothesis import given
from hypothesis import strategies as st

from pertoken.core.texts import UNSAFE, escaped, meant, nearest, why_no_name


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("\x1b[2J", "\\x1b[2J"),
        ("\x9b", "\\x9b"),
        ("a\u202eb", "a\\u202eb"),
        ("Ärger 中", "Ärger 中"),
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


def test_the_nearest_word() -> None:
    """A misspelt word is told with the known one that is like it; one that is like none with none."""
    assert nearest("tema", ["team", "customer"]) == "team"
    assert nearest("banana", ["team", "customer"]) is None
    assert meant("tema", ["team"]) == "; did you mean 'team'?"
    assert meant("banana", ["team"]) == ""
