"""Facts about providers as sellers."""

from pertoken.catalogs import covers, providers
from pertoken.core.price_book import Sellers
from pertoken.settings import Settings


def sellers(settings: Settings) -> Sellers:
    """Return facts about providers as sellers: the registry's names, and whose list prices each provider takes."""
    lists = {name: row.prices_from for name, row in providers.registry().items() if row.prices_from}
    lists.update({name: one.prices_from for name, one in settings.providers.items() if one.prices_from})
    charge_as_stated = frozenset(name for name, row in providers.registry().items() if row.charges_as_stated)
    variants, elsewhere = providers.variants(), providers.elsewhere()
    return Sellers(providers.names(), lists, charge_as_stated, covers.read(), variants, elsewhere)
