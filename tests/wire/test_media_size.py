"""The size of a picture or a sound is read from its head; a hostile head gives no size and no error."""

import base64
import io
import json
import struct
import wave

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pertoken.wire import anthropic_messages, gemini_generate, openai_chat, openai_responses
from pertoken.wire.format import Format
from pertoken.wire.media_size import HEAD_CHARACTERS, image_size, sound_duration_us


def _png(width: int, height: int) -> bytes:
    return b"\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR" + struct.pack(">II", width, height) + b"\x08\x02\x00\x00\x00"


def _gif(width: int, height: int, *frame: int, extensions: bytes = b"", colors: int = 0) -> bytes:
    flags = 0x80 | colors - 1 if colors else 0
    screen = b"GIF89a" + struct.pack("<HHBBB", width, height, flags, 0, 0) + bytes(3 << colors if colors else 0)
    return screen + extensions + b"\x2c" + struct.pack("<HHHH", *(frame or (0, 0, width, height))) + b"\x00"


def _jpeg(width: int, height: int, before: bytes = b"", frame: int = 0xC0) -> bytes:
    return b"\xff\xd8" + before + bytes([0xFF, frame]) + struct.pack(">HBHHB", 17, 8, height, width, 3) + bytes(9)


def _riff(kind: bytes, *chunks: bytes) -> bytes:
    return b"RIFF" + struct.pack("<I", 4 + sum(map(len, chunks))) + kind + b"".join(chunks)


def _chunk(kind: bytes, data: bytes, length: int | None = None) -> bytes:
    return kind + struct.pack("<I", len(data) if length is None else length) + data + bytes(len(data) % 2)


def _webp(kind: bytes, fields: bytes) -> bytes:
    return _riff(b"WEBP", _chunk(kind, fields.ljust(20, b"\x00")))


APP1 = b"\xff\xe1" + struct.pack(">H", 60_000) + _jpeg(9, 9).ljust(59_998, b"\x00")  # contains a preview
COMMENT = b"\x21\xfe\x03abc\x02de\x00"


@pytest.mark.parametrize(
    ("data", "size"),
    [
        (_png(640, 480), (640, 480)),
        (_gif(640, 480), (640, 480)),
        (_gif(1, 1, 5, 6, 600, 400), (605, 406)),  # the picture is larger than its screen
        (_gif(640, 480, extensions=COMMENT * 3, colors=8), (640, 480)),
        (_jpeg(640, 480), (640, 480)),
        (_jpeg(640, 480, APP1 * 2, frame=0xC2), (640, 480)),
        (_jpeg(640, 480, b"\xff\xff\xff\x01\xff\xc4\x00\x04ab"), (640, 480)),
        (_webp(b"VP8X", bytes(4) + b"\x7f\x02\x00\xdf\x01\x00"), (640, 480)),
        (_webp(b"VP8L", b"\x2f" + struct.pack("<I", 639 | 479 << 14)), (640, 480)),
        (_webp(b"VP8 ", bytes(3) + b"\x9d\x01\x2a" + struct.pack("<HH", 640 | 1 << 14, 480)), (640, 480)),
    ],
)  # fmt: skip
def test_pictures(data: bytes, size: tuple[int, int]) -> None:
    """Each format that providers accept is read, including data before its size."""
    assert image_size(base64.b64encode(data).decode()) == size


@pytest.mark.parametrize(
    "data",
    [
        b"", b"%PDF-1.7", _png(0, 5), _png(2**31, 5), _png(640, 480)[:20], _gif(640, 480)[:15], _gif(0, 0),
        b"\xff\xd8\xff\xd9" + bytes(30), b"\xff\xd8\xff\xe1\x00\x01" + bytes(30), b"\xff\xd8\xff\xda" + bytes(30),
        _jpeg(640, 480)[:8], b"\xff\xd8" + b"\x00" * 50, _jpeg(640, 480, APP1 * 9),  # the size comes too late
        _webp(b"VP8L", b"\x2e"), _webp(b"VP8 ", b""), _webp(b"VP8?", b""), b"RIFF\x00\x00\x00\x00WEBPVP8X",
    ],
)  # fmt: skip
def test_no_pictures(data: bytes) -> None:
    """A broken, unknown or too long head gives no size."""
    assert image_size(base64.b64encode(data).decode()) is None


@pytest.mark.parametrize(
    "data", [None, 3, "", "%", "iVBOR w0KGgo", base64.urlsafe_b64encode(_png(1, 255)).decode()[:-2]]
)
def test_no_plain_base64(data: object) -> None:
    """A text that base64 decoders read differently gives no size."""
    assert image_size(data) is None
    assert sound_duration_us(data) is None


@given(
    st.binary(max_size=200),
    st.sampled_from([b"", b"\xff\xd8\xff", b"GIF89a", b"RIFF0000WEBPVP8 ", b"RIFF0000WAVEfmt "]),
)
def test_any_bytes_are_safe(data: bytes, magic: bytes) -> None:
    """Any bytes give a size of positive numbers or no size."""
    text = base64.b64encode(magic + data).decode()
    size = image_size(text)

    assert size is None or min(size) > 0
    assert (sound_duration_us(text) or 0) >= 0


def _fmt(kind: int = 1, channels: int = 1, rate: int = 8_000, frame: int = 2, bits: int = 16) -> bytes:
    return _chunk(b"fmt ", struct.pack("<HHIIHH", kind, channels, rate, 1, frame, bits))


def test_sound() -> None:
    """The duration of a WAV file is exact for its bytes."""
    out = io.BytesIO()
    with wave.open(out, "wb") as sound:
        sound.setnchannels(2)
        sound.setsampwidth(2)
        sound.setframerate(16_000)
        sound.writeframes(bytes(4 * 16_000 * 60))

    assert len(out.getvalue()) > HEAD_CHARACTERS
    assert sound_duration_us(base64.b64encode(out.getvalue()).decode()) == 60_000_000


@pytest.mark.parametrize(
    ("chunks", "duration_us"),
    [
        ([_fmt(), _chunk(b"data", bytes(16_000))], 1_000_000),
        ([_fmt(), _chunk(b"LIST", b"abc"), _chunk(b"data", bytes(16_000))], 1_000_000),
        ([_fmt(), _chunk(b"data", bytes(16_000), length=2)], 1_000_000),  # the header claims a shorter length
        ([_fmt(rate=4_000_000_000), _chunk(b"data", bytes(16_000))], None),
        ([_fmt(kind=0x55), _chunk(b"data", bytes(16_000))], None),  # contains MP3
        ([_fmt(frame=60_000), _chunk(b"data", bytes(16_000))], None),
        ([_fmt(channels=0, frame=0), _chunk(b"data", bytes(16_000))], None),
        ([_fmt(), _fmt(rate=48_000), _chunk(b"data", bytes(16_000))], None),
        ([_chunk(b"data", bytes(16_000))], None),
        ([_chunk(b"fmt ", b"ab")], None),
        ([_fmt()], None),
    ],
)
def test_hostile_sound(chunks: list[bytes], duration_us: int | None) -> None:
    """A header never makes a sound shorter than its bytes."""
    duration = sound_duration_us(base64.b64encode(_riff(b"WAVE", *chunks)).decode())

    assert duration is None if duration_us is None else duration_us <= (duration or 0) <= duration_us + 200


def test_every_api_reads_sizes() -> None:
    """Inline pictures and sounds have a size in each API; links, and ids that may mean another picture, have none."""
    png = base64.b64encode(_png(640, 480)).decode()
    wav = base64.b64encode(_riff(b"WAVE", _fmt(), _chunk(b"data", bytes(16_000)))).decode()
    url, sound = f"data:image/png;base64,{png}", {"data": wav, "format": "wav"}
    chat = [{"type": "image_url", "image_url": {"url": url, "detail": "low"}},
            {"type": "input_audio", "input_audio": sound},
            {"type": "image_url", "image_url": {"url": "data:image/png," + png}}]  # fmt: skip
    responses = [{"type": "input_image", "image_url": url}, {"type": "input_audio", "input_audio": sound},
                 {"type": "input_image", "image_url": url, "file_id": "f"},
                 {"type": "image_generation_call", "id": "i", "result": png}]  # fmt: skip
    messages = [{"type": "image", "source": {"type": "base64", "data": png}},
                {"type": "image", "source": {"type": "url", "url": "https://x", "data": png}}]  # fmt: skip
    parts = [{"inlineData": {"mimeType": "image/png", "data": png}},
             {"inlineData": {"mimeType": "audio/wav", "data": wav}},
             {"fileData": {"mimeType": "image/png", "fileUri": "x", "data": png}}]  # fmt: skip
    bodies: list[tuple[Format, dict[str, object]]] = [
        (openai_chat, {"messages": [{"role": "user", "content": chat}]}),
        (openai_responses, {"input": responses}),
        (anthropic_messages, {"messages": [{"role": "user", "content": messages}]}),
        (gemini_generate, {"contents": [{"parts": parts}]}),
    ]
    read = [wire.read_content(json.dumps(body).encode()).media for wire, body in bodies]
    sizes = [[(one.kind, one.width, one.height, one.duration_us) for one in media] for media in read]

    picture, nothing = ("image", 640, 480, None), ("image", None, None, None)
    heard = ("audio", None, None, 1_000_000)
    assert sizes == [
        [picture, heard, nothing], [picture, heard, nothing, nothing], [picture, nothing], [picture, heard, nothing],
    ]  # fmt: skip
