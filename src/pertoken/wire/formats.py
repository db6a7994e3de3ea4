"""Every API whose answers are read, and in whose words: the one registry for the gateway, extract and ingestion."""

from collections.abc import Mapping, Sequence
from functools import lru_cache

from pertoken.wire import (
    answers,
    anthropic_count_tokens,
    anthropic_messages,
    gemini_count_tokens,
    gemini_embed,
    gemini_generate,
    openai_chat,
    openai_embeddings,
    openai_responses,
    providers,
    usage_rules,
)
from pertoken.wire.format import Format
from pertoken.wire.usage_table import UsageTable

# What the gateway serves.
SERVED: Mapping[str, Format] = {
    one.name: one
    for one in (
        openai_chat, openai_responses, openai_embeddings, anthropic_messages, anthropic_count_tokens, gemini_generate,
        gemini_count_tokens, gemini_embed,
    )
}  # fmt: skip
# What usage can be extracted from: without what costs nothing, and with what is only read.
EXTRACTED: tuple[str, ...] = (
    "openai.chat",
    "openai.responses",
    "openai.embeddings",
    "anthropic.messages",
    "gemini.generate",
    *answers.APIS,
)


def dialect(api: str, provider: str) -> UsageTable:
    """Return how usage is told in answers of `api` by `provider`, as `wire.providers` names it; any other is as all."""
    rows = usage_rules.DIALECTS.get(api, {}).get(provider)
    if rows is not None:
        return rows
    return SERVED[api].USAGE if api in SERVED else answers.APIS[api].rows


def dialect_served(wire_format: Format, provider: str, prices_from: Sequence[str]) -> UsageTable:
    """Return how usage is told by a provider as it is configured.

    Under a name that nobody knows, it speaks as the first provider does at whose prices it sells.
    """
    return _dialect_served(wire_format.name, provider, tuple(prices_from))


@lru_cache(maxsize=4096)
def _dialect_served(api: str, provider: str, prices_from: tuple[str, ...]) -> UsageTable:
    names = (providers.known(name) for name in (provider, *prices_from))
    return dialect(api, next((name for name in names if name is not None), ""))
