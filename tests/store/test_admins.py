"""Admin keys in the database."""

from pertoken.core.access import AdminKey, Role
from pertoken.store.admins import AdminKeys
from pertoken.store.database import Database

ROOT = AdminKey("ad_2", "root", b"\x00\xff", "wxyz", Role.ADMIN, None, None, 1_000)
OWNER = AdminKey("ad_1", "owner", b"hash of owner", "abcd", Role.TEAM_OWNER, "red", None, 1_000, 9_000)
BUYER = AdminKey("ad_0", "buyer", b"hash of buyer", "efgh", Role.CUSTOMER, None, "acme", 2_000, None, 3_000)


def add(database: Database) -> None:
    """Store three keys, the newest first."""
    with database.write() as connection:
        for one in (BUYER, ROOT, OWNER):
            AdminKeys(connection).add(one)


def test_all_are_listed_in_the_order_of_their_creation(database: Database) -> None:
    """Every key comes back whole, expired and revoked ones too, the oldest first and then by its id."""
    add(database)
    with database.read() as connection:
        listed = AdminKeys(connection).list_all()

    assert listed == [OWNER, ROOT, BUYER]
    assert [type(one.role) for one in listed] == [Role, Role, Role]


def test_a_key_is_found_by_the_hash_of_its_secret(database: Database) -> None:
    """The whole hash finds its key and no other, a revoked one too; a part of it finds nothing."""
    add(database)
    with database.read() as connection:
        admins = AdminKeys(connection)
        assert [admins.find(one.secret_hash) for one in (ROOT, OWNER, BUYER)] == [ROOT, OWNER, BUYER]
        assert [admins.find(wrong) for wrong in (b"", b"\x00", b"hash of own")] == [None, None, None]


def test_a_key_is_read_by_its_id(database: Database) -> None:
    """An id gives its key, a revoked one too, and no other; one that nobody has gives none."""
    add(database)
    with database.read() as connection:
        admins = AdminKeys(connection)
        assert [admins.get(one.admin_id) for one in (ROOT, OWNER, BUYER)] == [ROOT, OWNER, BUYER]
        assert [admins.get(wrong) for wrong in ("", "ad", "ad_9")] == [None, None, None]


def test_a_key_is_revoked_once(database: Database) -> None:
    """The first revocation stands; a second one, or that of an unknown key, is told and changes nothing."""
    add(database)
    with database.write() as connection:
        admins = AdminKeys(connection)
        asked = [("ad_1", 5_000), ("ad_1", 6_000), ("ad_0", 7_000), ("ad_9", 8_000)]
        assert [admins.revoke(*one) for one in asked] == [True, False, False, False]
        assert admins.list_all() == [OWNER._replace(revoked_at_us=5_000), ROOT, BUYER]
