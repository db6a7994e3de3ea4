"""Reads an untrusted YAML file, with limits on aliases, depth and values.

An alias (`*name`) stands for what it names as often as it is written. Nine lines in which each names the line before
ten times are a thousand million values, which no reader of the tree would come to the end of.
"""

from typing import Any

import yaml

VALUES_MAX = 1_000_000  # names and values of a file, what an alias stands for counted wherever it stands


def load(content: bytes | str) -> Any:
    """Return the tree of a file. Raises yaml.YAMLError, UnicodeDecodeError."""
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
    """Says where a value stands that looks like a date or a number, and is none."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """Return what a node stands for."""
        try:
            return super().construct_object(node, deep=deep)
        except (ValueError, OverflowError) as error:
            problem = "invalid date, time or number; put it in quotes if it is a text"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark) from error


def _count(node: yaml.Node, known: dict[int, int | None]) -> int:
    """Return how many values a node comes to. Raises MarkedYAMLError where there are too many."""
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
