"""What the provider counts of a request's input: as the real tokenizers do, or more where the request's headers ask."""

from collections.abc import Sequence

from pertoken.core.bounds import family_of
from pertoken.core.money import divide_up
from pertoken.counting.tokenizers import Tokenizers
from pertoken.simulator.behaviour import Behaviour

MESSAGE_TOKENS = 3  # around each message, and as many that begin the answer (OpenAI's cookbook)
MEDIA = "data:"  # a text that begins so is a picture, a sound or a file
MEDIA_TOKENS = 85  # of each: OpenAI's low detail
# What we know of tokenizers that are closed is the most they make of a text. What they mostly make is a fifth less.
TYPICAL_PERCENT = 80

_tokenizers = Tokenizers()


def prepare() -> None:
    """Read the vocabulary that most models are counted by, which takes half a second."""
    _tokenizers.count_text(family_of("gpt-4o"), "")


def count_input(model: str, body: bytes, texts: Sequence[str], behaviour: Behaviour) -> int:
    """Return the input tokens of a request with these texts, never more than its body has bytes unless asked to.

    With `byte_percent` the provider has no tokenizer: it counts so many percent of the texts' bytes.
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
