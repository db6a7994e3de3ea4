"""Every error of a provider has one kind, and each kind its own place among the counts of roll-ups."""

import pytest
from tests.factories import event, hold, with_own

from pertoken.core.latency import BOUNDS_US, LatencyCounts, Timing, add_counts, count
from pertoken.core.provider_errors import FIRST, PLACES, ErrorKind, errors_of, kind_of_status, without_errors


def test_places_are_those_that_are_stored() -> None:
    """Roll-ups of earlier versions keep their meaning, and no bucket of latency has the place of an error."""
    assert {str(kind): place for kind, place in PLACES.items()} == {
        "not_sent": 200, "unreachable": 201, "timed_out": 202, "broke_off": 203, "cut": 204, "rate_limited": 205,
        "denied": 206, "rejected": 207, "server_error": 208,
    }  # fmt: skip
    assert Timing.TOTAL + len(BOUNDS_US) < FIRST


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, ErrorKind.REJECTED), (401, ErrorKind.DENIED), (403, ErrorKind.DENIED), (404, ErrorKind.REJECTED),
        (429, ErrorKind.RATE_LIMITED), (499, ErrorKind.REJECTED), (500, ErrorKind.SERVER_ERROR),
        (529, ErrorKind.SERVER_ERROR), (999, ErrorKind.SERVER_ERROR),
    ],
)  # fmt: skip
def test_the_status_of_an_answer_says_its_kind(status: int, kind: ErrorKind) -> None:
    """Every status from 400 on has a kind."""
    assert kind_of_status(status) is kind


@pytest.mark.parametrize("kind", ErrorKind)
def test_an_event_is_counted_by_its_kind(kind: ErrorKind) -> None:
    """The error of a call's event adds one to its kind alone, and is taken away again without a rest."""
    counts: LatencyCounts = {5: 2}
    failed = with_own(event(hold("call_1")), error=kind)
    count(counts, failed)
    count(counts, event(hold("call_2")))
    with_error = dict(counts)
    add_counts(counts, {PLACES[kind]: 1}, -1)

    assert errors_of(with_error) == {kind: 1}
    assert without_errors(with_error) == counts == {5: 2}
