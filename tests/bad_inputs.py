"""The table of bad inputs, by surface: `rows("cli")`.

A row of `cli` has `words` (a line as in a shell, or a list), the `exit` code, and what the output `says`; it may have a
`file` (its content; `{file}` is its path), commands that go `before`, and `bare` where there is no database. A row of
`settings` has `env` or a `config` file. A row of `api` has a `call`, its `body` or `raw` text, or `query`, and the
`status`. A row of `gateway` has `headers` (each character is a byte), and the `warning` that the answer carries, or
the `status` of its refusal; `key` is what the key is made with.
`{long}` is a text of 300 letters, `{dir}` the test's folder.
"""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

LONG = "x" * 300
RAW = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
TABLE: dict[str, list[dict[str, Any]]] = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"))


def rows(surface: str) -> list[Any]:
    """Return the rows of a surface as parameters, each named by what it is about."""
    return [pytest.param(row, id=f"{at:03}") for at, row in enumerate(TABLE[surface])]


def lacking(row: dict[str, Any], output: str) -> list[str]:
    """Return what a row wants to be said and was not."""
    return [piece for piece in row["says"] if piece not in output]
