"""Checks the base URLs of providers."""

from pertoken.upstream.origin import parse_origin


def check_base_url(base_url: str) -> None:
    """Raise ValueError, which quotes the url, if the url cannot be called."""
    parse_origin(base_url)
