"""The number of values of a body: a quick bound that is never too low, and a count that ignores texts."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pertoken.wire import structure
from pertoken.wire.format import BadRequest
from pertoken.wire.structure import BLOCK_BYTES, check, count_values, values_bound

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.sampled_from('"\\{}[],: ab\u00e9\n')),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(st.sampled_from('"\\,{[a')), inner, max_size=4),
    max_leaves=40,
)
MANY = 10**9


def values_of(value: Any) -> int:
    """Return how many values a parsed value has. An empty container counts as if it held one value."""
    if isinstance(value, dict):
        return 1 + sum(map(values_of, value.values())) if value else 2
    if isinstance(value, list):
        return 1 + sum(map(values_of, value)) if value else 2
    return 1


@given(value=JSON, spaced=st.booleans(), plain=st.booleans())
def test_texts_are_no_structure(value: Any, spaced: bool, plain: bool) -> None:
    """The count equals that of the parsed value, whatever is in texts, and the bound is not lower."""
    separators = (" , ", " : ") if spaced else (",", ":")
    body = json.dumps(value, separators=separators, ensure_ascii=plain).encode()

    counted = count_values(body, MANY)
    assert counted == values_of(value)
    assert values_bound(body, MANY) >= counted - 1
    assert (values_bound(body, 5) > 5) is (values_bound(body, MANY) > 5)


@pytest.mark.parametrize("shift", range(6))
def test_a_text_across_blocks(shift: int) -> None:
    """A text, an escape or a quote that crosses two blocks is read like any other."""
    text = "," * (BLOCK_BYTES - 4 - shift) + '"\\",' * 3 + "{" * BLOCK_BYTES
    body = json.dumps([text, 1, [2]]).encode()

    assert count_values(body, MANY) == 5


def test_an_honest_long_prompt() -> None:
    """A text full of brackets and commas is one value."""
    body = json.dumps({"messages": [{"content": json.dumps([{"a": [1, 2]}] * 50_000)}]}).encode()

    assert values_bound(body, MANY) > 100_000
    check(body, 10)


@pytest.mark.parametrize(
    "body",
    [
        b"[" + b"{}," * 50_000 + b"{}]",
        b"[" * 50_000,
        b'{"a":1' + b',"b":2' * 50_000 + b"}",
        b"[1" + b",1" * 50_000 + b"]",
    ],
    ids=["objects", "depth", "keys", "numbers"],
)
def test_too_much_structure(body: bytes) -> None:
    """A body with too many values is refused; the error names the limit and the setting that raises it."""
    with pytest.raises(BadRequest, match=r"more than 40000 values .* limits\.body_values_max"):
        check(body, 40_000)
    check(body, 100_003)


def test_counting_ends_when_it_is_enough() -> None:
    """If the first blocks of a body have too many values, the rest is not counted."""
    block = b"{}," * BLOCK_BYTES

    assert count_values(block * 10, BLOCK_BYTES // 2) <= 2 * BLOCK_BYTES
    assert count_values(block * 10, MANY) > 10 * BLOCK_BYTES


def test_a_body_below_the_bound_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a body whose bound is above the limit is counted exactly."""
    monkeypatch.setattr(structure, "count_values", lambda *_: pytest.fail("counted"))
    check(b"[1,2,3]", 3)
