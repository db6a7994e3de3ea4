"""Reads an untrusted YAML file, with limits on aliases, depth and values.

An alias (`*name`) repeats the value that it names. Nine lines, each of which names the line before ten times, expand to
a billion values, more than any reader of the tree could process.
"""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

import yaml

VALUES_MAX = 1_000_000  # names and values of a file; the value of an alias counts each time it is used


def load(content: bytes | str) -> Any:
    """Return the tree of a file. Raises yaml.YAMLError or UnicodeDecodeError.

    libyaml reads ten times as fast, and crashes on lists that are nested a few thousand deep: this reads without it.
    """
    loader = _Loader(content)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        _count(node, {})
        return loader.construct_document(node)
    except RecursionError as error:
        raise _too_deep(loader) from error
    finally:
        loader.dispose()


def compose(content: bytes | str) -> yaml.Node | None:
    """Return the nodes of a file, which know their lines. Raises yaml.YAMLError or UnicodeDecodeError."""
    loader = _Loader(content)
    try:
        return loader.get_single_node()
    except RecursionError as error:
        raise _too_deep(loader) from error
    finally:
        loader.dispose()


def _too_deep(loader: "_Loader") -> yaml.MarkedYAMLError:
    problem = "lists and mappings are nested too deeply; flatten them"
    return yaml.MarkedYAMLError(problem=problem, problem_mark=loader.get_mark())


def line_of(node: yaml.Node | None, place: Sequence[str | int]) -> int:
    """Return the line, from 1, of the value at a place of a tree, or of the last step to it that exists."""
    line = 1
    for step in place:
        found = None
        if isinstance(node, yaml.MappingNode):
            found = next((pair for pair in node.value if pair[0].value == step), None)
            if found is not None:
                line, node = found[0].start_mark.line + 1, found[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            node = node.value[step]
            line, found = node.start_mark.line + 1, node
        if found is None:
            return line
    return line


def as_text(value: Any) -> Any:
    """Return a tree with each date as an ISO text."""
    if isinstance(value, dict):
        return {key: as_text(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [as_text(entry) for entry in value]
    return value.isoformat() if isinstance(value, date | datetime) else value


class _Loader(yaml.SafeLoader):
    """Adds the place to the error for a value that looks like a date or a number but is invalid."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """Return the value of a node."""
        try:
            return super().construct_object(node, deep=deep)
        except (ValueError, OverflowError) as error:
            problem = "invalid date, time or number; put it in quotes if it is a text"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark) from error


def _count(node: yaml.Node, known: dict[int, int | None]) -> int:
    """Return how many values a node expands to. Raises MarkedYAMLError for more than VALUES_MAX."""
    if id(node) in known:
        values = known[id(node)]
        if values is None:
            problem = "an alias (*) contains itself; write the value out"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)
        return values
    known[id(node)] = None
    children = node.value if isinstance(node, yaml.CollectionNode) else ()
    if isinstance(node, yaml.MappingNode):
        children = [one for pair in children for one in pair]
    values = 1
    for child in children:
        values += _count(child, known)
        if values > VALUES_MAX:
            problem = f"more than {VALUES_MAX:,} values, counting aliases (*) with their values; write fewer"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)
    known[id(node)] = values
    return values
