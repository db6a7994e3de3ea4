"""`pertoken customer`."""

import getpass

import pytest
from tests.cli.conftest import Pertoken, WriteLines
from tests.cli.test_noting import changes, fields
from tests.factories import event_line

ACME = ("acme", "--name", "Acme", "--currency", "EUR", "--tz", "Europe/Berlin", "--from", "2026-01-01")


def test_a_customer_is_made_shown_changed_and_closed(bare: Pertoken) -> None:
    """The first command makes the database; each one shows what is then true; a second close changes nothing."""
    made = bare.json("customer", "create", *ACME, "--metadata", "crm=17", "--team", "t")
    below = bare.json("customer", "create", "sub", "--parent", "acme")

    assert (made["currency"], made["from"], made["metadata"]) == ("EUR", "2025-12-31T23:00:00Z", {"crm": "17"})
    assert (below["name"], below["currency"], below["timezone"], below["parent"]) == ("sub", "USD", "UTC", "acme")
    assert bare.json("customer", "show", "acme") == made
    assert "Europe/Berlin" in bare("customer", "show", "acme").stdout
    changed = bare.json("customer", "change", "acme", "--metadata", "tier=2", "--name", "Acme Ltd")
    assert changed == {**made, "name": "Acme Ltd", "metadata": {"crm": "17", "tier": "2"}}
    assert bare("customer", "change", "acme").stdout == "nothing changed\n"
    emptied = bare.json("customer", "change", "acme", "--no-metadata", "--no-team")
    assert (emptied["metadata"], emptied["team"]) == ({}, None)
    assert "'sub' is open" in bare("customer", "close", "acme", code=1).stderr
    assert bare("customer", "close", "sub").stdout == "closed sub\n"
    assert "sub was closed already, at 2" in bare("customer", "close", "sub").stdout
    assert bare.json("customer", "show", "sub")["state"] == "closed"
    assert bare.json("customer", "change", "sub", "--no-parent")["parent"] is None


def test_customers_are_listed_in_pages(pertoken: Pertoken) -> None:
    """A list ends with where the next page begins, and takes filters."""
    assert "pertoken customer create" in pertoken("customer", "list").output
    for name in ("a", "b", "c"):
        pertoken("customer", "create", name, *(("--team", "t") if name != "b" else ()))
    pertoken("customer", "close", "c")
    first = pertoken.json("customer", "list", "--limit", "2")

    assert ([one["id"] for one in first["customers"]], first["next_cursor"]) == (["a", "b"], "b")
    rest = pertoken.json("customer", "list", "--limit", "2", "--cursor", first["next_cursor"])
    assert ([one["id"] for one in rest["customers"]], rest["next_cursor"]) == (["c"], None)
    pertoken("customer", "create", "b; x")
    assert "--cursor 'b; x'" in pertoken("customer", "list", "--cursor", "a", "--limit", "2").stderr
    assert "--cursor b" in pertoken("customer", "list", "--limit", "2").stderr
    for filters, names in ((("--state", "closed"), ["c"]), (("--team", "t"), ["a", "c"])):
        assert [one["id"] for one in pertoken.json("customer", "list", *filters)["customers"]] == names


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        (("create", "acme"), 1, "already"),
        (("create", "new", "--currency", "euro"), 1, "did you mean 'EUR'"),
        (("create", "new", "--tz", "Europe/Berln"), 1, "did you mean 'Europe/Berlin'"),
        (("create", "new", "--parent", "nobody"), 1, "no customer 'nobody'"),
        (("create", "new", "--from", "2999-01-01"), 1, "later than now"),
        (("create", "new", "--metadata", "crm"), 2, "NAME=VALUE"),
        (("create", "new", "--metadata", f"crm={'x' * 501}"), 1, "501 characters"),
        (("create", "a\x1bb"), 1, "control character"),
        (("create", ""), 1, "must not be empty"),
        (("change", "acme", "--parent", "acme"), 1, "its own parent"),
        (("change", "acme", "--parent", "x", "--no-parent"), 2, "choose one"),
        (("change", "acne", "--name", "x"), 1, "did you mean 'acme'"),
        (("show", "zeta"), 1, "see: pertoken customer list"),
        (("close", "zeta"), 1, "see: pertoken customer list"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(
    pertoken: Pertoken, arguments: tuple[str, ...], code: int, word: str
) -> None:
    """A wrong value is named with a hint, and nothing is changed."""
    before = pertoken.json("customer", "create", *ACME)

    assert word in pertoken("customer", *arguments, code=code).stderr
    assert pertoken.json("customer", "list")["customers"] == [before]


def test_changes_of_customers_are_written_down(pertoken: Pertoken) -> None:
    """Making, changing and closing leave a record each; what changes nothing leaves none."""
    pertoken("customer", "create", "acme", "--team", "t")
    pertoken("customer", "change", "acme", "--currency", "EUR")
    pertoken("customer", "change", "acme", "--currency", "EUR")
    pertoken("customer", "close", "acme")
    pertoken("customer", "close", "acme")
    found = changes(pertoken)

    path = "/api/v1/customers/acme"
    assert [(one.action, one.object, one.team) for one in found] == [("customers.write", path, "t")] * 3
    states = [[one and fields(one)["state"] for one in (change.before, change.after)] for change in found]
    assert states == [[None, "open"], ["open", "open"], ["open", "closed"]]
    assert {one.actor_name for one in found} == {getpass.getuser()}


@pytest.mark.parametrize(
    ("unknown", "code", "made"), [("allow", 0, ["acme"]), ("make", 0, ["acme", "new"]), ("refuse", 1, ["acme"])]
)
def test_an_unknown_customer_of_an_event(
    pertoken: Pertoken, write_lines: WriteLines, unknown: str, code: int, made: list[str]
) -> None:
    """As the setting says, it is left alone, made with the default currency and time zone, or its event is rejected."""
    pertoken("customer", "create", "acme", "--from", "2026-01-01")
    lines = write_lines(
        event_line("a", customer="acme"), event_line("b", customer="new", team="t"), event_line("c", customer=None)
    )
    environ = {
        "PERTOKEN_CUSTOMERS__UNKNOWN": unknown,
        "PERTOKEN_CUSTOMERS__CURRENCY": "CHF",
        "PERTOKEN_CUSTOMERS__TIMEZONE": "Europe/Zurich",
    }
    tally = pertoken.json("ingest", lines, code=code, **environ)
    found = pertoken.json("customer", "list")["customers"]

    assert (tally["accepted"], len(tally["rejected"])) == (3 - code, code)
    assert [one["id"] for one in found] == made
    if unknown == "make":
        row = found[1]
        assert (row["currency"], row["timezone"], row["team"], row["from"]) == ("CHF", "Europe/Zurich", "t", None)
    if code:
        [rejected] = tally["rejected"]
        assert (rejected["line"], rejected["code"], "'new'" in rejected["message"]) == (2, "invalid_customer", True)
