"""Anthropic's token counting: a free helper call, passed through."""

from pertoken.core.facts import RequestFacts
from pertoken.core.usage import Reading
from pertoken.wire import anthropic_family, anthropic_messages, usage_reading
from pertoken.wire.usage_table import UsageTable

name = "anthropic.count_tokens"

USAGE = anthropic_messages.USAGE

read_content = anthropic_messages.read_content
rewrite = anthropic_messages.rewrite
error = anthropic_family.error
stream_error = anthropic_family.stream_error
answer_text = anthropic_messages.answer_text
stream_reader = anthropic_messages.stream_reader


def read_request(body: bytes, path_model: str | None = None) -> RequestFacts:
    """Return the facts of a request, marked as free. Raises BadRequest if the body is not a request of this API."""
    facts = anthropic_messages.read_request(body, path_model)
    return facts._replace(bills=False, stream=False)


def read_answer(body: bytes, rows: UsageTable = USAGE) -> Reading:  # noqa: ARG001 - nothing is used
    """Return a reading without usage: the call is free."""
    return usage_reading.missing()
