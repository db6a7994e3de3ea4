"""Web searches counted from the blocks of an Anthropic answer, for answers whose usage does not report them."""

from pertoken.wire.content import as_dict

NAME = b"web_search"  # in the bytes of every block about a search

_FAILED = "web_search_tool_result_error"


def step(block: object) -> int:
    """Return 1 for a block that starts a search, -1 for one that reports a failed search, 0 for any other.

    A failed search is not billed. Anthropic API reference, web search tool, usage and pricing; 2026-11-27.
    """
    fields = as_dict(block)
    if fields.get("type") == "server_tool_use":
        return int(fields.get("name") == "web_search")
    is_failed = as_dict(fields.get("content")).get("type") == _FAILED
    return -1 if fields.get("type") == "web_search_tool_result" and is_failed else 0


def billed(steps: int) -> dict[str, int]:
    """Return the quantity for a sum of steps, or no quantity if the sum is not positive."""
    return {"web_searches": steps} if steps > 0 else {}
