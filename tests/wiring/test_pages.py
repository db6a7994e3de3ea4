"""What the pages work with, joined."""

from pathlib import Path

from tests.factories import price_row

from pertoken import settings
from pertoken.core.rates import Rates
from pertoken.page_wiring import open_site
from pertoken.wiring import open_database


def test_the_price_book_is_read_again_when_it_changed(tmp_path: Path) -> None:
    """Pages see a price from its statement on, and read the book once between two changes."""
    loaded = settings.load({"PERTOKEN_DATABASE_URL": f"sqlite:///{tmp_path}/t.db", "PERTOKEN_SECRET_KEY": "5e" * 32})
    with open_database(loaded), open_site(loaded) as site:
        before = site.prices()
        assert site.prices() is before
        with site.store.write() as opened:
            opened.administration.change_prices([price_row("input_tokens", 5), price_row("output_tokens", 5)], (), 1)
        after = site.prices()

    assert not isinstance(before.resolve("p", "m", 1), Rates)
    assert isinstance(after.resolve("p", "m", 1), Rates)
