"""Usage cases, kept as data in `extract/`: an answer, its API and provider, and the usage that is read from it."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import yaml

FOLDER = Path(__file__).parent / "extract"


class Given(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An answer as it came: a whole `body`, as fields or as its text, or a stream's text in `sse`."""

    api: str
    provider: str | None = None
    body: dict[str, Any] | str | None = None
    sse: str | None = None

    def __post_init__(self) -> None:
        if (self.body is None) == (self.sse is None):
            raise ValueError("a case needs either body or sse")

    @property
    def body_bytes(self) -> bytes | None:
        """The body as it is sent."""
        return self.body.encode() if isinstance(self.body, str) else self.body and json.dumps(self.body).encode()


class Told(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a caller is told: an answer with usage, or the code of an error and words of its message."""

    usage: dict[str, int | float | str] | None = None
    model: str | None = None
    service_tier: str | None = None
    completeness: str = "final"
    speed: str | None = None
    region: str | None = None
    by_model: list[dict[str, Any]] | None = None
    note: str | None = None
    batch: bool | None = None
    provider_error: str | None = None
    error: str | None = None
    message: str = ""

    def __post_init__(self) -> None:
        if (self.usage is None) == (self.error is None):
            raise ValueError("a case needs either usage or error")

    def answer(self) -> dict[str, Any]:
        """Return the whole answer, as it is printed."""
        fields = ("model", "service_tier", "completeness", "usage", "speed", "region", "by_model", "note", "batch")
        told = {name: getattr(self, name) for name in fields}
        answer = {name: value for name, value in told.items() if value is not None or name in fields[:4]}
        if self.provider_error is not None:
            answer["error"] = {"code": "provider_error", "message": self.provider_error}
        return answer


class Case(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One case; `counts` are paths of counts in its body, and `total` is the path of their total."""

    case: str  # what holds, in one sentence
    given: Given = msgspec.field(name="in")
    out: Told
    counts: list[str] = []
    total: str | None = None

    def __str__(self) -> str:
        return f"{self.given.api}: {self.case}"


class _Loader(yaml.CSafeLoader):
    """Refuses a repeated key, of which YAML would keep only the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value]
        if len(keys) != len(set(keys)):
            raise ValueError(f"repeated key{node.start_mark}")
        return super().construct_mapping(node, deep)


def read(folder: Path) -> list[Case]:
    """Return the cases of every file of a folder. Raises ValueError where a file is not right."""
    cases: list[Case] = []
    for path in sorted(folder.iterdir()):
        try:
            tree = yaml.load(path.read_text(encoding="utf-8"), _Loader)  # noqa: S506  # it is a safe loader
            found = msgspec.convert(tree or [], list[Case])
        except ValueError as error:
            raise ValueError(f"{path.name}: {error}") from error
        if not found:
            raise ValueError(f"{path.name}: no cases")
        cases += found
    twice = [name for name, times in Counter(map(str, cases)).items() if times > 1]
    if twice:
        raise ValueError(f"repeated names: {twice}")
    return cases


CASES = read(FOLDER)
