"""How often providers failed, by kind and by any dimensions, from roll-ups."""

from collections.abc import Mapping, Sequence

from pertoken.core.provider_errors import ErrorKind, errors_of
from pertoken.core.reporting import QUARTER_US, attributes, latency_report, slices
from pertoken.ports.archive import SumsView


def provider_errors(  # noqa: PLR0917 - what is asked
    archive: SumsView, since_us: int, until_us: int, by: Sequence[str], zone: str, where: Mapping[str, str]
) -> dict[tuple[str, ...], dict[ErrorKind, int]]:
    """Return the attempts that providers failed in the quarters of an hour that have an instant of [since, until).

    An attempt that was not charged is in no event, so a quarter cannot be cut.
    """
    whole_us = since_us // QUARTER_US * QUARTER_US, -(-until_us // QUARTER_US) * QUARTER_US
    dimensions, pieces = attributes(by), slices(*whole_us, by, zone)
    rows = latency_report(((piece, archive.latencies(piece, dimensions, where)) for piece in pieces), by, zone)
    found = {values: errors_of(counts) for values, counts in rows.items()}
    return {values: errors for values, errors in found.items() if errors}
