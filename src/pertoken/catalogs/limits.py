"""Reads `data/model_limits.csv`: the largest input and output of each model, with a source for each row."""

import csv
import importlib.resources

from pertoken.catalogs.providers import canonical
from pertoken.core.bounds import Limits
from pertoken.core.prices import SNAPSHOT_SUFFIX


class ModelLimits:
    """Finds the limits of a model by its name, with or without a date. An unknown limit is None.

    Resellers write names such as `openai/gpt-4o`; this one has the limits of `gpt-4o` at openai.
    """

    MEMORY_MAX = 20_000

    def __init__(self) -> None:
        text = importlib.resources.files("pertoken.data").joinpath("model_limits.csv").read_text(encoding="utf-8")
        self._exact: dict[tuple[str, str], Limits] = {}
        self._prefixes: list[tuple[str, str, Limits]] = []
        for row in csv.DictReader(text.splitlines()):
            limits = Limits(_count(row["max_output_tokens"]), _count(row["context_tokens"]))
            if row["match"] == "prefix":
                self._prefixes.append((row["provider"], row["model"].lower(), limits))
            else:
                self._exact[row["provider"], row["model"].lower()] = limits
        self._prefixes.sort(key=lambda entry: -len(entry[1]))
        self._memory: dict[tuple[str, str], Limits] = {}

    def find(self, provider: str, model: str) -> Limits:
        """Return the limits of `model` at `provider`, in tokens."""
        key = (provider, model)
        limits = self._memory.get(key)
        if limits is None:
            if len(self._memory) >= self.MEMORY_MAX:
                self._memory.clear()
            limits = self._memory[key] = self._find(provider, model.lower())
        return limits

    def _find(self, provider: str, name: str) -> Limits:
        for candidate in (name, SNAPSHOT_SUFFIX.sub("", name)):
            if (provider, candidate) in self._exact:
                return self._exact[provider, candidate]
        for owner, prefix, limits in self._prefixes:
            if owner == provider and name.startswith(prefix):
                return limits
        path, slash, last = name.rpartition("/")
        return self._find(canonical(path.rpartition("/")[2]), last) if slash else Limits()


def _count(text: str) -> int | None:
    return int(text) if text else None
