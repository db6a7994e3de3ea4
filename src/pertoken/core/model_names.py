"""Tells whether two names mean one model, because providers may answer with a dated, prefixed or longer name."""

import re
from functools import lru_cache

# What stands before a model's own name at Bedrock: where it runs, and who made it.
_BEFORE = re.compile(
    r"^(?:(?:us-gov|us|eu|apac|ap|au|ca|jp|sa|global)\.)?"
    r"(?:(?:ai21|amazon|anthropic|cohere|deepseek|google|meta|minimax|mistral|moonshotai?|nvidia|openai|qwen|zai)\.)?"
)
_REVISION = re.compile(r"-v\d+:\d+(?::\w+)?$")  # of Bedrock: "-v1:0"
_WHICH = re.compile(r"[-@](?:latest|snapshot|\d{4}-\d{2}-\d{2}|\d{2}-\d{4}|\d{2}-\d{2}|\d{8}|\d{6}|\d{4}|\d{3})$")


def is_same_model(one: str, other: str) -> bool:
    """Tell whether two names differ only in their spelling.

    That is: in case, in who makes or sells the model, in the region, in the date or the version of a snapshot.
    """
    return one == other or _plain(one) == _plain(other)


@lru_cache(maxsize=4096)
def _plain(name: str) -> str:
    """Return the name without what stands before and behind it."""
    plain = name.strip().lower().rpartition("/")[2]
    plain = _REVISION.sub("", _BEFORE.sub("", plain).partition("@")[0])
    while (shorter := _WHICH.sub("", plain)) != plain and shorter:
        plain = shorter
    return plain or name
