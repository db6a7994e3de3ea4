"""Headers, as names and values in bytes."""

from collections.abc import Sequence

HeaderList = tuple[tuple[bytes, bytes], ...]  # of a request; hashable, so that it can be cached
AnswerHeaders = Sequence[tuple[bytes, bytes]]
