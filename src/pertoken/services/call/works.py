"""All that can be read apart from the event loop, by name."""

from collections.abc import Callable, Mapping
from typing import Any

from pertoken.ports.tokens import Tokenizers
from pertoken.services.call.answered import answer_of
from pertoken.services.call.count import counts_of, tokens_of
from pertoken.services.call.reading import WORK
from pertoken.wire.stream import look_at

PLAIN: Mapping[str, Callable[..., Any]] = {**WORK, look_at.__name__: look_at}
COUNTING: Mapping[str, Callable[..., Any]] = {
    work.__name__: work for work in (answer_of, counts_of, tokens_of)
}  # with the tokenizers before the body


def do(work: str, body: bytes, args: tuple[Any, ...], tokenizers: Tokenizers) -> Any:
    """Return what a work finds in a body. Raises BadRequest."""
    counting = COUNTING.get(work)
    return PLAIN[work](body, *args) if counting is None else counting(tokenizers, body, *args)
