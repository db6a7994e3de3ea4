"""What is done with customers that nobody has made."""

from pertoken.core.customers import UnknownRule
from pertoken.settings import Settings
from pertoken.store.customers import CustomerMaker
from pertoken.wiring.clock import SystemClock
from pertoken.wiring.installation import Installation


def unknown_rule(settings: Settings) -> UnknownRule:
    """Return the rule for unknown customers."""
    rule = settings.customers
    return UnknownRule(rule.unknown, rule.currency, rule.timezone)


def make_named_customers(installation: Installation) -> None:
    """Make the customers that calls and events have named, if the settings say so. Raises StoreFailed."""
    CustomerMaker(installation.database, unknown_rule(installation.settings)).make_new(SystemClock().now_us())
