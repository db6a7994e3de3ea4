"""Double entry: what is posted for events."""

from operator import attrgetter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.factories import WHO, event, hold

from pertoken.core import bookkeeping
from pertoken.core.bookkeeping import (
    RULES,
    AccountKind,
    EntryKind,
    Posting,
    PostingRule,
    account_of,
    book,
    is_of,
    owner_of,
)
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
    """Each entry comes to zero, and by currency each rule's accounts gain exactly what its amounts come to."""
    entries = book(events).entries.values()

    assert all(sum(one.amount_picos for one in entry.postings) == 0 for entry in entries)
    for rule in RULES:
        for currency in ("USD", "EUR"):
            gained = sum(
                one.amount_picos
                for entry in entries
                if entry.currency == currency
                for one in entry.postings
                if is_of(rule.gains, one.account)
            )
            assert gained == sum(rule.picos(one) or 0 for one in events if one.currency == currency)


@given(st.lists(posted(), max_size=20))
def test_each_event_has_the_entry_of_its_kind_provider_and_currency(events: list[Event]) -> None:
    """An event that nothing is posted for has no entry, and no entry is without an event."""
    entries, occasions = book(events)

    assert len(occasions) == len(events)
    assert [occasion is None for occasion in occasions] == [one.cost_picos == 0 for one in events]
    assert set(entries) == {occasion for occasion in occasions if occasion is not None}
    for one, occasion in zip(events, occasions, strict=True):
        if occasion is not None:
            kind = EntryKind.CORRECTION if isinstance(one.of, OfCorrection) else EntryKind.USAGE
            assert occasion == (kind, one.attribution.provider or "", one.currency)
            assert entries[occasion][:2] == (kind, one.currency)


def test_each_kind_of_account_is_in_one_rule() -> None:
    """No kind is forgotten, and what one rule posts cannot be taken for what another does."""
    kinds = [kind for rule in RULES for kind in (rule.gains, rule.loses)]

    assert sorted(kinds) == sorted(AccountKind)


def test_a_second_amount_is_in_the_entry_of_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rule for the price posts to the customers' accounts beside the cost, also where only the price is known."""
    sold = PostingRule(
        AccountKind.PROVIDER_PAYABLE,
        AccountKind.PROVIDER_COST,
        attrgetter("attribution.customer"),
        attrgetter("price_picos"),
    )
    monkeypatch.setattr(bookkeeping, "RULES", (*RULES, sold))
    monkeypatch.setattr(bookkeeping, "_NUMBERED", tuple(enumerate((*RULES, sold))))
    ann = event(hold("call_1", attribution=WHO._replace(customer="ann")), 7, price_picos=9)
    bob = event(hold("call_2", attribution=WHO._replace(customer="bob")), 0, price_picos=4)
    entries, occasions = book([ann, bob, ann._replace(price_picos=None)])
    [entry] = entries.values()

    assert occasions == [next(iter(entries))] * 3
    assert entry.postings == (
        Posting("provider_cost:openai", 14), Posting("provider_payable:openai", -14),
        Posting("provider_payable:ann", 9), Posting("provider_cost:ann", -9),
        Posting("provider_payable:bob", 4), Posting("provider_cost:bob", -4),
    )  # fmt: skip


def test_a_cost_is_owed_to_its_provider() -> None:
    """A cost is gained by its provider's account of costs and owed in that of what is payable; a correction apart."""
    first, second = event(hold("call_1"), 7), event(hold("call_2"), 5)
    corrected = first._replace(event_id="fix_1", of=OfCorrection("call_1"), cost_picos=-3)
    booked = book([first, corrected, second, first._replace(cost_picos=0, currency="EUR")])
    usage, correction = booked.entries.values()

    assert (usage.kind, usage.currency) == (EntryKind.USAGE, "USD")
    assert usage.postings == (Posting("provider_cost:openai", 12), Posting("provider_payable:openai", -12))
    assert correction.kind == EntryKind.CORRECTION
    assert [one.amount_picos for one in correction.postings] == [-3, 3]
    assert booked.occasions[3] is None


def test_an_account_says_what_it_is_for_and_whose() -> None:
    """Kind and owner can be read from an account's name, whatever the owner is called."""
    name = account_of(AccountKind.PROVIDER_COST, "my:own")

    assert owner_of(name) == "my:own"
    assert [is_of(kind, name) for kind in AccountKind] == [True, False]
