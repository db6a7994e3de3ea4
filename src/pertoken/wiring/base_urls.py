"""Whether a provider can be called where the settings say it is."""

from pertoken.upstream.origin import parse_origin


def check_base_url(base_url: str) -> None:
    """Raise ValueError, which quotes the url, where nothing can be called at it."""
    parse_origin(base_url)
