"""Who makes the answers of a format: the module here that is named as the format's own in `wire/`."""

import importlib
from functools import cache
from typing import Protocol, cast

from pertoken.simulator.answers import Reply, SimulatedCall


class Maker(Protocol):
    """One format as its provider answers it."""

    def reply(self, asked: SimulatedCall) -> Reply:
        """Return the answer to a request, whole, and as a stream where the request asks for one."""

    def error(self, status: int, message: str) -> bytes:
        """Return an error body as the provider writes it."""


@cache
def maker_of(format_name: str) -> Maker:
    """Return who answers in a format: of `openai.chat`, the module `openai_chat`."""
    return cast("Maker", importlib.import_module(f"pertoken.simulator.{format_name.replace('.', '_')}"))
