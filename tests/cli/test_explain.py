from decimal import Decimal

from tests.cli.conftest import Pertoken, WriteLines

from pertoken import settings
from pertoken.services.budgets import Wish, set_budget
from pertoken.store.administration import Administration
from pertoken.wiring.clock import SystemClock
from pertoken.wiring.database import open_database

CALL = {
    "id": "call-1",
    "at": "2026-11-20T12:00:00Z",
    "provider": "openai",
    "model": "gpt-4o-mini",
    "usage": {"input_tokens": 1_234, "cache_read_tokens": 1_000, "output_tokens": 56, "reasoning_tokens": 6},
}


def test_the_arithmetic_can_be_redone(pertoken: Pertoken, write_lines: WriteLines) -> None:
    """Every line's quantity x price per million / 1,000,000 is its amount, and the amounts are the cost."""
    pertoken("ingest", write_lines(CALL))
    found = pertoken.json("explain", "call-1")
    lines = found["lines"]

    assert sum(Decimal(line["amount"]) for line in lines) == Decimal(found["cost"]) > 0
    assert {line["unit"]: line["quantity"] for line in lines} == {
        "cache_read_tokens": 1_000,
        "input_tokens": 234,
        "reasoning_tokens": 6,
        "output_tokens": 50,
    }
    for line in lines:
        assert Decimal(line["quantity"]) * Decimal(line["unit_price_per_million"]) / 10**6 == Decimal(line["amount"])


def test_the_text_says_the_same(pertoken: Pertoken, write_lines: WriteLines) -> None:
    """The text has each quantity and amount, where its price is from, the cost, and what of each budget is left."""
    pertoken("budget", "set", "ever", "--limit", "1", "--window", "total")
    pertoken("ingest", write_lines(CALL))
    found = pertoken.json("explain", "call-1")
    shown = pertoken("explain", "call-1").stdout

    assert "quantity x price / per = amount" in shown
    assert found["cost"] in shown
    assert "price from" in shown
    assert "at the price of output_tokens" in shown
    assert f"budget   ever: {found['cost']} of 1 USD in total spent" in shown


def test_a_call_without_price_says_why(pertoken: Pertoken, write_lines: WriteLines) -> None:
    """A call of an unknown provider is explained as unpriced, with the reason, never as a cost of zero."""
    pertoken("ingest", write_lines({**CALL, "provider": "acme", "model": "nobody-knows"}))
    shown = pertoken("explain", "call-1").stdout

    assert pertoken.json("explain", "call-1")["status"] == "unpriced"
    assert "cost     unknown, so nothing is charged; fix: pertoken price add" in shown
    assert "because  no price known for 'nobody-knows' at acme" in shown


def test_the_fix_that_is_named_corrects_what_was_recorded(pertoken: Pertoken, write_lines: WriteLines) -> None:
    """Adding the price alone changes no recorded cost; the second command that is named does."""
    pertoken("ingest", write_lines({**CALL, "provider": "acme", "model": "nobody-knows"}))
    said = pertoken("explain", "call-1").stdout.partition("fix: ")[2].splitlines()[0]
    add, _, rerate = said.partition(", then ")
    stated = ("--provider", "acme", "--model", "nobody-knows", "--input", "1", "--output", "1", "--from", "2026-01-01")
    pertoken(*add.removeprefix("pertoken ").split(), *stated)

    assert pertoken.json("explain", "call-1")["cost"] == "0"
    pertoken(*rerate.removeprefix("pertoken ").split())
    assert pertoken.json("explain", "call-1")["cost"] == "0.00129"


def test_a_provisional_cost_says_where_it_is_from(pertoken: Pertoken, write_lines: WriteLines) -> None:
    """A call in a tier without a price has one line, its provisional amount, and the reason."""
    pertoken("ingest", write_lines({**CALL, "service_tier": "scale"}))
    found = pertoken.json("explain", "call-1")
    shown = pertoken("explain", "call-1").stdout

    assert (found["status"], [line["unit"] for line in found["lines"]]) == ("unpriced", ["provisional"])
    assert found["lines"][0]["amount"] == found["cost"] != "0"
    for said in (
        "cost, provisional",
        "no price is known: the dearest rates",
        "because  no price known for 'gpt-4o-mini'",
    ):
        assert said in shown


def test_a_stated_cost_stands_beside_the_price_book(pertoken: Pertoken, write_lines: WriteLines) -> None:
    """What a provider states is the cost; the book's figure, its lines and the difference are shown beside it."""
    usage = {"input_tokens": 100, "output_tokens": 20, "reported_cost": "0.0160614"}
    pertoken("ingest", write_lines({**CALL, "provider": "openrouter", "model": "openai/gpt-4o-mini", "usage": usage}))
    found = pertoken.json("explain", "call-1")
    shown = pertoken("explain", "call-1").stdout

    assert (found["status"], found["cost"]) == ("priced", "0.0160614")
    book = found["price_book"]
    assert Decimal(book["cost"]) == sum(Decimal(line["amount"]) for line in book["lines"]) > 0
    assert Decimal(book["difference"]) == Decimal("0.0160614") - Decimal(book["cost"])
    said = f"the price book says {book['cost']} USD; the provider charged 0.0160614, which is {book['difference']} more"
    assert said in shown
    assert pertoken.json("verify")["ok"]


def test_an_unknown_call_is_refused(pertoken: Pertoken) -> None:
    """What nobody knows ends with 1 and says where ids come from."""
    assert "x-pertoken-call-id" in pertoken("explain", "nothing", code=1).stderr


def test_a_budget_is_shown_in_its_own_currency(pertoken: Pertoken, write_lines: WriteLines) -> None:
    """A budget in another currency than the call says its own."""
    pertoken("ingest", write_lines(CALL))
    wish = Wish("euros", "5", window="total", currency="EUR")
    loaded = settings.load({"PERTOKEN_DATABASE_URL": pertoken.url})
    with open_database(loaded) as installation, installation.database.write() as connection:
        set_budget(Administration(connection), SystemClock(), wish)

    assert "euros: 0 of 5 EUR in total spent, 5 left" in pertoken("explain", "call-1").stdout
