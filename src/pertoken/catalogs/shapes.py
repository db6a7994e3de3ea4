"""Describes shape errors in a settings or price file without quoting values, which may be secrets."""

import re
from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec
from msgspec import inspect

from pertoken.core.texts import nearest


class Wrong(NamedTuple):
    """One value of the wrong shape."""

    place: str  # "limits.hold_s"; empty for the whole file
    what: str  # "expected `int`, got `str`"
    unknown: str | None  # the unknown field, if that is the fault


_OF_SHELL = re.compile(r"\$(?:[A-Za-z_]\w*|\{[A-Za-z_]\w*\})")
_TAKE_NO_ENV = ("admin_key", "secret_key", "database_url")


def wrong(error: msgspec.ValidationError, tree: Any = None) -> Wrong:
    """Return the fault in a tree and its place, from msgspec's error."""
    what, _, path = str(error).partition(" - at `")
    place = path.rstrip("`").removeprefix("$").lstrip(".").replace("[...]", ".?")
    found = re.search(r"unknown field `(.*?)`", what)
    unknown = found[1] if found else None
    return Wrong(_exactly(place, tree, unknown), said(what), unknown)


def said(what: str) -> str:
    """Return msgspec's message in our form, with a hint if an inexact number should be written in quotes."""
    hint = "; write it in quotes, such as '0.15'" if "`float`" in what and "str" in what else ""
    return f"{what[:1].lower()}{what[1:]}{hint}"


def choices(shape: Any, place: str) -> tuple[str, ...]:
    """Return the allowed words at a place of a shape, if it is an enum or a literal; otherwise an empty tuple."""
    kind: Any = inspect.type_info(shape)
    for name in place.split("."):
        kind = _inner(kind, name.partition("[")[0])
    if isinstance(kind, inspect.EnumType):
        return tuple(str(one.value) for one in kind.cls)
    return tuple(map(str, kind.values)) if isinstance(kind, inspect.LiteralType) else ()


def _inner(kind: Any, name: str) -> Any:
    """Return the type of the field `name` in a type; for a list, the type of its entries."""
    if isinstance(kind, inspect.StructType):
        kind = next((field.type for field in kind.fields if field.encode_name == name), None)
    elif isinstance(kind, inspect.DictType):
        kind = kind.value_type
    while not isinstance(kind, inspect.StructType | inspect.DictType):
        if isinstance(kind, inspect.Metadata):
            kind = kind.type
        elif isinstance(kind, inspect.UnionType):
            kind = next((one for one in kind.types if not isinstance(one, inspect.NoneType)), None)
        elif isinstance(kind, inspect.ListType | inspect.VarTupleType):
            kind = kind.item_type
        else:
            break
    return kind


def unknown_setting(word: str, known: Iterable[str]) -> str:
    """Return the message for an unknown setting, with a suggestion if a known one is similar."""
    near = nearest(word, known)
    return f"unknown setting; did you mean {near}?" if near else f"unknown setting; expected one of: {', '.join(known)}"


def _exactly(place: str, tree: Any, unknown: str | None) -> str:
    """Return the exact place. If it may be any of several entries, it is the first one with the unknown field."""
    if ".?" not in place:
        return place
    group = place.partition(".")[0]
    entries = tree.get(group, {}) if isinstance(tree, dict) else {}
    named = [name for name, one in entries.items() if isinstance(one, dict) and unknown in one] if unknown else []
    return f"{group}.{named[0]}" if named else place.replace(".?", "")


def unread_variable(tree: Any, place: str = "") -> str | None:
    """Return the place of a shell variable, or of an `env:` name that is not read, in a settings file; or None.

    Such a text would be used literally, and an admin key with that text is easy to guess.
    """
    if isinstance(tree, dict):
        places = (unread_variable(value, f"{place}.{name}".lstrip(".")) for name, value in tree.items())
        return next((found for found in places if found is not None), None)
    is_one = isinstance(tree, str) and (
        _OF_SHELL.fullmatch(tree) or (place in _TAKE_NO_ENV and tree.startswith("env:"))
    )
    return place if is_one else None


def how_to_name_variable(place: str) -> str:
    """Return what to write instead of a variable that is not read."""
    if place.startswith("providers.") and place.endswith(".api_key"):
        return "shell variables do not work in a file; write env:NAME, such as env:OPENAI_API_KEY"
    variable = "PERTOKEN_" + place.upper().replace(".", "__").replace("-", "_")
    return f"a variable cannot be named here; remove the field and set {variable}"
