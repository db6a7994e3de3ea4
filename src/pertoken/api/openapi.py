"""The OpenAPI 3.1 document of the control plane, made from the routes and their structs."""

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import msgspec

from pertoken.api.fields import PLAIN
from pertoken.api.problem import MEANINGS, Error, Problem
from pertoken.api.reading import IDEMPOTENCY_KEY, IDEMPOTENCY_KEY_MAX, PARAMETER_MAX
from pertoken.api.route import Route
from pertoken.core.access import GRANTS

_REFERENCE = "#/components/schemas/{name}"
_ALWAYS = (
    Problem.INVALID_PARAMETER, Problem.UNKNOWN_KEY, Problem.FORBIDDEN, Problem.BUSY, Problem.STORE_UNAVAILABLE,
)  # fmt: skip
_OF_THE_EDGE = {"414": {"description": "Path and query have more than 8 KB; the connection is closed without a body."}}
_OF_A_BODY = (Problem.INVALID_JSON, Problem.TOO_LARGE, Problem.UNSUPPORTED_MEDIA_TYPE, Problem.INVALID_FIELD)


def describe(routes: Sequence[Route]) -> dict[str, Any]:
    """Return the document. `x-errors` explains each code; the `doc_url` of an error leads there."""
    bodies = [route.body for route in routes if route.body is not None]
    types = [*(route.answer for route in routes), *bodies, Error]
    schemas, components = msgspec.json.schema_components(types, ref_template=_REFERENCE)
    by_type = dict(zip(map(repr, types), schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, by_type)
    return {
        "openapi": "3.1.0",
        "info": {"title": "pertoken", "version": version("pertoken"), "description": "The control plane of pertoken."},
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"admin_key": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"admin_key": []}],
        "x-errors": {code: meaning._asdict() for code, meaning in MEANINGS.items()},
    }


def _operation(route: Route, by_type: dict[str, Any]) -> dict[str, Any]:
    roles = [role for role, actions in GRANTS.items() if route.action in actions]
    operation: dict[str, Any] = {
        "operationId": f"{route.method.lower()}_{route.path.removeprefix('/api/v1/').translate(_AS_NAME)}",
        "summary": route.summary,
        "description": f"Needs the action `{route.action}`. Roles that may take it: {', '.join(roles)}.",
        "x-action": route.action,
        "parameters": list(_parameters(route)),
        "responses": {
            str(route.status): _content("Done.", by_type[repr(route.answer)]),
            **_refusals(route, by_type[repr(Error)]),
        },
    }
    if route.body is not None:
        operation["requestBody"] = {"required": True, **_content(None, by_type[repr(route.body)])}
    return operation


def _parameters(route: Route) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    if route.parameter is not None:
        named = {"type": "string", "minLength": 1, **_PLAIN}
        found.append({"name": route.parameter, "in": "path", "required": True, "schema": named})
    fields = msgspec.json.schema(route.query)["$defs"][route.query.__name__]["properties"]
    found += [{"name": name, "in": "query", "schema": _in_a_query(schema)} for name, schema in fields.items()]
    if route.method != "GET":
        found.append(
            {
                "name": "Idempotency-Key",
                "in": "header",
                "description": "The same request with the same key within a day returns the first answer again.",
                "schema": {
                    "type": "string",
                    "minLength": 1,
                    "maxLength": IDEMPOTENCY_KEY_MAX,
                    "pattern": IDEMPOTENCY_KEY,
                },
            }
        )
    return found


def _in_a_query(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a query parameter. By default, a text may have no control characters."""
    said = _without_null(schema)
    is_plain = said.get("type") == "string" and not said.keys() & {"pattern", "enum", "anyOf"}
    return {**said, **_PLAIN} if is_plain else said


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a parameter without null, because a parameter is left out instead."""
    kinds = [kind for kind in schema.get("anyOf", ()) if kind != {"type": "null"}]
    if not kinds:
        return schema
    return {**{key: value for key, value in schema.items() if key not in {"anyOf", "default"}}, **kinds[0]}


def _refusals(route: Route, error: dict[str, Any]) -> dict[str, Any]:
    writes = () if route.method == "GET" else (Problem.IDEMPOTENCY_CONFLICT,)
    problems = (*_ALWAYS, *(_OF_A_BODY if route.body is not None else ()), *writes, *route.problems)
    if route.parameter is not None:
        problems += (Problem.NOT_FOUND,)
    by_status: dict[int, list[Problem]] = {}
    for problem in dict.fromkeys(problems):
        by_status.setdefault(MEANINGS[problem].status, []).append(problem)
    refusals = {str(status): _content(", ".join(codes), error) for status, codes in by_status.items()}
    return dict(sorted({**refusals, **_OF_THE_EDGE}.items()))


def _content(description: str | None, schema: dict[str, Any]) -> dict[str, Any]:
    content = {"content": {"application/json": {"schema": schema}}}
    return content if description is None else {"description": description, **content}


_PLAIN = {"maxLength": PARAMETER_MAX, "pattern": PLAIN}
_AS_NAME = str.maketrans({"/": "_", "{": None, "}": None})
