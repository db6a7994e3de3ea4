"""Tools that a client defines inside the conversation instead of in the request's list of tools.

OpenAI accepts them as items of the input (`additional_tools`, or the result of a search for tools). Anthropic accepts
them as a block with the tool's definition (openai-python 3.54.0, ResponseInputItemParam; anthropic-sdk-python 2.12.0,
BetaRequestToolAdditionBlockParam; 2026-11-27). A tool that runs at the client counts as text. A tool that runs at the
provider is refused here, because its runs and its price are bounded only for the list of tools.
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
    """Return why a tool in the conversation adds input that the body does not show, or None.

    `words` is the body without escapes (`content.plain`). Raises BadRequest for a tool that runs at the provider and
    has its own price.
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
    """Yield the definition of every tool in a conversation, and of every tool inside a namespace."""
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
