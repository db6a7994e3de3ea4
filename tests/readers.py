"""Reading what is heavy in the process of the test; the gateway has processes for that."""

from typing import Any

from pertoken.ports.tokens import Tokenizers
from pertoken.services.call import works


class Here:
    """Reads in this process."""

    def __init__(self, tokenizers: Tokenizers) -> None:
        self._tokenizers = tokenizers

    async def read(self, key_id: str, work: str, body: bytes, args: tuple[Any, ...]) -> Any:  # noqa: ARG002
        """Return what a work finds in a body. Raises BadRequest."""
        return works.do(work, body, args, self._tokenizers)
