import io

import pytest

from pertoken.cli import line_reader
from pertoken.cli.line_reader import numbered_lines


def test_lines_are_numbered_and_blank_ones_passed_over() -> None:
    """Numbers are those that an editor shows; a byte order mark is no content; the last line needs no end."""
    source = io.BytesIO(b"\xef\xbb\xbffirst\r\n\n  \nfourth")

    assert list(numbered_lines(source)) == [(1, b"first\r\n"), (4, b"fourth")]


@pytest.mark.parametrize("length", [11, 12, 20, 21, 22, 35])
def test_a_long_line_is_cut_and_the_next_one_whole(monkeypatch: pytest.MonkeyPatch, length: int) -> None:
    """Of a line above the limit one byte too many is given; the line after it begins where it begins."""
    monkeypatch.setattr(line_reader, "LINE_BYTES_MAX", 10)
    source = io.BytesIO(b"x" * length + b"\nnext\n")

    assert list(numbered_lines(source)) == [(1, b"x" * 11), (2, b"next\n")]


def test_a_line_at_the_limit_is_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit counts the line's end."""
    monkeypatch.setattr(line_reader, "LINE_BYTES_MAX", 10)
    source = io.BytesIO(b"x" * 9 + b"\nnext\n")

    assert list(numbered_lines(source)) == [(1, b"x" * 9 + b"\n"), (2, b"next\n")]
