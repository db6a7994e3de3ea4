from pathlib import Path

import pytest
from tests.factories import price_row

from pertoken.core.periods import DAY_US, FOREVER_US
from pertoken.core.prices import PriceRow, Source, price_id
from pertoken.services.catalog import CannotWithdraw, take_back
from pertoken.settings import Settings, load
from pertoken.wiring.clock import SystemClock
from pertoken.wiring.database import open_database
from pertoken.wiring.installation import Installation
from pertoken.wiring.prices import (
    import_prices,
    preview_import,
    read_price_book,
    shipped_price_book,
)

NOW_US = SystemClock().now_us()


def offered(amount_picos: int, from_us: int = 0) -> PriceRow:
    """Return a price of a list that nobody else has."""
    row = price_row("input_tokens", amount_picos, source=Source.LITELLM, valid_from_us=from_us, recorded_at_us=NOW_US)
    return row._replace(price_id=price_id(row))


def amounts(book: object) -> list[int]:
    """Return what model m of provider p costs, in the order of time."""
    rows = [row for _, row in book.candidates("p", "m")]  # type: ignore[attr-defined]
    return [row.amount_picos for row in sorted(rows, key=lambda row: row.valid_from_us)]


def test_a_preview_changes_nothing(installation: Installation) -> None:
    """A preview says what an import will do and shows both books; only the import changes the database."""
    change, before, after = preview_import(installation, [offered(7)], NOW_US)

    assert len(change.added) == 1
    assert (amounts(before), amounts(after)) == ([], [7])
    assert amounts(read_price_book(installation)) == []
    assert import_prices(installation, [offered(7)], NOW_US).added == change.added
    assert amounts(read_price_book(installation)) == [7]


def test_the_same_list_twice_adds_nothing(installation: Installation) -> None:
    """A second import of a list adds no price, and a price that is there already is not added by hand either."""
    import_prices(installation, [offered(7)], NOW_US)
    again = import_prices(installation, [offered(7)], NOW_US)

    assert (again.added, again.superseded, again.unchanged) == ((), (), 1)
    with installation.changes() as opened:
        assert opened.administration.change_prices([offered(7)], (), NOW_US) == 0


def test_an_announced_price_is_taken_back(installation: Installation) -> None:
    """A price of tomorrow can be taken back, and the one before it goes on; one in force cannot."""
    tomorrow_us = NOW_US + DAY_US
    today = offered(7)._replace(valid_to_us=tomorrow_us, source=Source.OPERATOR)
    later = offered(9, tomorrow_us)._replace(source=Source.OPERATOR)
    rows = [row._replace(price_id=price_id(row)) for row in (today, later)]
    with installation.changes() as opened:
        assert opened.administration.change_prices(rows, (), NOW_US) == 2
        with pytest.raises(CannotWithdraw):
            take_back(opened.administration, [rows[0].price_id], NOW_US)
        take_back(opened.administration, [rows[1].price_id], NOW_US)
    left = [row for _, row in read_price_book(installation).candidates("p", "m")]

    assert [(row.amount_picos, row.valid_to_us) for row in left] == [(7, FOREVER_US)]


def configured(tmp_path: Path, price: str) -> Settings:
    """Return settings that state the price of a model of one's own server."""
    path = tmp_path / "pertoken.yaml"
    path.write_text(
        f"providers:\n  p:\n    wire: openai\n    base_url: http://localhost:1/v1\n    prices:\n      m:\n"
        f"        input: {price!r}\n        output: '0'\n"
    )
    return load({"PERTOKEN_DATABASE_URL": f"sqlite:///{tmp_path}/pertoken.db"}, str(path))


def test_stated_prices_are_in_the_book(tmp_path: Path) -> None:
    """What the settings state is in the book of a new database, in a shipped one, and changes with the settings."""
    first, second = configured(tmp_path, "1"), configured(tmp_path, "2")
    for settings, picos in ((first, 10**6), (first, 10**6), (second, 2 * 10**6)):
        with open_database(settings) as opened:
            book = read_price_book(opened)
        inputs = [row for _, row in book.candidates("p", "m") if row.unit == "input_tokens"]

        newest = max(inputs, key=lambda row: row.recorded_at_us)
        assert newest.amount_picos == picos * 10**6
        assert newest.amount_picos in amounts(shipped_price_book(settings, NOW_US))
