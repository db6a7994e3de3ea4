"""Which refused calls are counted, and what is kept of them."""

from tests.factories import WHO
from tests.services.call.parts import NOW_US, call_of, world_of

from pertoken.core.errors import Code, Refusal
from pertoken.core.refusals import RefusedCall
from pertoken.services.call.record import NOT_KEPT, attribution_of, record
from pertoken.services.world import World


def kept_of(world: World) -> tuple[RefusedCall, ...]:
    """Return the refused calls that are to be written; each is counted."""
    batch = world.refused.take()
    if batch is None:
        return ()
    assert sum(batch.counts.values()) == len(batch.whole)
    return batch.whole


def test_a_refused_call_is_counted_and_kept() -> None:
    """In the name of whom it belongs to, with what decided."""
    world = world_of()
    record(Refusal(Code.BUDGET_EXCEEDED, "too much", budget="all", attribution=WHO), "call_1", NOW_US, world)
    [kept] = kept_of(world)

    assert (kept.call_id, kept.code, kept.message, kept.budget) == ("call_1", "budget_exceeded", "too much", "all")


def test_nothing_of_what_a_client_sent_is_kept() -> None:
    """The message of a bad request may repeat it."""
    world = world_of()
    record(Refusal(Code.INVALID_REQUEST, "no field 'secret'"), "call_1", NOW_US, world)

    assert [kept.message for kept in kept_of(world)] == [NOT_KEPT]


def test_asking_again_is_no_refused_call() -> None:
    """The call that it asks about is counted."""
    world = world_of()
    record(Refusal(Code.IDEMPOTENCY_CONFLICT, "still running"), "call_1", NOW_US, world)

    assert kept_of(world) == ()


def test_a_call_that_nobody_understands_is_its_keys() -> None:
    """Its team and customer are known."""
    of = attribution_of(call_of().caller, "m-1")
    assert (of.key, of.team, of.model, of.provider) == ("key_1", "growth", "m-1", None)
