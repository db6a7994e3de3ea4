"""What one answer costs: of all that may be meant by what is known of it, the dearest."""

from collections.abc import Sequence
from typing import NamedTuple

from pertoken.core.charging import Charge, Served
from pertoken.core.price_book import PriceBook
from pertoken.core.provisional import HeldFor, charge_surely
from pertoken.core.usage import Used


class DearestMeant(NamedTuple):
    """The dearest of what may be meant."""

    charge: Charge
    used: Used
    model_served: str | None
    differ: str | None = None  # where the answer names several models, which do not cost the same: what it names


def charge_dearest(book: PriceBook, served: Served, readings: Sequence[Used], cover: HeldFor | None) -> DearestMeant:
    """Return the dearest of several readings of one use, by any of the models named, all of which may be meant.

    Raises usage.Contradiction.
    """
    if len(readings) == 1 and not served.named:  # nearly always
        return DearestMeant(charge_surely(book, served, readings[0], cover), readings[0], served.model_served)
    found = [
        DearestMeant(charge_surely(book, served._replace(model_served=name), one, cover), one, name)
        for name in served.named or (served.model_served,)
        for one in readings
    ]
    costs = [one.charge.cost_picos for one in found]
    dearest = found[costs.index(max(costs))]
    of_names = {one.charge.cost_picos for one in found if one.used is dearest.used}
    differ = f"the answer names {' and '.join(served.named)}" if len(of_names) > 1 else None
    return dearest._replace(differ=differ)
