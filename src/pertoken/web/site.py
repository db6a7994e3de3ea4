"""Everything that the pages use, in one value."""

from collections.abc import Callable, Sequence
from ipaddress import IPv4Network, IPv6Network
from typing import NamedTuple

from pertoken.core.price_book import PriceBook
from pertoken.core.secrets import Hasher
from pertoken.ports.clock import Clock
from pertoken.ports.pricing import Pricing
from pertoken.ports.store import Store
from pertoken.services.calls import Folders
from pertoken.services.rerate import Correcting
from pertoken.web.health import Health


class Site(NamedTuple):
    """The ports and settings that the pages use."""

    store: Store
    clock: Clock
    hasher: Hasher
    prices: Callable[[], PriceBook]
    correct: Callable[[Correcting], None]  # records what is to be corrected, durably; raises StoreUnavailable
    folders: Folders  # the folder of archived months
    root_key: str  # the operator's own admin key; empty if it is not set
    zone: str  # the time zone if the address names none
    version: str
    health: Health | None = None  # facts about the installation; None in tests without one
    pricing: Pricing | None = None  # decides what customers are charged; None: nobody is
    trusted_proxies: Sequence[IPv4Network | IPv6Network] = ()  # proxies whose statements about the client are believed
