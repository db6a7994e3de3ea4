"""Request bodies: which ones are refused, and what a rewrite keeps."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pertoken.wire import body
from pertoken.wire.format import BadRequest

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


class _Shape(msgspec.Struct):
    model: str
    max_tokens: int | None = None


SHAPE = msgspec.json.Decoder(_Shape)


@pytest.mark.parametrize(
    ("data", "param", "words"),
    [
        (b"", None, "not valid json"),
        (b"{", None, "not valid json"),
        (b"[]", None, "wrong shape"),
        (b"{}", None, "missing required field `model`"),
        (b'{"model":3}', "model", "expected `str`, got `int`"),
        (b'{"model":"m","max_tokens":"x"}', "max_tokens", "got `str`"),
        (b'{"model":"m","a":NaN}', None, "not valid json"),
        (b'{"model":"\xff"}', None, "not valid json"),
        (b'{"model":"m","a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", None, "not valid json"),
    ],
)
def test_what_is_no_request(data: bytes, param: str | None, words: str) -> None:
    """The refusal of an invalid body names the fault and the field."""
    with pytest.raises(BadRequest, match=words) as caught:
        body.decode(SHAPE, data)

    assert caught.value.param == param


@pytest.mark.parametrize(
    "data",
    [
        b'{"a":1,"a":2}',
        b'{"a" :1,"b":1,"b":2}',
        b'{"a":1,"\\u0061":2}',
        b'{"m":[{"content":"long","content":"short"}]}',
        b'{"m":[{"c":[{"text":"a","text":"b"}]}],"say":"x"}',
        b'{"a":{"b" : 1, "b"\n:2}, "c":3}',
    ],
)
def test_a_field_given_twice(data: bytes) -> None:
    """A repeated field is refused at any depth, because a provider may read the other value."""
    with pytest.raises(BadRequest, match="twice"):
        body.decode_object(data)


@given(st.dictionaries(st.text(max_size=5), JSON, max_size=5), st.sampled_from([None, 1]))
def test_what_has_each_field_once_is_read(value: dict[str, object], indent: int | None) -> None:
    """A body without repeated fields is never refused for a repeated field, whatever its texts are."""
    assert body.decode_object(json.dumps(value, indent=indent).encode()) == value


@pytest.mark.parametrize("depth", [body.DEPTH_MAX + 1, 900, 5_000])
def test_deep_nesting(depth: int) -> None:
    """A body that nests deeper than DEPTH_MAX is refused, whether or not the decoder could read it."""
    with pytest.raises(BadRequest):
        body.decode_object(b'{"a":' + b"[" * depth + b"]" * depth + b"}")


def test_depth_in_use() -> None:
    """The nesting of real schemas is accepted."""
    assert body.decode_object(b'{"a":' + b"[" * 100 + b"]" * 100 + b"}")


@given(st.dictionaries(st.text(max_size=8), JSON, max_size=8), JSON)
def test_other_fields_keep_their_bytes(fields: dict[str, object], value: object) -> None:
    """Replacing one field keeps the bytes of all other values, including odd spacing."""
    written = {key: json.dumps(entry, indent=1).encode() for key, entry in fields.items()}
    given_body = b"{" + b" ,\t".join(json.dumps(key).encode() + b" : " + raw for key, raw in written.items()) + b"}"

    replaced = body.replace_fields(given_body, {"max_tokens": value})

    kept = msgspec.json.decode(replaced, type=dict[str, msgspec.Raw])
    assert json.loads(bytes(kept.pop("max_tokens"))) == value
    assert {key: bytes(raw) for key, raw in kept.items()} == {
        key: raw for key, raw in written.items() if key != "max_tokens"
    }


def test_nothing_to_replace() -> None:
    """Without a change, the body is returned as the same object, without a copy."""
    data = b'{"a" : 1}'

    assert body.replace_fields(data, {}) is data


def test_duplicate_keys() -> None:
    """The last value of a repeated key counts, as for providers, and only that one is kept after a rewrite."""
    data = b'{"model":"a","model":"b"}'

    assert body.decode(SHAPE, data).model == "b"
    assert body.replace_fields(data, {"x": 1}) == b'{"model":"b","x":1}'


@pytest.mark.parametrize(("value", "count"), [(None, None), (0, 0), (7, 7), (7.0, 7)])
def test_counts(value: object, count: int | None) -> None:
    """Whole numbers are counts, including floats such as 100.0."""
    assert body.optional_count(value, "n") == count
    assert body.positive_count(value, "n") == (count or None)


@pytest.mark.parametrize("value", [-1, 1.5, True, "7", [], 2**53 + 1, 1e300])
def test_no_counts(value: object) -> None:
    """Any other value is refused; the message has the field's name and the value."""
    with pytest.raises(BadRequest) as caught:
        body.optional_count(value, "n")

    assert caught.value.param == "n"
