"""Encrypted texts: only the same secret key and purpose read them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pertoken.store.encryption import CannotDecrypt, decrypt, encrypt

KEY = bytes(range(32))
# As it stands in the settings of an installation.
STORED = "gAAAAABrChESIPkJ5RgthQ8abDPhL9XYWxS2q2yylEiaBoE4pZp5fSEncni_UtnKMcgv-xalQjLqBui44sxED9n8jIao-F3EOg=="


@given(st.text(), st.text())
def test_a_text_comes_back(purpose: str, text: str) -> None:
    """Any text is read again with the key and the purpose it was encrypted with."""
    assert decrypt(KEY, purpose, encrypt(KEY, purpose, text)) == text


@pytest.mark.parametrize(
    ("secret_key", "purpose"),
    [(KEY[::-1], "provider keys"), (KEY, "provider key"), (KEY, "")],
    ids=["key", "purpose", "none"],
)
def test_another_key_or_purpose_reads_nothing(secret_key: bytes, purpose: str) -> None:
    """A text is not read with another secret key, nor for another purpose."""
    token = encrypt(KEY, "provider keys", "sk-1")
    with pytest.raises(CannotDecrypt):
        decrypt(secret_key, purpose, token)


def test_a_changed_token_reads_nothing() -> None:
    """A token with any letter changed, cut short, or that is no token at all is refused."""
    token = encrypt(KEY, "p", "sk-1")
    changed = [token[:at] + ("A" if token[at] != "A" else "B") + token[at + 1 :] for at in range(len(token) - 3)]
    for wrong in [*changed, token[:-4], "", "sk-1", "é"]:
        with pytest.raises(CannotDecrypt):
            decrypt(KEY, "p", wrong)


def test_what_was_stored_is_still_read() -> None:
    """A token that stands in an installation's settings is read, so that no update loses its keys."""
    assert decrypt(KEY, "provider keys", STORED) == "sk-stored"
