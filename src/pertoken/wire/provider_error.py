"""Errors that a provider sends in place of an answer, in a body or inside a stream, in the format of any API."""

from typing import Any

from pertoken.wire import sse
from pertoken.wire.body import optional_text
from pertoken.wire.content import as_dict, as_list, parse

MESSAGE_LETTERS_MAX = 500


def find(data: bytes) -> str | None:
    """Return the message of the error in a body, or of the last error in a stream; None if there is no error."""
    whole = parse(data)
    if whole is not None:
        told = [_told(as_dict(one)) for one in (as_list(whole) or [whole])]
    else:
        told = [_told(as_dict(parse(sse.data(event)))) for event in sse.split(data)]
    return next((one for one in reversed(told) if one is not None), None)


def _told(answer: dict[str, Any]) -> str | None:
    """Return the message of an error in the format of OpenAI, Anthropic, Google, Cohere, Ollama or Bedrock."""
    error = answer.get("error") or as_dict(answer.get("response")).get("error")
    if not error:
        named = next((value for name, value in answer.items() if name.endswith("Exception")), None)
        bare = answer if answer.keys() <= _BARE and "message" in answer else None
        error = named or bare
    if not error:
        return None
    fields = as_dict(error)
    message = optional_text(error) or optional_text(fields.get("message")) or str(fields.get("type") or "an error")
    code = next((str(fields[name]) for name in ("type", "status", "code", "__type") if fields.get(name)), None)
    said = message if code is None or code == message else f"{code}: {message}"
    return said[:MESSAGE_LETTERS_MAX]


_BARE = frozenset({"message", "id", "code", "status", "type", "__type", "detail", "request_id", "object", "param"})
