"""What is counted, and how the counts contain one another.

A unit is a set of dimensions. One unit lies inside another when its set contains the other's: cache-read audio tokens
lie inside cache-read tokens, inside audio input tokens, and inside input tokens. Providers report inclusive totals;
a *leaf* is what is left of a unit when everything inside it is taken out. Leaves are disjoint, so pricing leaves
cannot count a token twice.
"""

from collections.abc import Mapping

DIMENSIONS: Mapping[str, frozenset[str]] = {
    "input_tokens": frozenset({"input"}),
    "input_audio_tokens": frozenset({"input", "audio"}),
    "input_image_tokens": frozenset({"input", "image"}),
    "input_video_tokens": frozenset({"input", "video"}),
    "cache_read_tokens": frozenset({"input", "read"}),
    "cache_read_audio_tokens": frozenset({"input", "read", "audio"}),
    "cache_read_image_tokens": frozenset({"input", "read", "image"}),
    "cache_read_video_tokens": frozenset({"input", "read", "video"}),
    "cache_write_tokens": frozenset({"input", "write"}),
    "cache_write_1h_tokens": frozenset({"input", "write", "1h"}),
    "cache_write_12h_tokens": frozenset({"input", "write", "12h"}),
    "cache_write_audio_tokens": frozenset({"input", "write", "audio"}),
    "cache_write_image_tokens": frozenset({"input", "write", "image"}),
    "cache_write_video_tokens": frozenset({"input", "write", "video"}),
    "output_tokens": frozenset({"output"}),
    "reasoning_tokens": frozenset({"output", "reasoning"}),
    "output_audio_tokens": frozenset({"output", "audio"}),
    "output_image_tokens": frozenset({"output", "image"}),
    "output_video_tokens": frozenset({"output", "video"}),
    "citation_tokens": frozenset({"output", "citation"}),
    "cache_token_hours": frozenset({"storage"}),  # kept in a cache: tokens x hours
    "web_searches": frozenset({"web_search"}),
    "file_searches": frozenset({"file_search"}),
    "code_sessions": frozenset({"code_session"}),
    "map_queries": frozenset({"map_query"}),
    "seconds": frozenset({"second"}),
    "characters": frozenset({"character"}),
    "pages": frozenset({"page"}),
    "annotated_pages": frozenset({"annotated_page"}),
    "messages": frozenset({"message"}),
    "images": frozenset({"image_made"}),
    "requests": frozenset({"request"}),
}

INPUT_UNITS = frozenset(unit for unit, dimensions in DIMENSIONS.items() if "input" in dimensions)
OUTPUT_UNITS = frozenset(unit for unit, dimensions in DIMENSIONS.items() if "output" in dimensions)
TOKEN_UNITS = INPUT_UNITS | OUTPUT_UNITS

MODALITIES = frozenset({"audio", "image", "video"})

UNITS: tuple[str, ...] = tuple(DIMENSIONS)

# Inner units first, so that a walk takes the most precise quantity out before its containers.
INNER_FIRST: tuple[str, ...] = tuple(sorted(UNITS, key=lambda unit: -len(DIMENSIONS[unit])))

INSIDE: Mapping[str, tuple[str, ...]] = {
    unit: tuple(other for other in INNER_FIRST if DIMENSIONS[other] > DIMENSIONS[unit]) for unit in UNITS
}

# Where a unit has no price of its own, the nearest container's price covers it (fewest dimensions dropped first).
CONTAINERS: Mapping[str, tuple[str, ...]] = {
    unit: tuple(other for other in INNER_FIRST if DIMENSIONS[other] < DIMENSIONS[unit]) for unit in UNITS
}
