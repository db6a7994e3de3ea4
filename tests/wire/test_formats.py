"""The registry is complete: each row can be found, read, counted, answered and refused; a row is all that is needed."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
from itertools import chain
from pathlib import Path
from types import ModuleType
from typing import Any, cast
from urllib.parse import urlsplit

import pytest
from tests.wire.simulated import post

import pertoken
from pertoken.catalogs import providers
from pertoken.core.bounds import family_of
from pertoken.core.errors import Code, Refusal
from pertoken.core.facts import RequestFacts
from pertoken.core.usage import Completeness
from pertoken.counting.requests import count_request
from pertoken.counting.tokenizers import Tokenizers
from pertoken.services.call.count import counts_of
from pertoken.simulator.makers import maker_of
from pertoken.wire import formats, routes, usage_table
from pertoken.wire.formats import MODEL, FormatPath, FormatRow

ROOT = Path(__file__).parents[2]
MADE_UP = Path(__file__).parent / "made_up"
TEXT = "hello there"
# A body in which every format finds its own request.
REQUEST: dict[str, Any] = {
    "model": "m-1",
    "max_tokens": 20,
    "messages": [{"role": "user", "content": TEXT}],
    "input": TEXT,
    "contents": [{"parts": [{"text": TEXT}]}],
    "content": {"parts": [{"text": TEXT}]},
}
BODY = json.dumps(REQUEST).encode()
REFUSAL = Refusal(Code.INVALID_REQUEST, "it is refused")
FIRST = {"openai": "openai", "anthropic": "anthropic", "gemini": "google"}
SIDES = ("input_tokens", "output_tokens")

every_row = pytest.mark.parametrize("row", formats.ROWS, ids=lambda row: row.format.name)
every_path = pytest.mark.parametrize(
    ("row", "path"),
    [pytest.param(row, path, id=f"{row.format.name} {path.path}") for row in formats.ROWS for path in row.paths],
)


def _called(path: FormatPath) -> str:
    return path.path.replace(MODEL, "m-1")


def test_no_two_rows_are_the_same() -> None:
    """Each name, each path and each name for `count --api` belongs to one row, so that no row hides another."""
    rows = formats.ROWS
    names = [*(row.format.name for row in rows), *formats.READ]
    paths = [one.path for row in rows for one in row.paths]
    counted = [row.counted.api for row in rows if row.counted is not None]

    assert len(set(names)) == len(names)
    assert len(set(paths)) == len(paths)
    assert len(set(counted)) == len(counted)
    assert not any(path.startswith(("/api/", "/health/")) for path in paths)


@every_row
def test_a_format_is_where_its_name_says(row: FormatRow) -> None:
    """The modules of a format in `wire` and in `simulator` are named like the format."""
    module, maker = cast("ModuleType", row.format), cast("ModuleType", maker_of(row.format.name))
    name = row.format.name.replace(".", "_")

    assert (module.__name__, maker.__name__) == (f"pertoken.wire.{name}", f"pertoken.simulator.{name}")


@every_path
def test_its_path_finds_it(row: FormatRow, path: FormatPath) -> None:
    """A call at a path of a row is read by its format and forwarded to its path at the provider, for any model."""
    endpoint = routes.find(_called(path))
    model = "m-1" if MODEL in path.path else None

    assert endpoint is not None
    assert (endpoint.format, endpoint.wire, endpoint.stream, endpoint.model) == (
        row.format, row.wire, path.stream, model,
    )  # fmt: skip
    assert endpoint.upstream_path == path.upstream.replace(MODEL, "m-1")
    assert endpoint.path_for("m-2") == path.upstream.replace(MODEL, "m-2")
    assert routes.is_hot(_called(path).encode())


@every_path
def test_its_path_is_the_same_as_at_the_first_provider(row: FormatRow, path: FormatPath) -> None:
    """Clients use the same paths at the gateway as at OpenAI, Anthropic or Google, and calls are forwarded to them."""
    base = urlsplit(providers.registry()[FIRST[row.wire]].base_url)

    assert path.path == f"{base.path}{path.upstream}"


@every_path
def test_its_errors_are_its_own(row: FormatRow, path: FormatPath) -> None:
    """A refusal at a path has the form of the provider's own errors, in a body and in a stream."""
    wire_format = routes.format_for_errors(_called(path))
    ours = json.loads(wire_format.error(REFUSAL))
    status, said, _ = asyncio.run(post(_called(path), BODY, api_key=""))
    theirs = json.loads(said)

    assert wire_format is row.format
    assert REFUSAL.message in json.dumps(ours)
    assert REFUSAL.message.encode() in wire_format.stream_error(REFUSAL)
    assert status == 401
    assert _shape(theirs) <= _shape(ours)


def _shape(value: Any, at: str = "") -> set[str]:
    """Return the paths of all values in an object."""
    if not isinstance(value, dict):
        return {at}
    return set(chain.from_iterable(_shape(inner, f"{at}.{key}") for key, inner in value.items()))


@every_row
def test_its_usage_table_reads(row: FormatRow) -> None:
    """The format's own usage table, and that of each dialect, reads input and output."""
    for rows in (row.format.USAGE, *row.dialects.values()):
        usage: dict[str, Any] = {}
        for unit in SIDES:
            for one in [one for one in rows.rules if one.unit == unit][:1]:
                usage[one.terms[0][0][0]] = 7
        told = usage_table.count(rows, usage)

        assert told["input_tokens"] == 7
        assert told.get("output_tokens", 0) == (0 if rows.rest == "input_tokens" else 7)


@every_path
def test_the_simulator_answers_it(row: FormatRow, path: FormatPath) -> None:
    """Read by the format, an answer of the simulator has the usage on its invoice, or none if the call is free."""
    request = {**REQUEST, "stream": bool(path.stream)}
    status, answer, invoice = asyncio.run(post(_called(path), json.dumps(request).encode(), query=b"alt=sse"))
    assert status == 200, answer

    if path.stream:
        reader = row.format.stream_reader(RequestFacts("m-1", stream=True), row.format.USAGE)
        reader.feed(answer)
        reading = reader.reading()
        assert reader.complete
    else:
        reading = row.format.read_answer(answer, row.format.USAGE)
    if not row.tells_usage:
        assert reading.completeness is Completeness.MISSING
    else:
        billed = invoice["by"][0]
        assert reading.completeness is Completeness.FINAL
        assert {side: (reading.quantities or {})[side] for side in SIDES} == {side: billed[side] for side in SIDES}
    bills = row.format.read_request(BODY, "m-1").bills
    assert invoice["calls"] == (1 if bills else 0)


@every_row
def test_its_requests_are_counted(row: FormatRow) -> None:
    """The content of a request is counted for a hold; `pertoken count` finds at least as much, with its frame."""
    held = counts_of(Tokenizers(), BODY, row.format.name, family_of("gpt-4o"))

    assert held.text_bytes >= len(TEXT)
    assert held.tokens >= 2
    if row.counted is not None:
        counted = count_request(BODY, row.counted.api, "gpt-4o", family_of("gpt-4o"), Tokenizers())
        assert row.counted.is_request({**REQUEST, "model": "claude-embed"}, "claude-embed")
        assert counted.tokens >= 2


def test_a_new_format_is_two_modules_and_a_row(tmp_path: Path) -> None:
    """A module in wire, a module in the simulator and a row are enough to serve a new format everywhere."""
    source = tmp_path / "pertoken"
    shutil.copytree(Path(pertoken.__file__).parent, source, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(MADE_UP / "format.py", source / "wire" / "made_up.py")
    shutil.copy(MADE_UP / "maker.py", source / "simulator" / "made_up.py")
    registry = source / "wire" / "formats.py"
    text = registry.read_text().replace(IMPORT, f"from pertoken.wire import made_up\n{IMPORT}", 1)
    end = ")\n\n# What is only read, never served.\n"
    assert text.count(end) == 1
    registry.write_text(text.replace(end, ROW + end))
    done = subprocess.run(
        [sys.executable, str(MADE_UP / "scene.py")],
        env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}", "PYTHONDONTWRITEBYTECODE": "1"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    invoice = found["served"]["by"][0]
    used = {side: invoice[side] for side in SIDES}

    assert Path(found["source"]).parent == source
    assert found["rows"] == len(formats.ROWS) + 1
    assert found["endpoint"] == ["made.up", "m-1", "/made/m-1/up", "/made/m-2/up"]
    assert found["is_hot"]
    assert (found["status"], used["output_tokens"]) == (200, 5)
    assert found["extracted"] == {
        "model": "m-1", "service_tier": None, "completeness": "final", "usage": used,
    }  # fmt: skip
    assert found["other_words"]["usage"] == {"input_tokens": 3, "output_tokens": 4}
    assert found["settled"] == used
    assert (found["detected"], found["counted"]) == ("made", [8, "approximate"])
    assert "made" in found["choices"]
    assert found["simulated_error"] == [401, {"wrong": "no api key"}]
    assert found["error"] == {"wrong": "no such model"}
    assert found["error_nearby"] == {"wrong": "no"}
    assert found["operation"] == "embeddings"
    assert found["is_page"] is False


IMPORT = "from pertoken.wire.answers import Api\n"
ROW = """    FormatRow(
        made_up,
        "openai",
        (FormatPath("/v3/made/{model}/up", "/made/{model}/up"),),
        Operation.EMBEDDINGS,
        counted=CountedAs("made", made_up.is_request),
        error_paths="/made/",
    ),
"""
