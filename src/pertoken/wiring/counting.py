"""Counting tokens."""

from pertoken.counting import tokenizers
from pertoken.ports.tokens import Tokenizers


def make_tokenizers() -> Tokenizers:
    """Return the tokenizers of all models; each is loaded when it first counts."""
    return tokenizers.Tokenizers()
