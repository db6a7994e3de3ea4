"""What a key may name, and what becomes of the rest."""

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pertoken.core.budgets import Attribution
from pertoken.core.census import OTHER, Bounds, Census, Named, Tags

FEW = Bounds(customers=2, users=2, conversations=2, tag_values=3, series=4)
WIDE = FEW._replace(series=1_000, tag_values=1_000)
DAY = 20_000


def said(user: str | None = None, *, conversation: str | None = None, key: str = "k", **tags: str) -> Attribution:
    """Return what a client says."""
    return Attribution(key, user=user, tags=tuple(sorted(tags.items())), conversation=conversation)


def learned(attributions: Iterable[Attribution], bounds: Bounds) -> Census:
    """Return the census of attributions in the order of the books."""
    census = Census(bounds)
    for attribution in attributions:
        census.learn_in_order(attribution)
    return census


def admit(census: Census, attribution: Attribution, own: Tags = (), day: int = DAY) -> Named:
    """Fold an attribution, and learn what became of it, as a call does."""
    named = census.fold(attribution, own, day)
    census.learn(named.attribution._replace(conversation=None))
    if named.attribution.conversation is not None:
        census.learn_conversation("k", named.attribution.conversation, day)
    return named


@pytest.mark.parametrize(
    ("known", "asked", "expected", "folded"),
    [
        ([said("a")], said("b"), said("b"), ()),
        ([said("a"), said("b")], said("c"), said(OTHER), ("user",)),
        ([said("a"), said("b")], said("a"), said("a"), ()),
        ([said("a"), said("b")], said("c", key="another"), said("c", key="another"), ()),
        ([said(x="1"), said(x="2"), said(y="1")], said(x="1", y="1"), said(x="1", y="1"), ()),
        ([said(x="1"), said(x="2"), said(y="1")], said(x="9"), said(x=OTHER), ("tag:x",)),
        ([said(x="1"), said(x="2"), said(y="1")], said(x="2", z="2"), said(x="2", other=OTHER), ("tag:z",)),
        ([said(x="1"), said(x="2"), said(y="1")], said(q="2", z="2"), said(other=OTHER), ("tag:q", "tag:z")),
        ([said(x="1"), said(x="2"), said(y="1")], said(own="1", x="9"), said(own="1", x=OTHER), ("tag:x",)),
        ([said("a", x="1"), said("b", x="1"), said("a"), said("b")], said(x="1"), said(other=OTHER), ("tag:x",)),
        (
            [said("a", x="1"), said("b", x="1"), said("a"), said("b")],
            said("a", x="2"),
            said(OTHER, other=OTHER),
            ("user", "tag:x"),
        ),
        ([said(x="1"), said(x="2"), said(y="1")], said(x="paid"), said(x="paid"), ()),
        ([said("a"), said("b")], said("paid"), said("paid"), ()),
    ],
)
def test_what_is_new_beyond_a_bound_is_folded(
    known: list[Attribution], asked: Attribution, expected: Attribution, folded: tuple[str, ...]
) -> None:
    """Known values stay, new ones become `other`; never what the key says itself, nor what a budget is for."""
    census = learned(known, FEW)
    paid = {("user", "paid"), ("tag:x", "paid")}

    assert census.fold(asked, (("own", "1"),), DAY, paid) == (expected, folded)


def test_conversations_count_by_the_day() -> None:
    """Beyond the bound a new conversation is `other` until the next day; one of the day before counts anew."""
    census = Census(WIDE)
    talks = [admit(census, said(conversation=name)).attribution.conversation for name in ("a", "b", "c", "a")]
    tomorrow = [
        admit(census, said(conversation=name), day=DAY + 1).attribution.conversation for name in ("c", "a", "b")
    ]
    late = census.fold(said(conversation="z"), (), DAY).attribution.conversation

    assert talks == ["a", "b", OTHER, "a"]
    assert tomorrow == ["c", "a", OTHER]
    assert late == OTHER
    assert census.fold(said(conversation="q"), (), DAY + 1, {("conversation", "q")}).folded == ()


def test_customers_are_known_or_refused() -> None:
    """A key may name as many customers as its bound, and those again; another key has its own."""
    census = learned([Attribution("k", customer="a"), Attribution("k", customer="b")], FEW)

    assert [census.takes_customer("k", name) for name in ("a", "b", "c")] == [True, True, False]
    assert census.takes_customer("new", "c")
    assert not Census(FEW._replace(customers=0)).takes_customer("new", "c")


def test_a_customer_is_of_the_team_that_named_it_first_in_the_books() -> None:
    """What this process saw counts until the books say who was first; who is of no team is somebody as well."""
    census = Census(FEW)
    census.learn(Attribution("k", "blue", "acme"))
    assert census.first_team("acme") == "blue"
    census.learn_in_order(Attribution("j", "red", "acme"))
    census.learn_in_order(Attribution("k", "blue", "acme"))
    census.learn_in_order(Attribution("k", None, "zeta"))
    census.learn(Attribution("k", "blue", "zeta"))

    assert (census.first_team("acme"), census.first_team("zeta"), census.first_team("nobody")) == ("red", "", None)


def test_full_keys_are_named() -> None:
    """What has reached its bound is told by key and kind, and nothing else."""
    census = learned([said("a"), said("b"), said("a", key="j")], FEW)
    census.learn_conversation("j", "t", DAY)

    assert {(one.key_id, one.kind, one.named) for one in census.full()} == {("k", "users", 2)}
    assert census.is_watched
    assert not Census(FEW._replace(conversations=100)).is_watched


TEXTS = st.one_of(st.none(), st.integers(0, 30).map(str))
STRANGERS = st.lists(
    st.tuples(TEXTS, st.dictionaries(st.integers(0, 12).map(str), st.integers(0, 30).map(str), max_size=6)), max_size=60
)


@given(STRANGERS)
def test_strangers_make_few_rows(calls: list[tuple[str | None, dict[str, str]]]) -> None:
    """Whatever clients send, a key makes as many combinations as its bound, and one of `other` for each of a few."""
    census = Census(FEW)
    made = {admit(census, said(user, app="web", **tags), (("app", "web"),)).attribution for user, tags in calls}

    assert len({one.user for one in made} - {None, OTHER}) <= FEW.users
    assert len(made) <= FEW.series + 4  # with a user or not, with tags or not


@given(STRANGERS)
def test_what_was_said_once_is_said_again(calls: list[tuple[str | None, dict[str, str]]]) -> None:
    """What was not folded is not folded when it comes again, whatever came between."""
    census = Census(FEW)
    kept = [one for user, tags in calls if not admit(census, one := said(user, **tags)).folded]

    assert [census.fold(one, (), DAY).folded for one in kept] == [()] * len(kept)
