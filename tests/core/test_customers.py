"""What a customer may be, and which events it may have."""

import pytest

from pertoken.core.access import View
from pertoken.core.customers import (
    METADATA_MAX,
    METADATA_NAME_MAX,
    METADATA_VALUE_MAX,
    Customer,
    CustomerState,
    Unknown,
    why_no_metadata,
    why_not_at,
)

ACME = Customer("acme", "Acme", "EUR", "Europe/Berlin", 100, team="t", begins_at_us=50)
CLOSED = ACME._replace(closed_at_us=200)
FROM_CALLS = ACME._replace(begins_at_us=None)


@pytest.mark.parametrize(
    ("customer", "at_us", "unknown", "word"),
    [
        (None, 1, Unknown.ALLOW, None),
        (None, 1, Unknown.MAKE, None),
        (None, 1, Unknown.REFUSE, "unknown customer 'acme'"),
        (ACME, 49, Unknown.ALLOW, "'acme' begins at"),
        (ACME, 50, Unknown.REFUSE, None),
        (ACME, 10**15, Unknown.REFUSE, None),
        (FROM_CALLS, 0, Unknown.REFUSE, None),
        (CLOSED, 199, Unknown.ALLOW, None),
        (CLOSED, 200, Unknown.ALLOW, "'acme' was closed at"),
        (CLOSED, 49, Unknown.MAKE, "'acme' begins at"),
    ],
)
def test_an_event_belongs_to_the_life_of_its_customer(
    customer: Customer | None, at_us: int, unknown: Unknown, word: str | None
) -> None:
    """From its beginning on, and until it is closed, a customer has events; an unknown one as the setting says."""
    why = why_not_at(customer, "acme", at_us, unknown)

    assert (word is None) == (why is None)
    assert (word or "") in (why or "")


@pytest.mark.parametrize(
    ("metadata", "word"),
    [
        ({}, None),
        ({"crm": "17", "note": ""}, None),
        ({"n" * METADATA_NAME_MAX: "v" * METADATA_VALUE_MAX}, None),
        ({str(number): "" for number in range(METADATA_MAX)}, None),
        ({str(number): "" for number in range(METADATA_MAX + 1)}, "51 entries"),
        ({"n" * (METADATA_NAME_MAX + 1): ""}, "65 characters"),
        ({"n": "v" * (METADATA_VALUE_MAX + 1)}, "501 characters"),
        ({"": "v"}, "must not be empty"),
        ({"a\nb": "v"}, "control character"),
        ({"n": "a\x1bb"}, "control character"),
    ],
)
def test_metadata_is_bounded_and_plain(metadata: dict[str, str], word: str | None) -> None:
    """Metadata has a limited number of short names and values without control characters."""
    why = why_no_metadata(metadata)

    assert (word is None) == (why is None)
    assert (word or "") in (why or "")


@pytest.mark.parametrize(
    ("view", "seen"),
    [
        (View(), True),
        (View(team="t"), True),
        (View(team="u"), False),
        (View(customer="acme"), True),
        (View(customer="zeta"), False),
    ],
)
def test_a_customer_is_seen_by_its_team(view: View, seen: bool) -> None:
    """A team sees its own customers, a customer itself, and only the whole view a customer of no team."""
    assert ACME.is_seen_by(view) is seen
    assert ACME._replace(team=None).is_seen_by(view) is (seen and view.team is None)


def test_a_customer_is_open_until_it_is_closed() -> None:
    """The state follows from when it was closed."""
    assert (ACME.state, CLOSED.state) == (CustomerState.OPEN, CustomerState.CLOSED)
