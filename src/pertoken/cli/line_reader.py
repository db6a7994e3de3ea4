"""Reading a file of lines of which none may be endless. It does not know what a line means."""

from collections.abc import Iterator
from typing import IO

LINE_BYTES_MAX = 16 * 1024 * 1024  # a provider's answer with images inside comes as one line
BYTE_ORDER_MARK = b"\xef\xbb\xbf"  # some editors and spreadsheets begin a file with it


def numbered_lines(source: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    """Yield (number from 1, line) of every line that is not blank.

    Of a line longer than LINE_BYTES_MAX the first LINE_BYTES_MAX + 1 bytes are given and the rest is passed over, so
    that the reader sees that it is too long and memory stays bounded. Raises what `source` raises.
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
