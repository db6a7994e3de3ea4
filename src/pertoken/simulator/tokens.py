"""The provider's own count of a request's input, with the real tokenizers, changed if the request's headers say so."""

from collections.abc import Sequence

from pertoken.core.bounds import family_of
from pertoken.core.money import divide_up
from pertoken.counting.tokenizers import Tokenizers
from pertoken.simulator.behaviour import Behaviour

MESSAGE_TOKENS = 3  # for each message, and again at the start of the answer (OpenAI's cookbook)
MEDIA = "data:"  # a text with this prefix is a picture, a sound or a file
MEDIA_TOKENS = 85  # for each medium, as for OpenAI's low detail
# For closed tokenizers we know only an upper bound. Their usual count is a fifth less.
TYPICAL_PERCENT = 80

_tokenizers = Tokenizers()


def prepare() -> None:
    """Load the vocabulary for most models, which takes half a second."""
    _tokenizers.count_text(family_of("gpt-4o"), "")


def count_input(model: str, body: bytes, texts: Sequence[str], behaviour: Behaviour) -> int:
    """Return the input tokens of a request with these texts.

    Before `count_percent` applies, the count is at most the number of bytes of the body. With `byte_percent` the
    provider has no tokenizer and counts that percentage of the texts' bytes.
    """
    frames = MESSAGE_TOKENS * (body.count(b'"role"') + 1)
    if behaviour.byte_percent is not None:
        return divide_up(sum(len(text.encode()) for text in texts) * behaviour.byte_percent, 100) + frames
    family = family_of(model)
    tokens = 0
    for text in texts:
        if text.startswith(MEDIA):
            tokens += MEDIA_TOKENS
        else:
            counted = _tokenizers.count_text(family, text)
            tokens += counted.tokens if counted.method == "exact" else counted.tokens * TYPICAL_PERCENT // 100
    return divide_up(min(len(body), tokens + frames) * behaviour.count_percent, 100)
