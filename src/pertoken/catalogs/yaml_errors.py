"""Describes errors in a YAML file and their place. It quotes no text, which may be a provider's key."""

import re

import yaml

# the parser's message -> our message, with what to do
_MEANINGS: tuple[tuple[str, str], ...] = (
    (r"found character '\\t'", "found a tab; indent YAML with spaces"),
    (r"found character .* cannot start any token", "found a character that cannot begin a value; put it in quotes"),
    (r"mapping values are not allowed", "found a second `: ` on one line; put the text in quotes, or indent it"),
    (r"found unexpected end of stream", "a quote is not closed; close it"),
    (r"could not find expected ':'", "found a name without a colon; write `name: value`"),
    (r"found undefined alias", "found an alias (*) that nothing defines; put the text in quotes"),
    (
        r"found undefined tag|could not determine a constructor",
        "found a tag (!) that is not known; put the text in quotes",
    ),
    (r"found duplicate anchor", "found an anchor (&) twice; put the text in quotes"),
    (r"expected ',' or ']'", "a list is not closed; end it with ], and put a comma between two values"),
    (r"expected ',' or '}'", "a mapping is not closed; end it with }, and put a comma between two values"),
    (r"expected the node content, but found '<stream end>'", "the file ends in the middle; close what is open"),
    (r"expected the node content", "a value is missing; write one"),
    (r"expected <block end>|expected <document start>", "the indentation is not that of the lines before; align them"),
    (r"unhashable key", "found a list or a mapping as a name; put a text with braces in quotes"),
)


def reason(error: yaml.YAMLError) -> str:
    """Return the place of an error, the fault, and what to do."""
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return "it holds a character that YAML does not allow; write plain UTF-8 text"
    mark, problem = error.problem_mark, error.problem or ""
    said = next((meaning for pattern, meaning in _MEANINGS if re.search(pattern, problem)), None)
    if said is None:
        said = re.sub(r"'[^'<]{2,}'", "a word", problem or "it cannot be read")
    return f"line {mark.line + 1}, column {mark.column + 1}: {said}"
