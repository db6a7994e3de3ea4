"""Refused calls are counted by kind, and the last of them kept whole, within bounds."""

from pertoken.core.budgets import Attribution
from pertoken.core.refusals import COUNTS_MAX, HOUR_US, WHOLE_MAX, RefusedCall, RefusedCalls, RefusedKind


def call(number: int, at_us: int = 0, key: str | None = "k", **more: str) -> RefusedCall:
    """Return a refused call."""
    return RefusedCall(
        f"call_{number}", at_us, "budget_exceeded", attribution=Attribution(key), **{"message": "m", **more}
    )  # type: ignore[arg-type]


def test_calls_are_counted_by_hour_reason_budget_and_key() -> None:
    """Calls of one kind make one count; what was taken is counted no more."""
    refused = RefusedCalls()
    for one in (call(0), call(1, budget="b"), call(2, HOUR_US - 1), call(3, HOUR_US), call(4, key=None)):
        refused.add(one)
    batch = refused.take()

    assert batch is not None
    assert batch.counts == {
        RefusedKind(0, "budget_exceeded", "", "k"): 2,
        RefusedKind(0, "budget_exceeded", "b", "k"): 1,
        RefusedKind(HOUR_US, "budget_exceeded", "", "k"): 1,
        RefusedKind(0, "budget_exceeded", "", ""): 1,
    }
    assert [one.call_id for one in batch.whole] == [f"call_{number}" for number in range(5)]
    assert refused.take() is None


def test_memory_is_bounded() -> None:
    """However many kinds of calls are refused, and however long their messages, all are counted in little space."""
    refused = RefusedCalls()
    for number in range(COUNTS_MAX + 500):
        refused.add(call(number, key=f"k{number}", message="x" * 10_000))
    batch = refused.take()

    assert batch is not None
    assert (len(batch.counts), sum(batch.counts.values())) == (COUNTS_MAX + 1, COUNTS_MAX + 500)
    assert batch.counts[RefusedKind(0, "budget_exceeded", "", "")] == 500
    assert (len(batch.whole), batch.whole[-1].call_id) == (WHOLE_MAX, f"call_{COUNTS_MAX + 499}")
    assert max(len(one.message) for one in batch.whole) == 500


def test_what_could_not_be_written_is_remembered() -> None:
    """What is put back is counted with what came meanwhile, in its order; of too many the last stay whole."""
    refused = RefusedCalls()
    for number in range(WHOLE_MAX):
        refused.add(call(number))
    batch = refused.take()
    assert batch is not None
    refused.add(call(WHOLE_MAX))
    refused.put_back(batch)
    again = refused.take()

    assert again is not None
    assert sum(again.counts.values()) == WHOLE_MAX + 1
    assert [one.call_id for one in again.whole] == [f"call_{number}" for number in range(1, WHOLE_MAX + 1)]
