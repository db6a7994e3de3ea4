"""What the pages work with, joined."""

from tests.factories import price_row

from pertoken.core.rates import Rates
from pertoken.wiring.health import ask_doctor, read_facts
from pertoken.wiring.installation import Installation
from pertoken.wiring.pages import make_site


def test_the_price_book_is_read_again_when_it_changed(installation: Installation) -> None:
    """Pages see a price from its statement on, and read the book once between two changes."""
    site = make_site(installation)
    before = site.prices()
    assert site.prices() is before
    with site.store.write() as opened:
        opened.administration.change_prices([price_row("input_tokens", 5), price_row("output_tokens", 5)], (), 1)
    after = site.prices()

    assert not isinstance(before.resolve("p", "m", 1), Rates)
    assert isinstance(after.resolve("p", "m", 1), Rates)


def test_health_knows_the_installation(installation: Installation) -> None:
    """The facts of an installation have its size and kind, and doctor's findings come without the port's."""
    facts, findings = read_facts(installation), ask_doctor(installation.settings)

    assert facts.store_bytes > 100_000
    assert dict(facts.lines)["database"].startswith("SQLite 3")
    assert facts.lease == []
    assert {"python", "settings", "price book"} <= {one.check for one in findings}
    assert not any(one.check.startswith("port") for one in findings)
