from pertoken.settings import Settings
from pertoken.wiring.pricing import make_pricing


def test_nobody_decides_on_prices_yet(settings: Settings) -> None:
    """Without a capability that prices, events have no price: it is null, and never 0."""
    assert make_pricing(settings) is None
