"""Finds the module that makes the answers of a format. It has the same name as the format's module in `wire/`."""

import importlib
from functools import cache
from typing import Protocol, cast

from pertoken.simulator.answers import Reply, SimulatedCall


class Maker(Protocol):
    """A module that makes the answers of one format."""

    def reply(self, asked: SimulatedCall) -> Reply:
        """Return the answer to a request, as one body, and as a stream if the request asks for one."""

    def error(self, status: int, message: str) -> bytes:
        """Return an error body as the provider writes it."""


@cache
def maker_of(format_name: str) -> Maker:
    """Return the module for a format: for `openai.chat`, the module `openai_chat`."""
    return cast("Maker", importlib.import_module(f"pertoken.simulator.{format_name.replace('.', '_')}"))
