"""Searches of the web that the blocks of an Anthropic answer show: counted where its usage does not tell them."""

from pertoken.wire.content import as_dict

NAME = b"web_search"  # in the bytes of every block that tells of one

_FAILED = "web_search_tool_result_error"


def step(block: object) -> int:
    """Return 1 for a block that searches, and -1 for one that says that a search failed, which is not billed.

    Anthropic API reference, web search tool, usage and pricing; 2026-11-27.
    """
    fields = as_dict(block)
    if fields.get("type") == "server_tool_use":
        return int(fields.get("name") == "web_search")
    is_failed = as_dict(fields.get("content")).get("type") == _FAILED
    return -1 if fields.get("type") == "web_search_tool_result" and is_failed else 0


def billed(steps: int) -> dict[str, int]:
    """Return the searches that so many steps come to."""
    return {"web_searches": steps} if steps > 0 else {}
