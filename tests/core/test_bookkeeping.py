"""Double entry: what is posted for events."""

from hypothesis import given
from hypothesis import strategies as st
from tests.factories import WHO, event, hold

from pertoken.core.bookkeeping import AccountKind, EntryKind, Posting, account_of, entries_of, is_of, owner_of
from pertoken.core.events import Event, OfCall, OfCorrection, OfReport

COSTS = st.integers(-(10**27), 10**27)


@st.composite
def posted(draw: st.DrawFn) -> Event:
    """Return an event of some provider, currency and cost; some are corrections."""
    one = event(hold(f"call_{draw(st.integers(0, 9))}"), draw(COSTS))
    return one._replace(
        attribution=WHO._replace(provider=draw(st.sampled_from([None, "openai", "a:b"]))),
        currency=draw(st.sampled_from(["USD", "EUR"])),
        of=draw(st.sampled_from([OfCall(), OfReport(), OfCorrection("call_0")])),
    )


@given(st.lists(posted(), max_size=20))
def test_entries_balance_and_lose_nothing(events: list[Event]) -> None:
    """Each entry comes to zero, and the accounts of costs gain exactly what the events cost, by currency."""
    entries = entries_of(events)

    assert all(sum(one.amount_picos for one in entry.postings) == 0 for entry in entries)
    assert len({entry.occasion for entry in entries}) == len(entries)
    for currency in ("USD", "EUR"):
        gained = sum(
            one.amount_picos
            for entry in entries
            if entry.occasion.currency == currency
            for one in entry.postings
            if is_of(AccountKind.PROVIDER_COST, one.account)
        )
        assert gained == sum(one.cost_picos for one in events if one.currency == currency)


def test_a_cost_is_owed_to_its_provider() -> None:
    """A cost is gained by its provider's account of costs and owed in that of what is payable; a correction apart."""
    first, second = event(hold("call_1"), 7), event(hold("call_2"), 5)
    corrected = first._replace(event_id="fix_1", of=OfCorrection("call_1"), cost_picos=-3)
    usage, correction = entries_of([first, corrected, second, first._replace(cost_picos=0, currency="EUR")])

    assert usage.occasion == (EntryKind.USAGE, "openai", "USD")
    assert usage.postings == (Posting("provider_cost:openai", 12), Posting("provider_payable:openai", -12))
    assert correction.occasion.kind == EntryKind.CORRECTION
    assert [one.amount_picos for one in correction.postings] == [-3, 3]


def test_an_account_says_what_it_is_for_and_whose() -> None:
    """Kind and owner can be read from an account's name, whatever the owner is called."""
    name = account_of(AccountKind.PROVIDER_COST, "my:own")

    assert owner_of(name) == "my:own"
    assert [is_of(kind, name) for kind in AccountKind] == [True, False]
