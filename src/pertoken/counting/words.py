"""Converts words to tokens and back by a rule of thumb, with its measured error in `data/words_per_token.csv`.

The rule: 1,000 tokens are about 750 English words (OpenAI, "What are tokens and how to count them"). The error compares
the rule with o200k counts of whole texts: -23 % means that the rule's count is 23 % too low.
"""

import csv
import importlib.resources
from fractions import Fraction
from functools import cache
from typing import NamedTuple

TOKENS_PER_WORD = Fraction(4, 3)


class Kind(NamedTuple):
    """One kind of text, with its measured figures."""

    name: str
    bytes_per_token: Fraction
    error_percent: Fraction | None  # of the rule's tokens; None: this kind of text cannot be counted in words
    corpus: str


class Estimate(NamedTuple):
    """A number of words, and the tokens for them by the rule and by the measured error of the kind of text."""

    words: int
    tokens_by_rule: int
    tokens: int


@cache
def kinds() -> dict[str, Kind]:
    """Return every kind of text by its name."""
    text = importlib.resources.files("pertoken.data").joinpath("words_per_token.csv").read_text(encoding="utf-8")
    found = {}
    for row in csv.DictReader(text.splitlines()):
        error = row["words_error_percent"]
        measured = Kind(
            row["kind"], Fraction(row["bytes_per_token"]), Fraction(error) if error else None, row["corpus"]
        )
        found[measured.name] = measured
    return found


def from_words(words: int, kind: Kind) -> Estimate | None:
    """Return the tokens of a number of words, or None if this kind of text cannot be counted in words."""
    if kind.error_percent is None:
        return None
    return Estimate(words, round(words * TOKENS_PER_WORD), round(words * _tokens_per_word(kind.error_percent)))


def from_tokens(tokens: int, kind: Kind) -> Estimate | None:
    """Return the words of a number of tokens, or None if this kind of text cannot be counted in words."""
    if kind.error_percent is None:
        return None
    words = round(tokens / _tokens_per_word(kind.error_percent))
    return Estimate(words, round(words * TOKENS_PER_WORD), tokens)


def _tokens_per_word(error_percent: Fraction) -> Fraction:
    """Return the measured tokens per word: the rule's figure, corrected by its error."""
    return TOKENS_PER_WORD / (1 + error_percent / 100)
