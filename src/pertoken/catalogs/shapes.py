"""What of a file of settings or of prices has another shape than it takes, without its value: that may be a secret."""

import re
from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec

from pertoken.core.texts import nearest


class Wrong(NamedTuple):
    """One thing that has the wrong shape."""

    place: str  # "limits.hold_s"; empty for the whole file
    what: str  # "expected `int`, got `str`"
    unknown: str | None  # the field that nobody knows, where that is what is wrong


def wrong(error: msgspec.ValidationError, tree: Any = None) -> Wrong:
    """Return what is wrong with a tree, and where."""
    what, _, path = str(error).partition(" - at `")
    place = path.rstrip("`").removeprefix("$").lstrip(".").replace("[...]", ".?")
    found = re.search(r"unknown field `(.*?)`", what)
    unknown = found[1] if found else None
    return Wrong(_exactly(place, tree, unknown), said(what), unknown)


def said(what: str) -> str:
    """Return the decoder's words as ours, with what to do where a number is written that may not be exact."""
    hint = "; write it in quotes, such as '0.15'" if "`float`" in what and "`str" in what else ""
    return f"{what[:1].lower()}{what[1:]}{hint}"


def unknown_setting(word: str, known: Iterable[str]) -> str:
    """Say that a word is no setting, with the one that it may be meant for."""
    near = nearest(word, known)
    return f"unknown setting; did you mean {near}?" if near else f"unknown setting; expected one of: {', '.join(known)}"


def _exactly(place: str, tree: Any, unknown: str | None) -> str:
    """Return the place; where it may be one of several names, the first that has the unknown field."""
    if ".?" not in place:
        return place
    group = place.partition(".")[0]
    entries = tree.get(group, {}) if isinstance(tree, dict) else {}
    named = [name for name, one in entries.items() if isinstance(one, dict) and unknown in one] if unknown else []
    return f"{group}.{named[0]}" if named else place.replace(".?", "")
