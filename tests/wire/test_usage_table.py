"""Reading usage with a table: known, missing and contradictory numbers."""

import pickle

import pytest

from pertoken.core.usage import Contradiction
from pertoken.wire import formats, usage_table
from pertoken.wire.usage_table import Beside, Check, Listed, Zero, rule, table, term, terms

TABLE = table(
    rule("input_tokens", "a + b.c", "here"),
    rule("cache_read_tokens", "b.c|old", "here"),
    rule("output_tokens", "out", "here"),
)


@pytest.mark.parametrize(
    ("usage", "quantities"),
    [
        ({}, {}),
        ({"a": 0}, {"input_tokens": 0}),
        ({"a": None}, {}),
        ({"a": 1, "b": {"c": 2}}, {"input_tokens": 3, "cache_read_tokens": 2}),
        ({"a": 9, "old": 4}, {"input_tokens": 9, "cache_read_tokens": 4}),
        ({"a": 9, "b": {"c": 3}, "old": 4}, {"input_tokens": 12, "cache_read_tokens": 3}),
        ({"a": 9, "b": {"c": None}, "old": 4}, {"input_tokens": 9, "cache_read_tokens": 4}),
        ({"a": 12.0, "b": None}, {"input_tokens": 12}),
        ({"a": 1, "b": 7}, {"input_tokens": 1}),
        ({"b": {"c": 2}}, {"cache_read_tokens": 2}),
    ],
)
def test_reading(usage: dict[str, object], quantities: dict[str, int]) -> None:
    """Terms are added if the first is present, the first of several names counts, null is missing, zero is zero."""
    assert usage_table.read(TABLE.rules, usage) == quantities


@pytest.mark.parametrize("value", [-1, "5", True, False, 1.5, float("nan"), float("inf"), 10**13, [], {}])
def test_no_count(value: object) -> None:
    """A value that is not a count is a contradiction."""
    with pytest.raises(Contradiction, match="a is not a count"):
        usage_table.read(TABLE.rules, {"a": value})


def test_two_names_of_one_number_agree() -> None:
    """Two names of one number must have the same value; otherwise it is a contradiction."""
    both = table(rule("input_tokens", "a", "here"), rule("input_tokens", "b", "there"))

    assert usage_table.count(both, {"a": 1, "b": 1}) == {"input_tokens": 1}
    assert usage_table.count(both, {"b": 2}) == {"input_tokens": 2}
    with pytest.raises(Contradiction, match="input_tokens is told twice: 1 and 2"):
        usage_table.count(both, {"a": 1, "b": 2})


ADDED = table(rule("input_tokens", "a", "here"), rule("output_tokens", "b", "here"), total="total")


@pytest.mark.parametrize("usage", [{}, {"total": 3}, {"a": 1, "b": 2, "total": 3}, {"a": 1, "total": 9}, {"b": 0}])
def test_total(usage: dict[str, object]) -> None:
    """A total is accepted if it is the sum of its parts, or if not all parts are known."""
    usage_table.count(ADDED, usage)


@pytest.mark.parametrize(
    ("usage", "decided"),
    [({"a": 1, "b": 2, "total": 4}, True), ({"a": 1, "b": 2, "total": 2}, False), ({"a": 1, "total": 0}, False)],
)
def test_total_that_is_none(usage: dict[str, object], decided: bool) -> None:
    """A total that is not the sum of its parts is a contradiction; if it is larger than the sum, it decides."""
    with pytest.raises(Contradiction, match=r"total \d is not the sum of its parts, (by )?\d") as caught:
        usage_table.count(ADDED, usage)

    assert caught.value.decided == decided


@pytest.mark.parametrize("side", ["a", "b"])
def test_the_total_tells_a_side_that_is_left_out(side: str) -> None:
    """A missing side is the rest of the total; if nothing is left, the side stays unknown and is not zero."""
    units = {"a": "input_tokens", "b": "output_tokens"}
    (other,) = units.keys() - {side}

    assert usage_table.count(ADDED, {side: 3, "total": 10}) == {units[side]: 3, units[other]: 7}
    assert usage_table.count(ADDED, {side: 3, "total": 3}) == {units[side]: 3}


def _besides(*, beside: bool, always: bool = False) -> usage_table.UsageTable:
    thought = Beside("output_tokens", terms("thought"), beside, "here", always)
    tool = Beside("input_tokens", terms("tool"), beside, "here", always)
    return table(*ADDED.rules, tool, thought, total="total")


@pytest.mark.parametrize(
    ("beside", "always", "total", "found"),
    [
        (True, False, None, (17, 28)),
        (False, False, None, (10, 20)),
        (True, False, 30, (10, 20)),
        (False, False, 45, (17, 28)),
        (True, False, 37, (17, 20)),
        (False, False, 38, (10, 28)),
        (True, True, 30, (17, 28)),
        (True, True, 45, (17, 28)),
    ],
)
def test_the_total_decides_what_stands_beside(
    beside: bool, always: bool, total: int | None, found: tuple[int, int]
) -> None:
    """Tokens are outside their unit if the provider's total has room for them; without a total, the table decides."""
    usage = {"a": 10, "tool": 7, "b": 20, "thought": 8, "total": total}
    quantities = usage_table.count(_besides(beside=beside, always=always), usage)

    assert (quantities["input_tokens"], quantities["output_tokens"]) == found


def test_a_total_that_fits_neither_way_contradicts() -> None:
    """A total that fits neither with nor without the tokens of a `Beside` row is a contradiction."""
    with pytest.raises(Contradiction, match="total 31"):
        usage_table.count(_besides(beside=True), {"a": 10, "tool": 7, "b": 20, "thought": 8, "total": 31})


def test_lists_add_up() -> None:
    """The entries of a list with the same key are added."""
    listed = table(Listed("input_audio_tokens", "details", "kind", "sound", "n", "here"))
    details = [{"kind": "sound", "n": 2}, {"kind": "sight", "n": 9}, {"kind": "sound", "n": 3}, {"kind": "sound"}, 7]

    assert usage_table.count(listed, {"details": details}) == {"input_audio_tokens": 5}
    assert usage_table.count(listed, {"details": None}) == {}
    with pytest.raises(Contradiction, match="n is not a count"):
        usage_table.count(listed, {"details": [{"kind": "sound", "n": "2"}]})


def test_zeros_left_out() -> None:
    """If an API omits zeros, another field shows that a missing unit is zero."""
    zeros = table(rule("input_tokens", "a", "here"), Zero("output_tokens", term("total"), "here"), total="total")

    assert usage_table.count(zeros, {"a": 3, "total": 3}) == {"input_tokens": 3, "output_tokens": 0}
    assert usage_table.count(zeros, {"a": 3}) == {"input_tokens": 3}
    assert usage_table.count(zeros, {"total": 3}) == {}


@pytest.mark.parametrize(
    ("usage", "holds"),
    [
        ({"all": 5, "x": 2, "y": 3}, True),
        ({"all": 5, "x": 2, "y": 2}, False),
        ({"all": 5, "x": 2, "y": 4}, False),
        ({"all": 5, "x": 2}, True),
        ({"all": 5, "x": 6}, False),
        ({"x": 6}, True),
    ],
)
def test_checks(usage: dict[str, object], holds: bool) -> None:
    """The sum of parts is never more than the total, and never less if all parts are present."""
    checked = table(Check(term("all"), terms("x + y"), "here", exact=True))
    if holds:
        usage_table.count(checked, usage)
    else:
        with pytest.raises(Contradiction, match="all 5 is not the sum of its parts"):
            usage_table.count(checked, usage)


@pytest.mark.parametrize("api", sorted(formats.SERVED))
def test_another_process_finds_its_own_table(api: str) -> None:
    """A table that is sent to another process becomes that process's own table, not a copy."""
    rows = formats.SERVED[api].USAGE

    assert pickle.loads(pickle.dumps(rows)) is rows  # noqa: S301 - our own
