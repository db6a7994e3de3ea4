"""Decoding of bodies: round trips in any pieces, and protection against decompression bombs."""

import gzip
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pertoken.upstream.encoding import decoder
from pertoken.upstream.errors import BodyTooLarge, DecodingFailed


def raw_deflate(data: bytes) -> bytes:
    """Compress without the zlib wrapper, which some servers call deflate."""
    codec = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return codec.compress(data) + codec.flush()


PACKERS: dict[str, tuple[bytes, Callable[[bytes], bytes]]] = {
    "identity": (b"", lambda data: data),
    "named identity": (b"Identity", lambda data: data),
    "gzip": (b"gzip", gzip.compress),
    "x-gzip": (b" X-GZip ", gzip.compress),
    "two members": (
        b"gzip",
        lambda data: gzip.compress(data[: len(data) // 2]) + gzip.compress(data[len(data) // 2 :]),
    ),
    "padded": (b"gzip", lambda data: gzip.compress(data) + b"\0" * 20),
    "deflate": (b"deflate", zlib.compress),
    "raw deflate": (b"deflate", raw_deflate),
}


def decode(name: bytes, *pieces: bytes, **limits: int) -> bytes:
    """Decode a body from these pieces."""
    codec = decoder(name, **limits)
    assert codec is not None
    return b"".join([*(codec.feed(piece) for piece in pieces), codec.flush()])


@pytest.mark.parametrize("kind", PACKERS)
def test_any_pieces(kind: str) -> None:
    """A body decodes the same in one piece, byte by byte, or cut into two anywhere."""
    name, pack = PACKERS[kind]
    text = b'{"usage": {"input_tokens": 12, "output_tokens": 34}}' * 3
    packed = pack(text)

    assert decode(name, packed) == text
    assert decode(name, *(packed[at : at + 1] for at in range(len(packed)))) == text
    for cut in range(len(packed) + 1):
        assert decode(name, packed[:cut], packed[cut:]) == text


@given(st.binary(max_size=2000), st.sampled_from(sorted(PACKERS)), st.integers(1, 100))
def test_round_trip(text: bytes, kind: str, step: int) -> None:
    """Decoding returns what was compressed."""
    name, pack = PACKERS[kind]
    packed = pack(text)

    assert decode(name, *(packed[at : at + step] for at in range(0, len(packed), step))) == text


@pytest.mark.parametrize("kind", ["gzip", "deflate", "raw deflate"])
def test_more_than_a_step(kind: str) -> None:
    """A body larger than one decoding step is decoded completely."""
    name, pack = PACKERS[kind]
    text = b"".join(b"%d," % number for number in range(300_000))

    assert decode(name, pack(text)) == text


@pytest.mark.parametrize("kind", ["gzip", "deflate", "raw deflate"])
def test_empty_answer(kind: str) -> None:
    """An empty body (as after a 204) decodes to an empty body, whatever its encoding."""
    assert decode(PACKERS[kind][0]) == b""


@pytest.mark.parametrize("name", [b"br", b"zstd", b"gzip, gzip", b"deflate, gzip", b"compress", b"\xff"])
def test_unknown(name: bytes) -> None:
    """Unknown encodings have no decoder."""
    assert decoder(name) is None


@pytest.mark.parametrize("kind", ["identity", "gzip", "two members", "deflate", "raw deflate"])
def test_output_limit(kind: str) -> None:
    """Output is refused above the limit and returned at the limit."""
    name, pack = PACKERS[kind]
    packed = pack(b"x" * 5000)

    assert len(decode(name, packed, output_bytes_max=5000)) == 5000
    with pytest.raises(BodyTooLarge, match="larger than 4999 bytes"):
        decode(name, packed, output_bytes_max=4999)


@pytest.mark.parametrize("kind", ["gzip", "deflate", "raw deflate"])
def test_bomb(kind: str) -> None:
    """A body with too high a compression ratio is refused early, long before it fills memory."""
    name, pack = PACKERS[kind]
    codec = decoder(name)
    assert codec is not None
    with pytest.raises(BodyTooLarge, match="grows by more than the limit"):
        codec.feed(pack(b"\0" * 50_000_000))
    assert codec.__getattribute__("_output_bytes") < 20_000_000


@pytest.mark.parametrize(
    ("name", "body"),
    [
        (b"gzip", b"not gzip at all"),
        (b"gzip", gzip.compress(b"hello")[:-1]),
        (b"gzip", gzip.compress(b"hello")[:5]),
        (b"gzip", gzip.compress(b"hello") + b"trailing"),
        (b"gzip", gzip.compress(b"hello")[:-8] + b"\0" * 8),
        (b"deflate", zlib.compress(b"hello")[:-1]),
        (b"deflate", zlib.compress(b"hello") + b"x"),
        (b"deflate", b"\xff\xff\xff\xff"),
        (b"deflate", b"x"),
    ],
    ids=range(9),  # gzip writes the time into its head, but the ids of tests must be stable
)
def test_corrupt(name: bytes, body: bytes) -> None:
    """A corrupt or cut body causes DecodingFailed and never returns a short text."""
    with pytest.raises(DecodingFailed):
        decode(name, body)
