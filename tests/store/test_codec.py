"""JSON columns: equal values make equal text, and text makes the value again."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pertoken.store.codec import decode, decode_tags, encode, encode_pairs, encode_tags

SCALARS = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text()
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)
TAGS = st.dictionaries(st.text(), st.text()).map(lambda tags: tuple(sorted(tags.items())))


def turned(value: Any) -> Any:
    """Return an equal value whose objects were filled in the opposite order."""
    if isinstance(value, dict):
        return {name: turned(value[name]) for name in reversed(value)}
    return [turned(one) for one in value] if isinstance(value, list) else value


@given(VALUES)
def test_equal_values_have_equal_text(value: object) -> None:
    """The text of a value does not depend on the order in which its objects were filled, and is read back as it."""
    assert encode(turned(value)) == encode(value)
    assert decode(encode(value)) == value


def test_text_is_compact() -> None:
    """No blanks are stored, and letters of any script as themselves."""
    assert encode({"b": [1, None, True], "a": "é"}) == '{"a":"é","b":[1,null,true]}'
    assert encode_pairs((("b", "2"), ("a", "1"))) == '{"a":"1","b":"2"}'
    assert encode_pairs(()) == "{}"


@given(TAGS)
def test_tags_come_back_sorted(tags: tuple[tuple[str, str], ...]) -> None:
    """Tags are read as they were written; no tags take no text at all."""
    assert decode_tags(encode_tags(tags)) == tags
    assert (encode_tags(tags) == "") == (tags == ())


@pytest.mark.parametrize("text", ["{}", '{"a":"1","b":"2"}', '{"b":"2","a":"1"}'])
def test_tags_of_other_writers_are_sorted(text: str) -> None:
    """An object that is stored in another order, or empty, is read as sorted tags."""
    assert decode_tags(text) == tuple(sorted(decode(text).items()))
