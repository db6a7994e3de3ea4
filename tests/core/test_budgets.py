"""Which budgets a call touches."""

from hypothesis import given
from hypothesis import strategies as st

from pertoken.core import periods
from pertoken.core.budgets import Attribution, Axis, Budget, BudgetIndex, CounterKey
from pertoken.core.periods import Window

NAMES = st.sampled_from(["a", "b"])
SCOPES = st.dictionaries(
    st.sampled_from(["key", "team", "customer", "model", "tag:env", "conversation"]), NAMES, max_size=3
)
BUDGETS = st.lists(
    st.tuples(
        SCOPES, st.sampled_from([None, "customer", "team", "tag:env", "conversation"]), st.sampled_from(list(Window))
    ),
    max_size=8,
)
OPTIONAL = st.none() | NAMES
ATTRIBUTIONS = st.builds(
    Attribution,
    key=OPTIONAL,
    team=OPTIONAL,
    customer=OPTIONAL,
    model=OPTIONAL,
    conversation=OPTIONAL,
    tags=OPTIONAL.map(lambda value: () if value is None else (("env", value),)),
)


@given(BUDGETS, st.lists(ATTRIBUTIONS, min_size=1, max_size=4), st.integers(0, 4 * 10**15))
def test_the_index_finds_what_a_scan_finds(
    stated: list[tuple[dict[str, str], str | None, Window]], attributions: list[Attribution], at_us: int
) -> None:
    """The index, remembered answers included, touches exactly the counters that a look at every budget gives."""
    budgets = [
        Budget(f"b{number}", f"b{number}", Axis.MONEY, 1, window, scope=tuple(sorted(scope.items())), each=each)
        for number, (scope, each, window) in enumerate(stated)
    ]
    index = BudgetIndex(budgets)
    for attribution in [*attributions, *attributions]:
        expected = set()
        for budget in budgets:
            in_scope = all(attribution.value(name) == value for name, value in budget.scope)
            each = "" if budget.each is None else attribution.value(budget.each)
            if in_scope and each is not None:
                start, _ = periods.bounds(budget.window, at_us, budget.zone)
                expected.add(CounterKey(budget.budget_id, each, start))

        assert {touch.key for touch in index.touched(attribution, at_us)} == expected
