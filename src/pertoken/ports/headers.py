"""Headers, as names and values in bytes."""

from collections.abc import Sequence

from pertoken.wire.choices import HeaderList

__all__ = ["AnswerHeaders", "HeaderList"]

AnswerHeaders = Sequence[tuple[bytes, bytes]]
