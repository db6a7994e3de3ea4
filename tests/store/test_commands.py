"""What is kept as lines is read back as it was, also where the classes are compiled and know no types of fields."""

from typing import Any

import msgspec
import pytest
from tests.factories import hold, settle, with_own

from pertoken.core.claims import Claim, Outcome
from pertoken.core.commands import Void
from pertoken.core.events import NOT_TIMED, Event, Timeline
from pertoken.core.trust import Disagreement, Measured
from pertoken.store.commands import UNREADABLE, read_hold, read_settle, read_void


def through(value: object) -> object:
    """Return a value as a line of JSON gives it back."""
    return msgspec.json.decode(msgspec.json.encode(value))


def test_commands_come_back_as_they_were() -> None:
    """A hold, a void and a settlement with all that it may have, amounts of any size among it, survive being a line."""
    one = hold("call_1")
    event = with_own(
        settle(one, 10**40).event, late=True, changed="output_max=9", timeline=Timeline(1, 2, None, 4), attempts=2
    )
    event = event._replace(
        price_picos=10**41,
        parts=(("m", {"input_tokens": 1}),),
        context=(("batch", "true"),),
        book_lines=(("requests", 1, "pr", 2),),
    )
    full = settle(one, 10**40)._replace(
        event=event,
        claim=Claim("key_1", "name", b"\xff"),
        outcome=Outcome(200, ((b"a", b"\xfe"),), b"\xfd", stream=True),
        disagreement=Disagreement("openai", "m", Measured(1, 2, 3), 4),
    )
    void = Void("call_1", one.attribution, one.opened_at_us)

    assert read_hold(through(one)) == one
    assert read_settle(through(settle(one))) == settle(one)
    assert read_settle(through(full)) == full
    assert read_void(through(void)) == void


def flat(event: Event) -> list[Any]:
    """Return an event as a line of the version before has it: what only some have is among all else."""
    row = dict(zip(Event._fields, msgspec.json.decode(msgspec.json.encode(event)), strict=True))
    held, overrun, late, changed, timeline, attempts = row.pop("of")
    context, priced_as, parts, book_lines = (row.pop(name) for name in ("context", "priced_as", "parts", "book_lines"))
    added = [changed, "", held, overrun, late, context, priced_as, parts, None, False, book_lines, timeline, attempts]
    return [*row.values(), *added]


def test_settlements_of_versions_before_are_read() -> None:
    """Of the last one all is known; the one before had no timeline, and 0 for want of a price: no money is lost."""
    one = settle(hold("call_1"))
    timed = with_own(one.event, late=True, changed="tier=flex", timeline=Timeline(1, 2, None, 4), attempts=2)
    last, first = through(one), through(one)
    assert isinstance(last, list)
    assert isinstance(first, list)
    last[1], first[1] = flat(timed._replace(price_picos=7)), flat(timed._replace(price_picos=0))[:-2]
    plain = with_own(timed, timeline=NOT_TIMED, attempts=0)

    assert read_settle(last) == one._replace(event=timed._replace(price_picos=7))
    assert read_settle(first) == one._replace(event=plain)


@pytest.mark.parametrize("row", [None, [], ["call_1"], ["call_1", ["gateway"], None, None, None], {}, "text", 1])
def test_what_is_no_command_is_refused(row: object) -> None:
    """A line of another shape raises one of the errors that its readers know."""
    with pytest.raises(UNREADABLE):
        read_settle(row)
