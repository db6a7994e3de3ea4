"""Headers, as names and values in bytes."""

from collections.abc import Sequence

HeaderList = tuple[tuple[bytes, bytes], ...]  # of a request: can be remembered
AnswerHeaders = Sequence[tuple[bytes, bytes]]
