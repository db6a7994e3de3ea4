"""Whom a call belongs to: what its key says, and of the rest what the key may name."""

import pytest
from tests.factories import WHO
from tests.services.call.parts import KEY, NOW_US, Ledger, world_of

from pertoken.core.census import Bounds, Census, Named
from pertoken.core.directory import Directory, Key, KnownCustomers
from pertoken.core.errors import Code, Refusal
from pertoken.services.call.belong import belong

SAID = WHO._replace(key="key_1", tags=())


def test_what_a_key_says_is_taken() -> None:
    """A call of which its client says nothing belongs to its key alone."""
    assert belong(KEY, SAID, world_of(), NOW_US) == Named(SAID)


def test_a_customer_of_another_team_is_refused() -> None:
    """Who named it first owns it, until an admin shares it."""
    world = world_of()
    world.census.learn_in_order(SAID._replace(team="sales", customer="acme"))
    refusal = belong(KEY, SAID._replace(customer="acme"), world, NOW_US)

    assert isinstance(refusal, Refusal)
    assert refusal.code is Code.FORBIDDEN
    assert belong(KEY, SAID._replace(customer="zeta"), world, NOW_US) == Named(SAID._replace(customer="zeta"))


@pytest.mark.parametrize(
    ("customers", "word"),
    [
        (KnownCustomers(), None),
        (KnownCustomers({"zeta": 5}), None),
        (KnownCustomers({"acme": 5}), "'acme' was closed at 1970-01-01"),
        (KnownCustomers({}, frozenset({"zeta"})), "unknown customer 'acme'"),
        (KnownCustomers({}, frozenset({"acme"})), None),
        (KnownCustomers({"acme": 5}, frozenset({"acme"})), "'acme' was closed at 1970-01-01"),
    ],
)
@pytest.mark.parametrize("key", [KEY, KEY._replace(customer="acme")])
def test_a_customer_must_be_open(key: Key, customers: KnownCustomers, word: str | None) -> None:
    """A closed customer is refused, and an unknown one where only known ones may be named; also that of a key."""
    ledger = Ledger()
    ledger.directory = Directory(1, [key], (), customers=customers)
    found = belong(key, SAID._replace(customer="acme"), world_of(ledger=ledger), NOW_US)

    if word is None:
        assert found == Named(SAID._replace(customer="acme"))
    else:
        assert isinstance(found, Refusal)
        assert (found.code, found.param) == (Code.FORBIDDEN, "x-pertoken-customer")
        assert word in found.message
    assert belong(KEY, SAID, world_of(ledger=ledger), NOW_US) == Named(SAID)


def test_a_key_names_so_many_customers() -> None:
    """One more is refused, and never counted as `other`: who is charged is known."""
    world = world_of()._replace(census=Census(Bounds(customers=1)))
    world.census.learn(SAID._replace(customer="acme"))
    refusal = belong(KEY, SAID._replace(customer="zeta"), world, NOW_US)

    assert isinstance(refusal, Refusal)
    assert "has already named 1 customers" in refusal.message


def test_users_beyond_those_of_a_key_are_others() -> None:
    """The call is served, and says what was folded."""
    world = world_of()._replace(census=Census(Bounds(users=1)))
    world.census.learn(SAID._replace(user="ada"))

    assert belong(KEY, SAID._replace(user="ada"), world, NOW_US).folded == ()
    assert belong(KEY, SAID._replace(user="bob"), world, NOW_US).folded == ("user",)
