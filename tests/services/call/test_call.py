"""The value that is carried through the steps."""

from tests.factories import hold
from tests.services.call.parts import NOW_US, Client, body_of, call_of, holding_of

from pertoken.core.admission import Bound
from pertoken.core.claims import Claim
from pertoken.core.errors import Code, Refusal
from pertoken.services.call.call import refused


def test_each_attempt_has_an_id_of_its_own() -> None:
    """The first has the call's; a later one is opened when it begins, and the call began before."""
    call = call_of(Client(body_of()))
    assert call.hold_id == "call_1"
    call.again(2, "m-2", NOW_US + 5)

    assert (call.hold_id, call.instead, call.began_us, call.opened_at_us) == ("call_1.2", "m-2", NOW_US, NOW_US + 5)


def test_a_hold_that_grows_keeps_the_rest() -> None:
    """The client's name for the call, and what was written into the request."""
    claim = Claim("key_1", "order 7", b"")
    larger, bound = hold("call_1", 5), Bound({}, 5, counted=True)
    grown = holding_of(claim).resized(larger, bound)

    assert (grown.hold, grown.bound, grown.claim) == (larger, bound, claim)


def test_a_refusal_is_the_end_of_a_call_that_was_not_admitted() -> None:
    """Its status is the refusal's."""
    end = refused(Refusal(Code.UNKNOWN_KEY, "no key"))

    assert (end.status, end.was_admitted) == (401, False)
