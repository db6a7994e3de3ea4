"""The paths of the data plane and their formats, made from the rows of `wire.formats`."""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from pertoken.core.texts import nearest
from pertoken.wire import formats
from pertoken.wire.format import Format
from pertoken.wire.formats import MODEL, FormatPath, FormatRow


class Endpoint(NamedTuple):
    """One path of the data plane."""

    format: Format
    wire: str  # the family of its providers
    upstream_path: str  # below the provider's base URL
    model: str | None = None  # None if the path does not name the model
    stream: bool | None = None  # None if the path does not decide it
    upstream: str = ""  # `upstream_path` with MODEL in place of the model

    def path_for(self, model: str) -> str:
        """Return the path below the provider's base URL at which `model` is called."""
        return self.upstream_path if self.model is None else self.upstream.replace(MODEL, model, 1)


def _all_paths() -> Iterator[tuple[FormatRow, FormatPath]]:
    return ((row, one) for row in formats.ROWS for one in row.paths)


_FIXED: dict[str, Endpoint] = {
    one.path: Endpoint(row.format, row.wire, one.upstream, stream=one.stream)
    for row, one in _all_paths()
    if MODEL not in one.path
}
# The keys are the text before the model and the text after it.
_WITH_MODEL: dict[tuple[str, ...], tuple[Format, str, str, bool | None]] = {
    tuple(one.path.split(MODEL)): (row.format, row.wire, one.upstream, one.stream)
    for row, one in _all_paths()
    if MODEL in one.path
}
_HEADS = "|".join(re.escape(head) for head in sorted({head for head, *_ in _WITH_MODEL}))
# A model in a path is one segment of plain characters, and not a dot segment. The path is forwarded with the operator's
# key, so it must not reach any other resource. A percent sign that remains after decoding could become a slash if the
# provider decodes once more.
_PLAIN_MODEL = "([A-Za-z0-9_~@+-][A-Za-z0-9._~@+-]{0,199})"
_PATH_WITH_MODEL = re.compile(f"({_HEADS}){_PLAIN_MODEL}([:/][A-Za-z0-9/:_-]{{1,80}})")
_HOT = tuple(sorted({f"/{one.path.split('/')[1]}/".encode() for _, one in _all_paths()}))
_ERRORS: tuple[tuple[str, Format], ...] = tuple(
    sorted(
        ((row.error_paths, row.format) for row in formats.ROWS if row.error_paths is not None),
        key=lambda pair: -len(pair[0]),
    )
)

_AGAIN = re.compile(r"^(?:/v1)+(?=/v1(?:beta)?/)")  # a version that is in the base URL and that the SDK adds again
PATH_LETTERS_MAX = 400  # for a path with a model
NEAR = 0.8  # the lowest ratio of difflib for a suggestion: one or two wrong letters in a path


def find(path: str) -> Endpoint | None:
    """Return the endpoint of a path, or None."""
    fixed = _FIXED.get(path)
    if fixed is not None:
        return fixed
    return _find_with_model(path) if len(path) <= PATH_LETTERS_MAX else None


@lru_cache(maxsize=1024)  # an application calls few models
def _find_with_model(path: str) -> Endpoint | None:
    match = _PATH_WITH_MODEL.fullmatch(path)
    if match is None:
        return None
    before, model, behind = match.groups()
    found = _WITH_MODEL.get((before, behind))
    if found is None:
        return None
    wire_format, wire, upstream, stream = found
    return Endpoint(wire_format, wire, upstream.replace(MODEL, model, 1), model, stream, upstream)


def is_hot(path: bytes) -> bool:
    """Tell whether a path may belong to the data plane."""
    return path.startswith(_HOT)


def format_for_errors(path: str) -> Format:
    """Return the format in which a client of `path` most likely expects errors."""
    endpoint = find(path)
    if endpoint is not None:
        return endpoint.format
    return next(wire_format for part, wire_format in _ERRORS if part in path)


def meant(path: str) -> str:
    """Return the end of an error message that suggests a known path for an unknown one; empty without a suggestion.

    The usual mistake is a base URL that ends in /v1 although the SDK adds it, or that lacks /v1 if the SDK does not.
    """
    known = (*_FIXED, "/v1/models")
    asked = f"/v1{path}" if f"/v1{path}" in known else _AGAIN.sub("", path)
    if asked == path or (asked not in known and find(asked) is None):
        near = _near_action(path) or nearest(path, known, NEAR)
        return "" if near is None else f"; did you mean {near}?"
    ending = "with" if len(asked) > len(path) else "without"
    return f"; did you mean {asked}? the base URL of this client ends {ending} /v1"


def _near_action(path: str) -> str | None:
    match = _PATH_WITH_MODEL.fullmatch(path)
    if match is None:
        return None
    near = nearest(match[3], [behind for before, behind in _WITH_MODEL if before == match[1]])
    return None if near is None else f"{path.removesuffix(match[3])}{near}"
