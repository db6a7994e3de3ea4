"""The directory as it changes."""

from pertoken.core.directory import Directory, Key, KnownCustomers


def test_a_doubt_changes_trust_alone() -> None:
    """The next directory has the keys, the shared customers and the closed customers of the one before."""
    key = Key("key_1", "app", b"hash", "hint")
    customers = KnownCustomers({"acme": 5}, frozenset({"acme"}))
    before = Directory(1, [key], (), shares={"acme": frozenset({"t"})}, customers=customers)
    after = before.doubting(2, {})

    assert after.revision == 2
    assert after.identify(b"hash") is key
    assert (after.customers, after.shares) == (customers, before.shares)
