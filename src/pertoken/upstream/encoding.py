"""Decodes Content-Encoding within limits, whole or piece by piece. It does no I/O.

codec = decoder(b"gzip")
text = codec.feed(piece) + ... + codec.flush()
"""

import zlib
from typing import Final, Protocol

from pertoken.upstream.errors import BodyTooLarge, DecodingFailed

OUTPUT_BYTES_MAX: Final = 64 * 1024 * 1024
RATIO_MAX: Final = 200  # output bytes per input byte; model output stays below 20, deflate can reach 1032
_RATIO_FREE_BYTES: Final = 1024 * 1024  # up to this much output, the ratio is not checked
_STEP_BYTES: Final = 256 * 1024  # decoded bytes between two checks of the limits
_GZIP: Final = 16 + zlib.MAX_WBITS
_ZLIB: Final = zlib.MAX_WBITS
_RAW: Final = -zlib.MAX_WBITS


class Decoder(Protocol):
    """A decoder of one body."""

    def feed(self, data: bytes) -> bytes:
        """Return the decoded bytes, which may be empty. Raises DecodingFailed or BodyTooLarge."""

    def flush(self) -> bytes:
        """Return the last decoded bytes at the end of the body. Raises DecodingFailed if the body ends too early."""


def decoder(
    content_encoding: bytes, *, output_bytes_max: int = OUTPUT_BYTES_MAX, ratio_max: int = RATIO_MAX
) -> Decoder | None:
    """Return a decoder for the value of a Content-Encoding field; b"" if there is no such field.

    Return None for any encoding or list of encodings other than identity, gzip and deflate. The caller may pass such
    bytes on, but cannot read them.
    """
    name = content_encoding.strip().lower()
    if name in (b"", b"identity"):
        return _Identity(output_bytes_max)
    if name in (b"gzip", b"x-gzip"):
        return _Inflater(_GZIP, output_bytes_max, ratio_max)
    if name == b"deflate":
        return _Inflater(_ZLIB, output_bytes_max, ratio_max)
    return None


class _Identity:
    """Passes bytes through and enforces the size limit."""

    def __init__(self, output_bytes_max: int) -> None:
        self._output_bytes_max = output_bytes_max
        self._output_bytes = 0

    def feed(self, data: bytes) -> bytes:
        self._output_bytes += len(data)
        if self._output_bytes > self._output_bytes_max:
            raise _too_large(self._output_bytes_max)
        return data

    def flush(self) -> bytes:
        return b""


class _Inflater:
    """Decodes gzip (RFC 1952, any number of members), or deflate (zlib, RFC 1950, or raw as some servers send it)."""

    def __init__(self, window: int, output_bytes_max: int, ratio_max: int) -> None:
        self._window = window
        self._inner = zlib.decompressobj(window)
        self._output_bytes_max = output_bytes_max
        self._ratio_max = ratio_max
        self._input_bytes = 0
        self._output_bytes = 0
        self._first = b""  # the first byte of a deflate body; two bytes are needed to tell zlib from raw deflate
        self._started = False  # whether any byte of the current member was seen

    def feed(self, data: bytes) -> bytes:
        self._input_bytes += len(data)
        if self._window == _ZLIB and not self._started:
            data = self._first + data
            if len(data) < 2:
                self._first = data
                return b""
            if not _is_zlib(data):
                self._window = _RAW
                self._inner = zlib.decompressobj(_RAW)
        pieces: list[bytes] = []
        while data:
            if self._inner.eof:
                data = self._next_member(data)
                continue
            self._started = True
            pieces.append(self._step(data))
            data = self._inner.unused_data if self._inner.eof else self._inner.unconsumed_tail
        return b"".join(pieces)

    def flush(self) -> bytes:
        # After a full step, zlib may still hold decoded bytes although no input is left.
        pieces: list[bytes] = []
        while self._started and not self._inner.eof:
            piece = self._step(b"")
            if not piece:
                break
            pieces.append(piece)
        if (self._started or self._first) and not self._inner.eof:
            raise DecodingFailed("the encoded body ends too early", sent=True)
        return b"".join(pieces)

    def _step(self, data: bytes) -> bytes:
        try:
            piece = self._inner.decompress(data, _STEP_BYTES)
        except zlib.error as error:
            raise DecodingFailed(f"the encoded body is corrupt: {error}", sent=True, cause=error) from error
        self._output_bytes += len(piece)
        if self._output_bytes > self._output_bytes_max:
            raise _too_large(self._output_bytes_max)
        if self._output_bytes > max(_RATIO_FREE_BYTES, self._input_bytes * self._ratio_max):
            message = f"the body grows by more than the limit when decoded: {self._ratio_max} times"
            raise BodyTooLarge(message, sent=True)
        return piece

    def _next_member(self, data: bytes) -> bytes:
        """Start the next gzip member. Zero bytes after the last member are padding, as for gzip itself."""
        if self._window != _GZIP:
            raise DecodingFailed("bytes follow the end of the encoded body", sent=True)
        rest = data.lstrip(b"\0")
        if rest:
            self._inner = zlib.decompressobj(_GZIP)
        return rest


def _is_zlib(data: bytes) -> bool:
    """Tell whether data starts with a zlib header (RFC 1950, 2.2: method 8, two-byte checksum), not raw deflate."""
    return data[0] & 0x0F == 8 and (data[0] << 8 | data[1]) % 31 == 0


def _too_large(bytes_max: int) -> BodyTooLarge:
    return BodyTooLarge(f"the decoded body is larger than {bytes_max} bytes", sent=True)
