"""Which path speaks which format: the data plane's table."""

import re
from typing import NamedTuple

from pertoken.core.texts import nearest
from pertoken.wire import (
    anthropic_count_tokens,
    anthropic_messages,
    gemini_count_tokens,
    gemini_embed,
    gemini_generate,
    openai_chat,
    openai_embeddings,
    openai_responses,
)
from pertoken.wire.format import Format


class Endpoint(NamedTuple):
    """One path of the data plane."""

    format: Format
    wire: str  # the family of providers that speak it
    upstream_path: str  # below the provider's base URL
    model: str | None = None  # where the path names it
    stream: bool | None = None  # where the path decides it


_FIXED: dict[str, Endpoint] = {
    "/v1/chat/completions": Endpoint(openai_chat, "openai", "/chat/completions"),
    "/v1/responses": Endpoint(openai_responses, "openai", "/responses"),
    "/v1/embeddings": Endpoint(openai_embeddings, "openai", "/embeddings"),
    "/v1/messages": Endpoint(anthropic_messages, "anthropic", "/v1/messages"),
    "/v1/messages/count_tokens": Endpoint(anthropic_count_tokens, "anthropic", "/v1/messages/count_tokens"),
}
_GEMINI: dict[str, tuple[Format, bool | None]] = {
    "generateContent": (gemini_generate, False),
    "streamGenerateContent": (gemini_generate, True),
    "countTokens": (gemini_count_tokens, None),
    "embedContent": (gemini_embed, None),
    "batchEmbedContents": (gemini_embed, None),
}
# A model in a path is one segment of plain characters, and no dot segment. It is forwarded with the operator's key, so
# it must not lead anywhere else: a percent sign left after decoding could be a slash to the next who decodes.
_GEMINI_PATH = re.compile(r"/v1(?:beta)?/models/([A-Za-z0-9_~@+-][A-Za-z0-9._~@+-]{0,199}):([A-Za-z]{1,40})")

_AGAIN = re.compile(r"^(?:/v1)+(?=/v1(?:beta)?/)")  # the version that a base URL has and the SDK adds again
NEAR = 0.8  # of difflib's ratio: a letter or two of a path


def find(path: str) -> Endpoint | None:
    """Return the endpoint of a path, None where there is none."""
    fixed = _FIXED.get(path)
    if fixed is not None:
        return fixed
    match = _GEMINI_PATH.fullmatch(path)
    if match is None or match[2] not in _GEMINI:
        return None
    wire_format, stream = _GEMINI[match[2]]
    return Endpoint(wire_format, "gemini", path, match[1], stream)


def is_hot(path: bytes) -> bool:
    """Tell whether a path may belong to the data plane."""
    return path.startswith((b"/v1/", b"/v1beta/"))


def format_for_errors(path: str) -> Format:
    """Return the format whose errors a client of `path` most likely reads."""
    endpoint = find(path)
    if endpoint is not None:
        return endpoint.format
    if "/v1beta/" in path:
        return gemini_generate
    return anthropic_messages if "/messages" in path else openai_chat


def meant(path: str) -> str:
    """Return a question to end a message with about the path that an unknown one most likely means; or nothing.

    Most have a base URL that ends in /v1 where the SDK adds it, or ends without where it does not.
    """
    known = (*_FIXED, "/v1/models")
    asked = f"/v1{path}" if f"/v1{path}" in known else _AGAIN.sub("", path)
    if asked == path or (asked not in known and find(asked) is None):
        near = _near_action(path) or nearest(path, known, NEAR)
        return "" if near is None else f"; did you mean {near}?"
    ending = "with" if len(asked) > len(path) else "without"
    return f"; did you mean {asked}? the base URL of this client ends {ending} /v1"


def _near_action(path: str) -> str | None:
    match = _GEMINI_PATH.fullmatch(path)
    near = None if match is None else nearest(match[2], _GEMINI)
    return None if match is None or near is None else f"{path.removesuffix(match[2])}{near}"
