"""The facts about a request that are known before it is sent."""

from collections.abc import Mapping
from typing import NamedTuple


class RequestFacts(NamedTuple):
    """What a request says about its own cost."""

    model: str
    stream: bool = False
    output_max: int | None = None  # the client's own cap on output tokens, per choice
    output_min: int = 0  # a lower cap would be refused, as one that leaves no room beside the thinking asked for
    output_field: str | None = None  # which field says so, where it is one that not every provider knows
    choices: int = 1
    wants_usage: bool = True  # False: usage was not asked for and must be stripped from the stream
    has_media: bool = False  # images, audio, video or files: the byte bound alone cannot say what they cost
    has_tools: bool = False
    input_more: int = 0  # tokens that explain the provider's own tools to the model, beyond the body
    hidden_input: str | None = None  # why input may exceed what the body shows (stored conversations, server tools)
    server_tools: bool = False  # tools that may run at the provider: `choices.read_tools` knows what they cost
    web_searches_max: int = 0
    units_max: tuple[tuple[str, int], ...] = ()  # of every other paid extra: (unit, how many at most)
    repeats: int = 1  # how many times the model may be run and charged for this one request
    output_more: int = 0  # tokens beyond the cap that may be charged as output
    output_modalities: frozenset[str] = frozenset()  # "audio", "image": beyond text
    service_tier: str | None = None
    speed: str | None = None
    region: str | None = None
    attributes: tuple[tuple[str, str], ...] = ()  # other conditions of prices, such as the size of a search's context
    long_cache: bool = False  # may write to the one-hour cache
    user: str | None = None
    conversation: str | None = None
    metadata: Mapping[str, str] = {}
    bills: bool = True  # False: a free helper call, such as counting tokens
