"""Counting tokens, and what models can take."""

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
    """What is known of each model's size."""

    def find(self, provider: str, model: str) -> Limits:
        """Return the limits of a model, unknown ones as None."""
