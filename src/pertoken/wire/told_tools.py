"""Tools that stand in the conversation, beside those in the request's own list.

OpenAI takes them as items of the input (`additional_tools`, what a search for tools found), Anthropic as a block that
adds a tool by its definition (openai-python 3.54.0, ResponseInputItemParam; anthropic-sdk-python 2.12.0,
BetaRequestToolAdditionBlockParam; 2026-11-27). One that runs at the client is text. One that runs at the provider is
refused there: how often it may run, and at what price, is read in the list alone.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any

from pertoken.wire.content import as_dict, as_list
from pertoken.wire.format import BadRequest

_MARKS = re.compile(rb'"(?:additional_tools|tool_search_output|tool_definition)"')
_REMOTE = ("mcp", "mcp_toolset")  # only tokens are charged


def hidden_input(
    words: bytes, conversation: Callable[[], object], runs_at_client: Callable[[object], bool]
) -> str | None:
    """Return why a tool in the conversation adds input that the body does not show, None where none does.

    `words` is the body in plain letters. Raises BadRequest for a tool that runs at the provider at a price of its own.
    """
    if _MARKS.search(words) is None:
        return None
    hidden = None
    for tool in _defined(conversation()):
        kind = tool.get("type")
        if kind in _REMOTE:
            hidden = "tools of mcp servers read their results as input"
        elif not runs_at_client(kind):
            raise BadRequest(
                f"the tool {kind!r} runs at the provider: name it in tools, not in the conversation", "tools"
            )
    return hidden


def _defined(conversation: object) -> Iterator[dict[str, Any]]:
    """Yield the definition of every tool in a conversation, those of a namespace one by one."""
    waiting = [conversation]
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting += value
        elif isinstance(value, dict):
            waiting += value.values()
            kind = value.get("type")
            if kind in ("additional_tools", "tool_search_output", "namespace"):
                yield from map(as_dict, as_list(value.get("tools")))
            elif kind == "tool_definition":
                yield as_dict(value.get("definition"))
