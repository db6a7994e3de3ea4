"""The size of inline media, read from the head of their base64 text: pixels of a picture, duration of a sound.

The size decides how much money is held, so it is never guessed. If a head is broken, unknown or contradictory, there is
no size, and the hold is for the largest.
Formats: PNG (W3C), GIF89a, JPEG (ITU T.81), WebP (RFC 9649), WAV (RIFF, PCM only).
"""

import base64
import binascii
from typing import NamedTuple

HEAD_CHARACTERS = 256 * 1024  # base64 characters, a multiple of four; a camera's JPEG has previews before its size

_PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR"
_GIF = (b"GIF87a", b"GIF89a")
_SIDE_MAX = 2**24  # pixels; a larger side is not believed
# Frames whose header carries the size: all start-of-frame markers except DHT (C4), JPG (C8) and DAC (CC).
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_ALONE = frozenset({0x01, *range(0xD0, 0xD8)})  # markers without a length
_PCM = frozenset({1, 3})  # whole numbers, floats
_RATES = range(1_000, 384_001)  # plausible sample rates, per second


class Size(NamedTuple):
    """Width and height in pixels as stored in the file, before any scaling."""

    width: int
    height: int


def image_size(data: object) -> Size | None:
    """Return the size of a picture given as base64 text, or None if its head does not say it."""
    head = _head(data)
    size = _image_size(head) if head else None
    if size is None or not (0 < size.width < _SIDE_MAX and 0 < size.height < _SIDE_MAX):
        return None
    return size


def sound_duration_us(data: object) -> int | None:
    """Return the longest duration, in microseconds, of a WAV sound given as base64 text; None for any other data.

    All bytes after the header count as sound, whatever length the header claims.
    """
    head = _head(data)
    if not isinstance(data, str) or head[:4] != b"RIFF" or head[8:12] != b"WAVE":
        return None
    at, bytes_per_second = 12, None
    while len(head) >= at + 8:
        kind, length = head[at : at + 4], int.from_bytes(head[at + 4 : at + 8], "little")
        if kind == b"data":
            sound_bytes = max(0, len(data) * 3 // 4 - data[-2:].count("=") - at - 8)
            return None if bytes_per_second is None else -(-sound_bytes * 1_000_000 // bytes_per_second)
        if kind == b"fmt ":
            if bytes_per_second is not None:
                return None  # two formats: a decoder may follow either
            bytes_per_second = _pcm_rate(head[at + 8 : at + 24])
            if bytes_per_second is None:
                return None
        at += 8 + length + length % 2
    return None


def _head(data: object) -> bytes:
    """Return the first bytes of a base64 text, or none if it is not strict base64: decoders read that differently."""
    if not isinstance(data, str):
        return b""
    part = data[:HEAD_CHARACTERS]
    try:
        return base64.b64decode(part, validate=True)
    except (binascii.Error, ValueError):
        return b""


def _image_size(head: bytes) -> Size | None:
    if head.startswith(_PNG) and len(head) >= 24:
        return Size(int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big"))
    if head.startswith(_GIF):
        return _gif_size(head)
    if head.startswith(b"\xff\xd8"):
        return _jpeg_size(head)
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return _webp_size(head)
    return None


def _gif_size(head: bytes) -> Size | None:
    """Return a size that covers the GIF's screen and its first picture, which may extend beyond the screen."""
    if len(head) < 13:
        return None
    width, height, flags = _u16(head, 6), _u16(head, 8), head[10]
    at = 13 + (3 << (flags % 8 + 1) if flags & 0x80 else 0)
    while len(head) > at and head[at] == 0x21:  # an extension: its label, then blocks until an empty one
        at += 2
        while len(head) > at and head[at]:
            at += 1 + head[at]
        at += 1
    if len(head) < at + 9 or head[at] != 0x2C:
        return None
    left, top, frame_width, frame_height = (_u16(head, at + offset) for offset in (1, 3, 5, 7))
    return Size(max(width, left + frame_width), max(height, top + frame_height))


def _jpeg_size(head: bytes) -> Size | None:
    at = 2
    while len(head) >= at + 4 and head[at] == 0xFF:
        marker = head[at + 1]
        if marker == 0xFF:  # filling
            at += 1
            continue
        if marker in _JPEG_ALONE:
            at += 2
            continue
        if marker in _JPEG_FRAMES:
            if len(head) < at + 9:
                return None
            return Size(int.from_bytes(head[at + 7 : at + 9], "big"), int.from_bytes(head[at + 5 : at + 7], "big"))
        length = int.from_bytes(head[at + 2 : at + 4], "big")
        if length < 2 or marker in (0xD8, 0xD9, 0xDA):
            return None  # a picture that ends or begins before its size
        at += 2 + length
    return None


def _webp_size(head: bytes) -> Size | None:
    kind = head[12:16]
    if len(head) < 30:
        return None
    if kind == b"VP8X":
        return Size(int.from_bytes(head[24:27], "little") + 1, int.from_bytes(head[27:30], "little") + 1)
    if kind == b"VP8L" and head[20] == 0x2F:
        bits = int.from_bytes(head[21:25], "little")
        return Size((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)
    if kind == b"VP8 " and head[23:26] == b"\x9d\x01\x2a":
        return Size(_u16(head, 26) & 0x3FFF, _u16(head, 28) & 0x3FFF)
    return None


def _pcm_rate(fields: bytes) -> int | None:
    """Return the bytes per second of PCM samples. The file's own byte rate is ignored, as decoders ignore it."""
    if len(fields) < 16:
        return None
    kind, channels, rate = _u16(fields, 0), _u16(fields, 2), int.from_bytes(fields[4:8], "little")
    frame_bytes, sample_bits = _u16(fields, 12), _u16(fields, 14)
    if kind not in _PCM or rate not in _RATES or not channels or frame_bytes != channels * sample_bits // 8:
        return None
    return rate * frame_bytes or None


def _u16(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 2], "little")
