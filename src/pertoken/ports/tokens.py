"""Counting tokens, and the sizes of models."""

from typing import Protocol

from pertoken.core.bounds import Counted, Family, Limits
from pertoken.wire.format import Content


class Tokenizers(Protocol):
    """Counts tokens for a family of models."""

    def count_text(self, family: Family, text: str) -> Counted:
        """Return the tokens of plain text."""

    def count_content(self, family: Family, content: Content) -> int:
        """Return the raw count of all texts of a request, for `bounds.counted_bound`."""


class ModelLimits(Protocol):
    """The known sizes of models."""

    def find(self, provider: str, model: str) -> Limits:
        """Return the limits of a model; an unknown limit is None."""
