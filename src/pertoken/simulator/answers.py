"""The parts of an answer that all formats share: deterministic words, counts, and JSON that fits a schema."""

import zlib
from collections.abc import Sequence
from typing import Any, NamedTuple

from pertoken.simulator.behaviour import Behaviour
from pertoken.simulator.ledger import ServedTokens
from pertoken.simulator.tokens import MEDIA, count_input

# With a space before it, each word is one token in the tokenizers that OpenAI has published.
WORDS = ("amber", "cedar", "delta", "ember", "forest", "haven", "inlet", "river", "stone", "maple", "valley", "ocean")
MEDIA_FIELDS = ("data", "file_data")  # base64
GARBAGE = {"prompt_tokens": -5, "input_tokens": -5, "promptTokenCount": -5, "completion_tokens": "many"}


class SimulatedCall(NamedTuple):
    """A request to the simulator."""

    model: str  # from the path, or else from the body
    request: dict[str, Any]
    body: bytes  # `request` as received
    behaviour: Behaviour
    query: bytes = b""


class AnswerPiece(NamedTuple):
    """One piece of a streamed answer, and how many output tokens it contains."""

    data: bytes
    tokens: int = 0


class Reply(NamedTuple):
    """An answer, as one body and as a stream, with its usage."""

    model: str
    used: ServedTokens | None  # None: it costs nothing
    body: bytes
    pieces: tuple[AnswerPiece, ...] = ()
    content_type: bytes = b"text/event-stream"


class Draft(NamedTuple):
    """The content of an answer, before a format writes it."""

    model: str
    ident: str
    words: tuple[str, ...]
    input_tokens: int
    cached_tokens: int
    reasoning_tokens: int
    capped: bool

    @property
    def text(self) -> str:
        """The whole text."""
        return "".join(self.words)

    @property
    def output_tokens(self) -> int:
        """All output, reasoning included."""
        return len(self.words) + self.reasoning_tokens


def counted(asked: SimulatedCall, texts: Sequence[str]) -> int:
    """Return the tokens of the input."""
    return count_input(asked.model, asked.body, texts, asked.behaviour)


def draft(asked: SimulatedCall, texts: Sequence[str], *, cap: int | None, reasons: bool) -> Draft:
    """Return the answer's content, made from a hash of the request: the same request gets the same answer."""
    behaviour = asked.behaviour
    seed = zlib.crc32(asked.body)
    input_tokens = counted(asked, texts)
    wanted = 10 + seed % 50 if behaviour.output_tokens is None else behaviour.output_tokens
    if behaviour.fault == "exceed_max_tokens" and cap is not None:
        output, capped = 2 * cap, False
    else:
        output = wanted if cap is None else min(wanted, cap)
        capped = output < wanted
    reasoning = output // 3 if reasons else 0
    words = tuple(" " + WORDS[(seed + at * 7) % len(WORDS)] for at in range(output - reasoning))
    served = "some-other-model" if behaviour.fault == "wrong_model" else asked.model
    return Draft(
        served, f"{seed:08x}", words, input_tokens, min(behaviour.cached_tokens, input_tokens), reasoning, capped
    )


def with_words(made: Draft, text: str) -> Draft:
    """Return the draft with `text` as its content, one token for each three characters."""
    words = tuple(text[at : at + 3] for at in range(0, len(text), 3))
    return made._replace(words=words, capped=False)


def gather(value: object, texts: list[str]) -> list[str]:
    """Add every text inside a value to `texts`. For pictures, sounds and files, add only a mark."""
    if isinstance(value, str):
        texts.append(value)
    elif isinstance(value, list):
        for entry in value:
            gather(entry, texts)
    elif isinstance(value, dict):
        for key, entry in value.items():
            gather(MEDIA if key in MEDIA_FIELDS else entry, texts)
    return texts


def fit(schema: Any, depth: int = 0) -> Any:
    """Return a value that fits a JSON schema's required properties."""
    if not isinstance(schema, dict) or depth > 8:
        return "amber"
    if "enum" in schema:
        return schema["enum"][0]
    for key in ("anyOf", "oneOf", "allOf"):
        if schema.get(key):
            return fit(schema[key][0], depth + 1)
    kind = str(schema.get("type", "object" if "properties" in schema else "string")).lower()
    match kind:
        case "object":
            return {name: fit(inner, depth + 1) for name, inner in (schema.get("properties") or {}).items()}
        case "array":
            return [fit(schema.get("items"), depth + 1)]
        case "integer" | "number":
            return 7
        case "boolean":
            return True
        case "null":
            return None
    return "amber"
