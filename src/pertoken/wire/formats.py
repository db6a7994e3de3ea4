"""The registry: every API that pertoken reads, one row each. Beside its own modules, nothing else names a format.

`ROWS` has what the gateway serves, `READ` what is only read. To add a format that is served:

1. write `wire/<family>_<api>.py`, a `Format` (wire/format.py): reading, rewriting, usage table, errors;
2. write `simulator/<family>_<api>.py`, a `Maker` (simulator/makers.py): the answers of its provider;
3. add its row to `ROWS`.

A format that is only read is an `Api` (wire/answers.py), and one name in `READ`.
"""

from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from functools import lru_cache
from typing import Any, NamedTuple

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
from pertoken.wire.answers import Api
from pertoken.wire.format import Format
from pertoken.wire.usage_table import UsageTable

MODEL = "{model}"


class FormatPath(NamedTuple):
    """One path of a format."""

    path: str
    """At the gateway. `{model}` stands for the name of a model; a colon or a slash follows it."""

    upstream: str
    """At a provider, below its base URL."""

    stream: bool | None = None
    """Whether the answers are streams. None: the body of the request says it."""


class Frame(Enum):
    """What a model reads around the texts of a request, where its tokenizer is known."""

    UNPUBLISHED = "unpublished"  # about as much as around those of a chat
    COOKBOOK = "cookbook"  # as OpenAI's cookbook counts a chat
    NONE = "none"


class CountedAs(NamedTuple):
    """How `pertoken count` takes the requests of a format."""

    api: str
    """The name of the format at `--api`."""

    is_request: Callable[[Mapping[str, Any], str], bool]
    """Whether an object may be such a request, to the model of that name. The first row that says so is taken."""

    frame: Frame = Frame.UNPUBLISHED
    """What is counted beside the texts."""


class FormatRow(NamedTuple):
    """One API that the gateway serves: all that is known of it outside its own modules."""

    format: Format
    """The module that reads and writes it. Its name is that of the format with an underscore for the dot."""

    wire: str
    """The family of providers that speak it, as `wire` in the settings of a provider."""

    paths: tuple[FormatPath, ...]
    """Where it is called."""

    tells_usage: bool = True
    """Whether its answers tell usage, so that `pertoken extract` reads them."""

    dialects: Mapping[str, UsageTable] = {}
    """How usage is told by a provider, as `wire.providers` names it, that does not speak as all others do."""

    session: Api | None = None
    """The API whose events `extract` also takes under this name, told by their `mark`."""

    counted: CountedAs | None = None
    """How `pertoken count` takes its requests. None: it does not."""

    error_paths: str | None = None
    """What stands in unknown paths that are meant for this family: their errors are in this format."""

    two_spellings: bool = False
    """Whether each field of a request may be written in camelCase and in snake_case."""


def _of_gemini(action: str, *, stream: bool | None = None) -> tuple[FormatPath, ...]:
    paths = (f"/{version}/models/{MODEL}:{action}" for version in ("v1beta", "v1"))
    return tuple(FormatPath(path, path, stream) for path in paths)


# `pertoken count` asks the rows in this order whose request a text is.
ROWS: tuple[FormatRow, ...] = (
    FormatRow(
        anthropic_messages,
        "anthropic",
        (FormatPath("/v1/messages", "/v1/messages"),),
        counted=CountedAs("messages", anthropic_messages.is_request),
        error_paths="/messages",
    ),
    FormatRow(
        anthropic_count_tokens,
        "anthropic",
        (FormatPath("/v1/messages/count_tokens", "/v1/messages/count_tokens"),),
        tells_usage=False,
    ),
    FormatRow(
        openai_chat,
        "openai",
        (FormatPath("/v1/chat/completions", "/chat/completions"),),
        dialects={
            "xai": usage_rules.XAI_CHAT,
            "perplexity": usage_rules.PERPLEXITY_CHAT,
            "mistral": usage_rules.MISTRAL_CHAT,
            "litellm": usage_rules.LITELLM_CHAT,
        },
        counted=CountedAs("chat", openai_chat.is_request, Frame.COOKBOOK),
        error_paths="",  # every path that nobody else takes
    ),
    FormatRow(
        openai_embeddings,
        "openai",
        (FormatPath("/v1/embeddings", "/embeddings"),),
        counted=CountedAs("embeddings", openai_embeddings.is_request, Frame.NONE),
    ),
    FormatRow(
        openai_responses,
        "openai",
        (FormatPath("/v1/responses", "/responses"),),
        counted=CountedAs("responses", openai_responses.is_request),
    ),
    FormatRow(
        gemini_generate,
        "gemini",
        (*_of_gemini("generateContent", stream=False), *_of_gemini("streamGenerateContent", stream=True)),
        session=answers.GEMINI_LIVE,
        counted=CountedAs("generate", gemini_generate.is_request),
        error_paths="/v1beta/",
        two_spellings=True,
    ),
    FormatRow(gemini_count_tokens, "gemini", _of_gemini("countTokens"), tells_usage=False, two_spellings=True),
    FormatRow(
        gemini_embed,
        "gemini",
        (*_of_gemini("embedContent"), *_of_gemini("batchEmbedContents")),
        tells_usage=False,  # on most models
        two_spellings=True,
    ),
)

# What is only read, never served.
READ: Mapping[str, Api] = {
    api.name: api
    for api in (
        answers.OPENAI_IMAGES, answers.OPENAI_TRANSCRIPTION, answers.OPENAI_REALTIME, answers.GEMINI_LIVE,
        answers.BEDROCK_CONVERSE, answers.COHERE_CHAT, answers.OLLAMA_CHAT,
    )
}  # fmt: skip

BY_NAME: Mapping[str, FormatRow] = {row.format.name: row for row in ROWS}
SERVED: Mapping[str, Format] = {name: row.format for name, row in BY_NAME.items()}
# What usage can be extracted from.
EXTRACTED: tuple[str, ...] = (*(name for name, row in BY_NAME.items() if row.tells_usage), *READ)


def dialect(api: str, provider: str) -> UsageTable:
    """Return how usage is told in answers of `api` by `provider`, as `wire.providers` names it; any other is as all."""
    row = BY_NAME.get(api)
    return READ[api].rows if row is None else row.dialects.get(provider, row.format.USAGE)


def dialect_served(wire_format: Format, provider: str, prices_from: Sequence[str]) -> UsageTable:
    """Return how usage is told by a provider as it is configured.

    Under a name that nobody knows, it speaks as the first provider does at whose prices it sells.
    """
    return _dialect_served(wire_format.name, provider, tuple(prices_from))


@lru_cache(maxsize=4096)
def _dialect_served(api: str, provider: str, prices_from: tuple[str, ...]) -> UsageTable:
    names = (providers.known(name) for name in (provider, *prices_from))
    return dialect(api, next((name for name in names if name is not None), ""))
