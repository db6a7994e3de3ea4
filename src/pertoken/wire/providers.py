"""The names of providers whose answers can be read, and their other names."""

from collections.abc import Mapping

# Names as in the price data, and names of servers that anyone may run.
PROVIDERS = frozenset(
    {
        "ai21", "aleph-alpha", "alibaba", "anthropic", "anyscale", "arcee", "avian", "aws", "azure", "baidu", "baseten",
        "cerebras", "chutes", "cloudflare", "cohere", "crusoe", "cursor", "databricks", "deepgram", "deepinfra",
        "deepseek", "doubleword", "elevenlabs", "fireworks", "friendli", "github", "github-copilot", "google", "groq",
        "heroku", "huggingface", "hyperbolic", "ibm", "infermatic", "jina", "lambda", "lepton", "litellm", "llamacpp",
        "lmstudio", "localai", "meta", "minimax", "mistral", "modal", "moonshotai", "morph", "nebius", "novita",
        "nscale", "nvidia", "octoai", "ollama", "openai", "openai-compatible", "openai-decisions", "openrouter",
        "oracle", "ovhcloud", "parasail", "perplexity", "portkey", "publicai", "quicksilverpro", "reka", "replicate",
        "requesty", "sambanova", "scaleway", "sglang", "siliconflow", "snowflake", "stepfun", "targon", "tencent",
        "tgi", "together", "triton", "typesafe", "upstage", "venice", "vercel", "vllm", "volcengine", "voyageai",
        "wandb", "writer", "xai", "xinference", "zai", "zhipuai",
    }
)  # fmt: skip

# Other names for these providers in price data, gateways and clouds.
ALSO_CALLED: Mapping[str, str] = {
    "amazon": "aws", "amazon-bedrock": "aws", "aws-bedrock": "aws", "bedrock": "aws", "bedrock-converse": "aws",
    "sagemaker": "aws", "azure-ai": "azure", "azure-openai": "azure", "microsoft": "azure", "foundry": "azure",
    "claude": "anthropic", "codestral": "mistral", "mistralai": "mistral", "cohere-chat": "cohere",
    "dashscope": "alibaba", "qwen": "alibaba", "fireworks-ai": "fireworks", "gemini": "google", "gcp": "google",
    "google-ai-studio": "google", "googleai": "google", "vertex": "google", "vertex-ai": "google",
    "google-vertex": "google", "google-genai": "google", "hugging-face": "huggingface", "hf": "huggingface",
    "hosted-vllm": "vllm", "llama.cpp": "llamacpp", "llama-cpp": "llamacpp", "lm-studio": "lmstudio",
    "meta-llama": "meta", "moonshot": "moonshotai", "kimi": "moonshotai", "nebius-ai": "nebius",
    "novita-ai": "novita", "nvidia-nim": "nvidia", "ollama-chat": "ollama", "oci": "oracle",
    "custom": "openai-compatible", "custom-openai": "openai-compatible", "openai-like": "openai-compatible",
    "text-completion-openai": "openai",
    "pplx": "perplexity", "perplexity-ai": "perplexity", "simulator": "openai-compatible", "together-ai": "together",
    "togetherai": "together", "voyage": "voyageai", "watsonx": "ibm", "weights-and-biases": "wandb", "x-ai": "xai",
    "grok": "xai", "z-ai": "zai", "zhipu": "zhipuai", "bigmodel": "zhipuai", "deep-seek": "deepseek",
    "vercel-ai-gateway": "vercel", "github-models": "github", "cloudflare-workers-ai": "cloudflare",
    "workers-ai": "cloudflare",
}  # fmt: skip


def known(name: str) -> str | None:
    """Return the name in PROVIDERS for any name of a provider, or None if the name is unknown."""
    plain = name.strip().lower().replace("_", "-")
    if plain.startswith("huggingface-"):  # it routes calls to other providers and adds their names
        return "huggingface"
    plain = ALSO_CALLED.get(plain, plain)
    return plain if plain in PROVIDERS else None
