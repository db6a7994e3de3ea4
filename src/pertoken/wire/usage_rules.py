"""The unit of each field in each API's usage object: one row for each, with its source and the day it was noted.

Input and output are inclusive totals, so a row for a part does not change its total. Providers differ in whether some
tokens are inside a total or outside it; their own total decides (`Beside`).
"""

from collections.abc import Mapping

from pertoken.wire.usage_table import Beside, Check, Listed, Plain, Stated, UsageTable, Zero, rule, table, term, terms

# Sources, each with the day it was noted. OpenAI's, Anthropic's and Google's were compared with the types in their SDKs
# of that day. The others follow notes on the providers' references.
CHAT = "OpenAI API reference, chat completion, usage; 2026-11-23"
RESPONSES = "OpenAI API reference, response, usage; 2026-11-23"
RESPONSES_TOOL_USAGE = "OpenAI API reference, response, tool_usage; openai-python 3.54.0; 2026-11-23"
EMBEDDINGS = "OpenAI API reference, embeddings, usage; 2026-11-23"
IMAGES = "OpenAI API reference, images response, usage; 2026-11-23"
TRANSCRIPTION = "OpenAI API reference, transcription, usage by tokens or by duration; 2026-11-23"
REALTIME = "OpenAI API reference, realtime server event response.done, usage; 2026-11-23"
ANTHROPIC = "Anthropic API reference, messages, usage; 2026-11-23"
GEMINI = "Gemini API reference, generateContent, UsageMetadata; 2026-11-23"
GEMINI_LIVE = "Gemini API reference, Live, UsageMetadata; 2026-11-23"
BEDROCK = "Amazon Bedrock API reference, TokenUsage and CacheDetail; 2026-11-23"
BEDROCK_COUNTS = "Amazon Bedrock API reference, InvokeModel, invocation metrics; Converse answers tell both; 2026-11-27"
BEDROCK_OPENAI = "report on opencode, issue 47296: OpenAI models on Bedrock count cache inside input; 2026-11-23"
COHERE = "Cohere API reference, chat v2, usage, and chat v1, meta; 2026-11-23"
OLLAMA = "Ollama API reference, chat, final response; 2026-11-23"
DATABRICKS = "genai-prices 0.2.3, extractor databricks; 2026-11-23"
DEEPSEEK = "DeepSeek API reference, chat completion, usage; 2026-11-23"
MISTRAL = "Mistral API reference, chat completion, UsageInfo; 2026-11-23"
MISTRAL_OCR = "Mistral API reference, OCR, usage_info; 2026-11-23"
MOONSHOT = "Moonshot API reference, chat completion, usage; 2026-11-23"
OPENROUTER = "OpenRouter API reference, usage accounting; 2026-11-23"
PERPLEXITY = "Perplexity API reference, chat completion, usage; genai-prices 0.2.3, extractor perplexity; 2026-11-23"
GROQ_TOOLS = "Groq documentation, compound systems, executed_tools, and built-in tools; 2026-11-27"
LITELLM = "LiteLLM 1.110.2, types of Usage and PromptTokensDetailsWrapper; 2026-11-27"
MISTRAL_CACHE = "Mistral API reference, UsageInfo; issue 14382 on the AI SDK; 2026-11-27"
BEDROCK_LLAMA = "Amazon Bedrock user guide, Meta Llama models, response; 2026-11-27"
VERCEL = "Vercel AI SDK reference, generateText, usage of its versions 4 and 5; 2026-11-27"
XAI_TOOLS = "xAI API reference, server-side tool usage; 2026-11-27"
XAI = "xAI API reference, chat completion and response, usage; 2026-11-23"

# The cost of the call in USD, as the provider states it. If the caller's own key was used, the caller paid the provider
# behind OpenRouter, and `cost` is OpenRouter's fee and the price of what it ran itself.
_COSTS = (
    Stated(
        "reported_cost",
        ("cost_details", "upstream_inference_cost"),
        OPENROUTER,
        only_if="is_byok",
        plus=("cost",),
    ),
    Stated("reported_cost", ("cost", "total_cost"), PERPLEXITY),
    Stated("reported_cost", ("cost",), OPENROUTER, unless="is_byok"),
    Stated("reported_fee", ("cost",), OPENROUTER, only_if="is_byok"),  # if the answer does not say the provider's price
    Stated("reported_cost", ("cost_in_usd_ticks",), XAI, exponent=-10),
)

_CHAT_ROWS = (
    *_COSTS,
    rule("input_tokens", "prompt_tokens", CHAT),
    rule("cache_read_tokens", "prompt_tokens_details.cached_tokens", CHAT),
    rule("cache_read_tokens", "prompt_cache_hit_tokens", DEEPSEEK),
    rule("cache_read_tokens", "cached_tokens", MOONSHOT),
    rule("cache_read_tokens", "cache_read_input_tokens", DATABRICKS),
    rule("cache_write_tokens", "prompt_tokens_details.cache_write_tokens", CHAT),
    rule("input_audio_tokens", "prompt_tokens_details.audio_tokens", CHAT),
    rule("input_image_tokens", "prompt_tokens_details.image_tokens", CHAT),
    rule("input_video_tokens", "prompt_tokens_details.video_tokens", OPENROUTER),
    rule("output_tokens", "completion_tokens", CHAT),
    rule("reasoning_tokens", "completion_tokens_details.reasoning_tokens", CHAT),
    rule("reasoning_tokens", "reasoning_tokens", DATABRICKS),
    rule("output_audio_tokens", "completion_tokens_details.audio_tokens", CHAT),
    rule("output_image_tokens", "completion_tokens_details.image_tokens", OPENROUTER),
    Plain(rule("input_tokens", "prompt_tokens_details.text_tokens", CHAT)),
    Plain(rule("output_tokens", "completion_tokens_details.text_tokens", CHAT)),
    rule("web_searches", "server_tool_use.web_search_requests", OPENROUTER),
    rule("pages", "pages_processed", MISTRAL_OCR),
    Check(term("prompt_tokens"), terms("prompt_cache_hit_tokens + prompt_cache_miss_tokens"), DEEPSEEK, exact=True),
)
# A search of X costs the same as a search of the web. A source that was read is charged as one search.
_XAI_TOOLS = (
    rule(
        "web_searches",
        "server_side_tool_usage_details.web_search_calls|num_sources_used"
        " + server_side_tool_usage_details.x_search_calls",
        XAI_TOOLS,
    ),
    rule(  # if the answer has no field for searches of the web
        "web_searches",
        "server_side_tool_usage_details.x_search_calls"
        " + server_side_tool_usage_details.web_search_calls|num_sources_used",
        XAI_TOOLS,
    ),
    rule("file_searches", "server_side_tool_usage_details.file_search_calls", XAI),
    rule("code_sessions", "server_side_tool_usage_details.code_interpreter_calls", XAI_TOOLS),
)
_REASONING = terms("completion_tokens_details.reasoning_tokens|reasoning_tokens")

OPENAI_CHAT = table(*_CHAT_ROWS, Beside("output_tokens", _REASONING, beside=False, source=XAI), total="total_tokens")
XAI_CHAT = table(
    *_CHAT_ROWS,
    *_XAI_TOOLS,
    Beside("output_tokens", _REASONING, beside=True, source=XAI),
    total="total_tokens",
)
PERPLEXITY_CHAT = table(
    *_CHAT_ROWS,
    rule("web_searches", "num_search_queries", PERPLEXITY),
    Beside("output_tokens", _REASONING, beside=True, source=PERPLEXITY, always=True),
    Beside("output_tokens", terms("citation_tokens"), beside=True, source=PERPLEXITY, always=True),
    rule("citation_tokens", "citation_tokens", PERPLEXITY),
    total="total_tokens",
)
_SECONDS_HEARD = Stated("seconds", ("prompt_audio_seconds",), MISTRAL)
# With sound in the prompt, the total includes the sound's tokens. No other field has them, so the total is not checked.
_MISTRAL_ROWS = (
    *_CHAT_ROWS,
    _SECONDS_HEARD,
    rule("cache_read_tokens", "num_cached_tokens", MISTRAL_CACHE),
    rule("cache_read_tokens", "prompt_token_details.cached_tokens", MISTRAL_CACHE),
)
MISTRAL_CHAT = table(*_MISTRAL_ROWS, total="total_tokens")
MISTRAL_SOUND = table(*_MISTRAL_ROWS)
# How LiteLLM's proxy reports usage of Claude and Gemini in the chat format.
LITELLM_CHAT = table(
    *_CHAT_ROWS,
    rule("cache_write_tokens", "cache_creation_input_tokens", LITELLM),
    rule("cache_write_tokens", "prompt_tokens_details.cache_creation_tokens", LITELLM),
    rule(
        "cache_write_1h_tokens",
        "prompt_tokens_details.cache_creation_token_details.ephemeral_1h_input_tokens",
        LITELLM,
    ),
    rule("web_searches", "prompt_tokens_details.web_search_requests", LITELLM),
    Beside("output_tokens", _REASONING, beside=False, source=XAI),
    total="total_tokens",
)

# Tools that Groq ran, in `executed_tools` of a message: type -> (unit, source). Any other type counts as a search.
GROQ_RUNS: Mapping[str, tuple[str, str]] = {
    "python": ("code_sessions", GROQ_TOOLS),
    "code_interpreter": ("code_sessions", GROQ_TOOLS),
    "code_execution": ("code_sessions", GROQ_TOOLS),
}
GROQ_RUN_ELSE = "web_searches"

# Fields that only one provider uses, and the table that its answers need.
CHAT_MARKS: tuple[tuple[str, UsageTable], ...] = (
    ("citation_tokens", PERPLEXITY_CHAT),
    ("prompt_audio_seconds", MISTRAL_SOUND),
)

OPENAI_RESPONSES = table(
    *_COSTS,
    rule("input_tokens", "input_tokens", RESPONSES),
    rule("cache_read_tokens", "input_tokens_details.cached_tokens", RESPONSES),
    rule("cache_read_tokens", "input_tokens_details.cache_read_input_tokens", PERPLEXITY),
    rule("cache_write_tokens", "input_tokens_details.cache_write_tokens", RESPONSES),
    rule("output_tokens", "output_tokens", RESPONSES),
    rule("reasoning_tokens", "output_tokens_details.reasoning_tokens", RESPONSES),
    *_XAI_TOOLS,
    rule("web_searches", "tool_calls_details.search_web.invocation", PERPLEXITY),
    total="total_tokens",
)
# The usage of OpenAI's own tools in Responses, in `tool_usage` next to `usage`. It has only billed searches.
RESPONSES_TOOLS = table(rule("web_searches", "web_search.num_requests", RESPONSES_TOOL_USAGE))
# Units that neither object reports are counted from the output items: type -> (unit, source).
RESPONSES_ITEMS: Mapping[str, tuple[str, str]] = {
    "web_search_call": ("web_searches", RESPONSES),
    "file_search_call": ("file_searches", RESPONSES),
    "image_generation_call": ("images", RESPONSES),
    "code_interpreter_call": ("code_sessions", RESPONSES),
    "shell_call": ("code_sessions", RESPONSES),  # except a shell that runs at the client
}
# Calls with the same value of this field count as one, because a container is charged once.
RESPONSES_SHARED: Mapping[str, str] = {"code_interpreter_call": "container_id"}
RESPONSES_UNBILLED = frozenset({"open_page", "find_in_page"})  # not searches (source: RESPONSES_TOOL_USAGE)

OPENAI_EMBEDDINGS = table(
    *_COSTS,
    rule("input_tokens", "prompt_tokens", EMBEDDINGS),
    Zero("output_tokens", term("prompt_tokens"), EMBEDDINGS),  # vectors are not tokens
    total="total_tokens",
    rest="input_tokens",
)

OPENAI_IMAGES = table(
    rule("input_tokens", "input_tokens", IMAGES),
    rule("input_image_tokens", "input_tokens_details.image_tokens", IMAGES),
    rule("cache_read_tokens", "input_tokens_details.cached_tokens", IMAGES),
    rule("output_tokens", "output_tokens", IMAGES),
    rule("output_image_tokens", "output_tokens_details.image_tokens|output_tokens", IMAGES),  # undivided: all image
    Check(
        term("input_tokens"),
        terms("input_tokens_details.text_tokens + input_tokens_details.image_tokens"),
        IMAGES,
        exact=True,
    ),
    Check(
        term("output_tokens"),
        terms("output_tokens_details.text_tokens + output_tokens_details.image_tokens"),
        IMAGES,
        exact=True,
    ),
    total="total_tokens",
)

OPENAI_TRANSCRIPTION = table(
    Stated("seconds", ("seconds",), TRANSCRIPTION),
    Stated("seconds", ("duration",), TRANSCRIPTION),  # in verbose_json, if there is no usage
    Stated("seconds", ("prompt_audio_seconds",), MISTRAL),
    rule("input_tokens", "input_tokens", TRANSCRIPTION),
    rule("input_audio_tokens", "input_token_details.audio_tokens", TRANSCRIPTION),
    rule("output_tokens", "output_tokens", TRANSCRIPTION),
    Check(
        term("input_tokens"),
        terms("input_token_details.text_tokens + input_token_details.audio_tokens"),
        TRANSCRIPTION,
        exact=True,
    ),
    total="total_tokens",
)

OPENAI_REALTIME = table(
    Stated("seconds", ("seconds",), REALTIME),  # of transcribed input
    rule("input_tokens", "input_tokens", REALTIME),
    rule("input_audio_tokens", "input_token_details.audio_tokens", REALTIME),
    rule("input_image_tokens", "input_token_details.image_tokens", REALTIME),
    rule("cache_read_tokens", "input_token_details.cached_tokens", REALTIME),
    rule("cache_read_audio_tokens", "input_token_details.cached_tokens_details.audio_tokens", REALTIME),
    rule("cache_read_image_tokens", "input_token_details.cached_tokens_details.image_tokens", REALTIME),
    rule("output_tokens", "output_tokens", REALTIME),
    rule("output_audio_tokens", "output_token_details.audio_tokens", REALTIME),
    rule("reasoning_tokens", "output_token_details.reasoning_tokens", REALTIME),
    Check(
        term("input_tokens"),
        terms("input_token_details.text_tokens + input_token_details.audio_tokens + input_token_details.image_tokens"),
        REALTIME,
        exact=True,
    ),
    Check(
        term("input_token_details.cached_tokens"),
        terms(
            "input_token_details.cached_tokens_details.text_tokens + "
            "input_token_details.cached_tokens_details.audio_tokens + "
            "input_token_details.cached_tokens_details.image_tokens"
        ),
        REALTIME,
        exact=True,
    ),
    Check(
        term("output_tokens"), terms("output_token_details.text_tokens + output_token_details.audio_tokens"), REALTIME
    ),
    total="total_tokens",
)

# `input_tokens` counts only uncached tokens; it does not include cache writes and cache reads.
ANTHROPIC_MESSAGES = table(
    *_COSTS,
    rule("input_tokens", "input_tokens + cache_creation_input_tokens + cache_read_input_tokens", ANTHROPIC),
    rule("cache_read_tokens", "cache_read_input_tokens", ANTHROPIC),
    rule("cache_write_tokens", "cache_creation_input_tokens", ANTHROPIC),
    rule("cache_write_1h_tokens", "cache_creation.ephemeral_1h_input_tokens", ANTHROPIC),
    rule("output_tokens", "output_tokens", ANTHROPIC),
    rule("reasoning_tokens", "output_tokens_details.thinking_tokens", ANTHROPIC),
    rule("web_searches", "server_tool_use.web_search_requests", ANTHROPIC),
    Check(
        term("cache_creation_input_tokens"),
        terms("cache_creation.ephemeral_5m_input_tokens + cache_creation.ephemeral_1h_input_tokens"),
        ANTHROPIC,
    ),
)


# Clients that send $alt=json;enum-encoding=int get numbers (MediaModality, v1beta). Google's older REST client does so.
_NUMBERS = {"TEXT": 1, "IMAGE": 2, "VIDEO": 3, "AUDIO": 4, "DOCUMENT": 5}


def _by_modality(unit: str, lists: str, *modalities: str) -> tuple[Listed, ...]:
    return tuple(
        Listed(unit, one, "modality", modality, "tokenCount", GEMINI, _NUMBERS[modality])
        for one in lists.split()
        for modality in modalities
    )


# `promptTokenCount` includes cached tokens. Documents are billed as images, one for each page.
GEMINI_GENERATE = table(
    rule("input_tokens", "promptTokenCount", GEMINI),
    rule("cache_read_tokens", "cachedContentTokenCount", GEMINI),
    rule("output_tokens", "candidatesTokenCount", GEMINI),
    rule("output_tokens", "responseTokenCount", GEMINI_LIVE),
    rule("reasoning_tokens", "thoughtsTokenCount", GEMINI),
    *_by_modality("input_audio_tokens", "promptTokensDetails toolUsePromptTokensDetails", "AUDIO"),
    *_by_modality("input_image_tokens", "promptTokensDetails toolUsePromptTokensDetails", "IMAGE", "DOCUMENT"),
    *_by_modality("input_video_tokens", "promptTokensDetails toolUsePromptTokensDetails", "VIDEO"),
    *_by_modality("cache_read_audio_tokens", "cacheTokensDetails", "AUDIO"),
    *_by_modality("cache_read_image_tokens", "cacheTokensDetails", "IMAGE", "DOCUMENT"),
    *_by_modality("cache_read_video_tokens", "cacheTokensDetails", "VIDEO"),
    *_by_modality("output_audio_tokens", "candidatesTokensDetails responseTokensDetails", "AUDIO"),
    *_by_modality("output_image_tokens", "candidatesTokensDetails responseTokensDetails", "IMAGE"),
    *(Plain(one) for one in _by_modality("input_tokens", "promptTokensDetails toolUsePromptTokensDetails", "TEXT")),
    *(Plain(one) for one in _by_modality("output_tokens", "candidatesTokensDetails responseTokensDetails", "TEXT")),
    Zero("output_tokens", term("totalTokenCount|thoughtsTokenCount"), GEMINI),  # this API omits zeros
    Beside("input_tokens", terms("toolUsePromptTokenCount"), beside=True, source=GEMINI),
    Beside("output_tokens", terms("thoughtsTokenCount"), beside=True, source=GEMINI),
    total="totalTokenCount",
)

# One measured stream of an OpenAI model on Bedrock has a total that counts the cache twice (bifrost, pull request
# 6942). No field shows that, so for such a stream the total decides wrongly.
BEDROCK_CONVERSE = table(
    rule("input_tokens", "inputTokens", BEDROCK),
    rule("cache_read_tokens", "cacheReadInputTokens", BEDROCK),
    rule("cache_write_tokens", "cacheWriteInputTokens", BEDROCK),
    rule("output_tokens", "outputTokens", BEDROCK),
    rule("input_tokens", "inputTokenCount", BEDROCK_COUNTS),
    rule("cache_read_tokens", "cacheReadInputTokenCount", BEDROCK_COUNTS),
    rule("cache_write_tokens", "cacheWriteInputTokenCount", BEDROCK_COUNTS),
    rule("output_tokens", "outputTokenCount", BEDROCK_COUNTS),
    rule("input_tokens", "prompt_token_count", BEDROCK_LLAMA),
    rule("output_tokens", "generation_token_count", BEDROCK_LLAMA),
    Listed("cache_write_1h_tokens", "cacheDetails", "ttl", "1h", "inputTokens", BEDROCK),
    Beside(
        "input_tokens",
        terms("cacheReadInputTokens|cacheReadInputTokenCount + cacheWriteInputTokens|cacheWriteInputTokenCount"),
        beside=True,
        source=BEDROCK_OPENAI,
    ),
    total="totalTokens|totalTokenCount",
)

# Billed units come first. The tokens that the model read also include the template around each prompt.
COHERE_CHAT = table(
    rule("input_tokens", "billed_units.input_tokens|tokens.input_tokens", COHERE),
    rule("output_tokens", "billed_units.output_tokens|tokens.output_tokens", COHERE),
    rule("images", "billed_units.images", COHERE),
    Check(term("tokens.input_tokens"), terms("cached_tokens"), COHERE),
)
# Cached tokens are part of all tokens that the model read. They count only if they fit into the billed tokens.
COHERE_CACHED = (rule("cache_read_tokens", "cached_tokens", COHERE),)

# Not a provider's API: the usage that programs and proxies store if they call models through the AI SDK.
AI_SDK = table(
    rule("input_tokens", "promptTokens|inputTokens", VERCEL),
    rule("cache_read_tokens", "cachedInputTokens", VERCEL),
    rule("output_tokens", "completionTokens|outputTokens", VERCEL),
    rule("reasoning_tokens", "reasoningTokens", VERCEL),
    total="totalTokens",
)

OLLAMA_CHAT = table(
    rule("input_tokens", "prompt_eval_count", OLLAMA),  # may be missing
    rule("output_tokens", "eval_count", OLLAMA),
)

# Units that have prices but that no answer reports: unit -> what is charged, or why nothing is.
UNTOLD: Mapping[str, str] = {
    "requests": "one a call, by rule (core.rating)",
    "characters": "speech synthesis answers with sound alone; the gateway does not serve it, so it is reported",
    "messages": "text that a voice session is sent; the gateway does not serve sessions, so it is reported",
    "annotated_pages": "a choice of the OCR request, which the gateway does not serve, so it is reported",
    "cache_token_hours": "by the hour that a cache is kept, which no call ends",
}
