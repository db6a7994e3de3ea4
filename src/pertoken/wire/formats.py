"""The registry: one row for every API that pertoken reads. Only a format's own modules and this one name it.

`ROWS` lists the APIs that the gateway serves, `READ` those whose answers are only read. To add a format to serve:

1. write `wire/<family>_<api>.py`, a `Format` (wire/format.py): reading, rewriting, usage table, errors;
2. write `simulator/<family>_<api>.py`, a `Maker` (simulator/makers.py): the answers of its provider;
3. add its row to `ROWS`.

For a format that is only read, write an `Api` (wire/answers.py) and add it to `READ`.
"""

from collections.abc import Callable, Mapping, Sequence
from enum import Enum, StrEnum
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
    """The path at the gateway. `{model}` stands for the name of a model, followed by a colon or a slash."""

    upstream: str
    """The path at a provider, below its base URL."""

    stream: bool | None = None
    """Whether the answers are streams. None: the body of the request decides."""


class Frame(Enum):
    """Which tokens are counted around the texts of a request, if the tokenizer of the model is known."""

    UNPUBLISHED = "unpublished"  # about as many as in a chat
    COOKBOOK = "cookbook"  # as OpenAI's cookbook counts a chat
    NONE = "none"


class CountedAs(NamedTuple):
    """How `pertoken count` recognizes and counts the requests of a format."""

    api: str
    """The value of `--api` that names the format."""

    is_request: Callable[[Mapping[str, Any], str], bool]
    """Takes an object and a model name; tells whether the object may be such a request. The first match is used."""

    frame: Frame = Frame.UNPUBLISHED
    """Which tokens are counted in addition to the texts."""


class Operation(StrEnum):
    """What a call of a format does, as OpenTelemetry names it (`gen_ai.operation.name`)."""

    CHAT = "chat"
    EMBEDDINGS = "embeddings"
    GENERATE_CONTENT = "generate_content"


class FormatRow(NamedTuple):
    """One API that the gateway serves: everything that other modules need to know about it."""

    format: Format
    """The module that reads and writes it, named like the format with an underscore in place of the dot."""

    wire: str
    """The family of its providers: the value of `wire` in the settings of a provider."""

    paths: tuple[FormatPath, ...]
    """The paths at which it is called."""

    operation: Operation
    """What its calls do."""

    tells_usage: bool = True
    """Whether its answers contain usage, so that `pertoken extract` reads them."""

    dialects: Mapping[str, UsageTable] = {}
    """The usage tables of providers that report usage differently, by the provider's name in `wire.providers`."""

    session: Api | None = None
    """A second API that `extract` reads under this name. The second API's `mark` identifies its events."""

    counted: CountedAs | None = None
    """How `pertoken count` counts its requests. None: it cannot."""

    error_paths: str | None = None
    """A substring of paths. An unknown path that contains it gets its error in this format. None: no path does."""

    two_spellings: bool = False
    """Whether each field of a request may be written in camelCase and in snake_case."""


def _of_gemini(action: str, *, stream: bool | None = None) -> tuple[FormatPath, ...]:
    paths = (f"/{version}/models/{MODEL}:{action}" for version in ("v1beta", "v1"))
    return tuple(FormatPath(path, path, stream) for path in paths)


# `pertoken count` tries the rows in this order.
ROWS: tuple[FormatRow, ...] = (
    FormatRow(
        anthropic_messages,
        "anthropic",
        (FormatPath("/v1/messages", "/v1/messages"),),
        Operation.CHAT,
        counted=CountedAs("messages", anthropic_messages.is_request),
        error_paths="/messages",
    ),
    FormatRow(
        anthropic_count_tokens,
        "anthropic",
        (FormatPath("/v1/messages/count_tokens", "/v1/messages/count_tokens"),),
        Operation.CHAT,
        tells_usage=False,
    ),
    FormatRow(
        openai_chat,
        "openai",
        (FormatPath("/v1/chat/completions", "/chat/completions"),),
        Operation.CHAT,
        dialects={
            "xai": usage_rules.XAI_CHAT,
            "perplexity": usage_rules.PERPLEXITY_CHAT,
            "mistral": usage_rules.MISTRAL_CHAT,
            "litellm": usage_rules.LITELLM_CHAT,
        },
        counted=CountedAs("chat", openai_chat.is_request, Frame.COOKBOOK),
        error_paths="",  # every path that matches no other row
    ),
    FormatRow(
        openai_embeddings,
        "openai",
        (FormatPath("/v1/embeddings", "/embeddings"),),
        Operation.EMBEDDINGS,
        counted=CountedAs("embeddings", openai_embeddings.is_request, Frame.NONE),
    ),
    FormatRow(
        openai_responses,
        "openai",
        (FormatPath("/v1/responses", "/responses"),),
        Operation.CHAT,
        counted=CountedAs("responses", openai_responses.is_request),
    ),
    FormatRow(
        gemini_generate,
        "gemini",
        (*_of_gemini("generateContent", stream=False), *_of_gemini("streamGenerateContent", stream=True)),
        Operation.GENERATE_CONTENT,
        session=answers.GEMINI_LIVE,
        counted=CountedAs("generate", gemini_generate.is_request),
        error_paths="/v1beta/",
        two_spellings=True,
    ),
    FormatRow(
        gemini_count_tokens,
        "gemini",
        _of_gemini("countTokens"),
        Operation.GENERATE_CONTENT,
        tells_usage=False,
        two_spellings=True,
    ),
    FormatRow(
        gemini_embed,
        "gemini",
        (*_of_gemini("embedContent"), *_of_gemini("batchEmbedContents")),
        Operation.EMBEDDINGS,
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
# How the paths of calls begin: nothing else the gateway serves begins so.
ROOTS: tuple[str, ...] = tuple(sorted({f"/{at.path.split('/')[1]}/" for row in ROWS for at in row.paths}))
SERVED: Mapping[str, Format] = {name: row.format for name, row in BY_NAME.items()}
# The formats that `pertoken extract` reads.
EXTRACTED: tuple[str, ...] = (*(name for name, row in BY_NAME.items() if row.tells_usage), *READ)


def dialect(api: str, provider: str) -> UsageTable:
    """Return the usage table for answers of `api` from `provider`, a name in `wire.providers`.

    A provider without a dialect has the table of the API.
    """
    row = BY_NAME.get(api)
    return READ[api].rows if row is None else row.dialects.get(provider, row.format.USAGE)


def dialect_served(wire_format: Format, provider: str, prices_from: Sequence[str]) -> UsageTable:
    """Return the usage table for a configured provider.

    If its name is unknown, the table is that of the first known provider in `prices_from`.
    """
    return _dialect_served(wire_format.name, provider, tuple(prices_from))


@lru_cache(maxsize=4096)
def _dialect_served(api: str, provider: str, prices_from: tuple[str, ...]) -> UsageTable:
    names = (providers.known(name) for name in (provider, *prices_from))
    return dialect(api, next((name for name in names if name is not None), ""))
