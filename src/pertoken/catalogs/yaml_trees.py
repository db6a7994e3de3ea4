"""Reads an untrusted YAML file, with limits on aliases, depth and values.

An alias (`*name`) repeats the value that it names. Nine lines, each of which names the line before ten times, expand to
a billion values, more than any reader of the tree could process.
"""

from typing import Any

import yaml

VALUES_MAX = 1_000_000  # names and values of a file; the value of an alias counts each time it is used


def load(content: bytes | str) -> Any:
    """Return the tree of a file. Raises yaml.YAMLError or UnicodeDecodeError."""
    loader = _Loader(content)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        _count(node, {})
        return loader.construct_document(node)
    except RecursionError as error:
        raise yaml.MarkedYAMLError(
            problem="lists and mappings are nested too deeply; flatten them", problem_mark=loader.get_mark()
        ) from error
    finally:
        loader.dispose()


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
