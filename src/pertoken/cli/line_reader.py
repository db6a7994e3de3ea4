"""Reads the lines of a file, with a limit on their length. It does not interpret them."""

from collections.abc import Iterator
from typing import IO

LINE_BYTES_MAX = 16 * 1024 * 1024  # a provider's answer with images inside comes as one line
BYTE_ORDER_MARK = b"\xef\xbb\xbf"  # some editors and spreadsheets write it at the start of a file


def numbered_lines(source: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    """Yield (number from 1, line) of every line that is not blank.

    If a line is longer than LINE_BYTES_MAX, its first LINE_BYTES_MAX + 1 bytes are returned and the rest is skipped. So
    the caller sees that it is too long, and memory stays bounded. Raises whatever `source` raises.
    """
    number = 0
    while line := source.readline(LINE_BYTES_MAX + 1):
        number += 1
        if number == 1:
            line = line.removeprefix(BYTE_ORDER_MARK)
        if len(line) > LINE_BYTES_MAX:
            _skip_to_the_end_of_the_line(source, line)
        if not line.isspace():
            yield number, line


def _skip_to_the_end_of_the_line(source: IO[bytes], piece: bytes) -> None:
    while piece and not piece.endswith(b"\n"):
        piece = source.readline(LINE_BYTES_MAX)
