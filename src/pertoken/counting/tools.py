"""Renders functions as type definitions, as OpenAI's models read them, to count their tokens.

The rendering is not published. The open-source `openai-chat-tokens`, which litellm follows too, derived it from counts
that GPT-3.5 reported, so counts with tools are approximate.
"""

import json
from typing import Any

from pertoken.wire.content import as_dict, as_list

INDENTED_DESCRIPTIONS_MAX = 2  # deeper fields lose their descriptions


def render(tools: object, functions: object) -> str | None:
    """Return the definitions as a model reads them, or None if there are no functions.

    `tools` has the form of chat completions or Responses, `functions` that of older chat completions. Tools that are
    not functions are left out.
    """
    found = [as_dict(tool) for tool in as_list(tools)]
    listed = [as_dict(tool.get("function")) or tool for tool in found if tool.get("type") in ("function", None)]
    listed += [as_dict(function) for function in as_list(functions)]
    if not listed:
        return None
    lines = ["namespace functions {", ""]
    for function in listed:
        lines += [*_function(function), ""]
    return "\n".join([*lines, "} // namespace functions"])


def _function(function: dict[str, Any]) -> list[str]:
    lines = [f"// {function['description']}"] if function.get("description") else []
    parameters = as_dict(function.get("parameters"))
    if not as_dict(parameters.get("properties")):
        return [*lines, f"type {function.get('name')} = () => any;"]
    return [*lines, f"type {function.get('name')} = (_: {{", *_fields(parameters, 0), "}) => any;"]


def _fields(schema: dict[str, Any], indent: int) -> list[str]:
    required = as_list(schema.get("required"))
    lines = []
    for name, field in as_dict(schema.get("properties")).items():
        shape = as_dict(field)
        if shape.get("description") and indent < INDENTED_DESCRIPTIONS_MAX:
            lines.append(f"// {shape['description']}")
        lines.append(f"{name}{'' if name in required else '?'}: {_type(shape, indent)},")
    return [" " * indent + line for line in lines]


def _type(schema: dict[str, Any], indent: int) -> str:
    choices = as_list(schema.get("enum"))
    if choices:
        return " | ".join(json.dumps(choice, ensure_ascii=False) for choice in choices)
    match schema.get("type"):
        case "string" | "boolean" | "null" as kind:
            return str(kind)
        case "number" | "integer":
            return "number"
        case "array":
            return f"{_type(as_dict(schema['items']), indent)}[]" if schema.get("items") else "any[]"
        case "object":
            return "\n".join(["{", *_fields(schema, indent + 2), "}"])
        case _:
            return "any"
