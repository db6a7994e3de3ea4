"""A YAML file that means more than it says ends with a reason, before the tree is built."""

import itertools
from collections.abc import Callable
from datetime import date

import pytest
import yaml

from pertoken.catalogs import yaml_trees
from pertoken.catalogs.yaml_errors import reason


def tenfold(line: Callable[[str, str], str], lines: int = 5) -> str:
    """Return a file in which each line names the line before ten times."""
    names = [f"n{number}" for number in range(lines + 1)]
    pairs = itertools.pairwise(names)
    return "n0: &n0 {x: 1}\n" + "".join(line(name, ", ".join([f"*{before}"] * 10)) for before, name in pairs)


BOMBS = {
    "lists": tenfold(lambda name, ten: f"{name}: &{name} [{ten}]\n"),
    "values": tenfold(lambda name, ten: f"{name}: &{name} {{a: [{ten}]}}\n"),
    "merges": tenfold(lambda name, ten: f"{name}: &{name} {{<<: [{ten}]}}\n"),
}


@pytest.mark.parametrize("text", BOMBS.values(), ids=BOMBS)
def test_aliases_count_as_what_they_name(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Five lines that come to a hundred thousand values are refused where fewer are allowed, and read where not."""
    assert yaml_trees.load(text)["n0"] == {"x": 1}
    monkeypatch.setattr(yaml_trees, "VALUES_MAX", 100_000)
    with pytest.raises(yaml.YAMLError) as caught:
        yaml_trees.load(text)

    assert "more than 100,000 values, counting aliases (*)" in reason(caught.value)


@pytest.mark.parametrize("text", [tenfold(lambda name, ten: f"{name}: &{name} [{ten}]\n", 30)])
def test_nothing_of_a_bomb_is_built(text: str) -> None:
    """A file that comes to 10^30 values is refused by counting."""
    with pytest.raises(yaml.YAMLError, match="more than 1,000,000 values"):
        yaml_trees.load(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: &a [*a]", "line 1, column 4: an alias (*) contains itself"),
        ("a: &a {b: {c: *a}}", "an alias (*) contains itself"),
        ("[" * 5_000, "nested too deep"),
        ("{a: " * 5_000, "nested too deep"),
        ("a: 2026-99-99", "line 1, column 4: invalid date, time or number"),
        (f"a:\n  b: {'9' * 6_000}", "line 2, column 6: invalid date, time or number"),
    ],
    ids=["itself", "deep inside", "lists", "mappings", "date", "number"],
)
def test_what_is_no_tree(text: str, said: str) -> None:
    """What the parser would end with another error for is said as any other mistake is: where, and what to do."""
    with pytest.raises(yaml.YAMLError) as caught:
        yaml_trees.load(text)

    assert said in reason(caught.value)


def test_what_may_be_written() -> None:
    """Aliases and merges mean what they mean everywhere, an empty file is nothing, a date a date."""
    text = b"base: &base {input: '1', output: '2'}\nother: {<<: *base, input: '3'}\nagain: *base\nday: 2026-11-27"
    base = {"input": "1", "output": "2"}

    assert yaml_trees.load(text) == {
        "base": base, "other": {"input": "3", "output": "2"}, "again": base, "day": date(2026, 11, 27),
    }  # fmt: skip
    assert yaml_trees.load("") is None


@pytest.mark.parametrize("piece", ["[", "{a: ", "- ", "? ", "&a ["])
def test_lists_that_are_nested_deep(piece: str) -> None:
    """A file that is nested a hundred thousand deep ends with a reason, and the process goes on."""
    with pytest.raises(yaml.YAMLError):
        yaml_trees.load(piece * 100_000)
