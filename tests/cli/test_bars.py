"""Bars: their lengths, and their characters."""

from decimal import Decimal

import pytest

from pertoken.cli.bars import CostBar, draw_bar


@pytest.mark.parametrize(
    ("part", "whole", "encoding", "drawn"),
    [
        ("1", "1", "utf-8", "████"), ("0.5", "1", "utf-8", "██"), ("0.28125", "1", "utf-8", "█▏"),
        ("0.000000000001", "1000", "utf-8", "▏"), ("2", "1", "utf-8", "████"),
        ("0", "1", "utf-8", ""), ("-1", "1", "utf-8", ""), ("0", "0", "utf-8", ""),
        ("1", "1", "ascii", "####"), ("0.5", "1", "latin-1", "##"), ("0.01", "1", "ascii", "#"),
        ("0", "1", "ascii", ""), ("1", "1", "no-such-encoding", "####"),
    ],
)  # fmt: skip
def test_a_bar(part: str, whole: str, encoding: str, drawn: str) -> None:
    """A bar is as long as its part of the whole; what is above zero has a mark, and plain outputs get plain ones."""
    assert draw_bar(CostBar(Decimal(part), Decimal(whole)), 4, encoding) == drawn
