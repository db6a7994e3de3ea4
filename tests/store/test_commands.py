"""What is kept as lines is read back as it was, also where the classes are compiled and know no types of fields."""

import msgspec
import pytest
from tests.factories import hold, settle

from pertoken.core.claims import Claim, Outcome
from pertoken.core.commands import Void
from pertoken.core.events import Event, Timeline
from pertoken.core.trust import Disagreement, Measured
from pertoken.store.commands import UNREADABLE, read_hold, read_settle, read_void


def through(value: object) -> object:
    """Return a value as a line of JSON gives it back."""
    return msgspec.json.decode(msgspec.json.encode(value))


def test_commands_come_back_as_they_were() -> None:
    """A hold, a void and a settlement with all that it may have, amounts of any size among it, survive being a line."""
    one = hold("call_1")
    event = settle(one, 10**40).event._replace(
        timeline=Timeline(1, 2, None, 4),
        attempts=2,
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


def test_a_settlement_of_a_version_before_is_read() -> None:
    """It has no timeline, and 0 stood for no price: the money that it is about is not lost on the way here."""
    one = settle(hold("call_1"))
    row = msgspec.json.decode(msgspec.json.encode(one))
    row[1] = row[1][:-2]
    row[1][Event._fields.index("price_picos")] = 0

    assert read_settle(row) == one._replace(event=one.event._replace(price_picos=None))


@pytest.mark.parametrize("row", [None, [], ["call_1"], ["call_1", ["gateway"], None, None, None], {}, "text", 1])
def test_what_is_no_command_is_refused(row: object) -> None:
    """A line of another shape raises one of the errors that its readers know."""
    with pytest.raises(UNREADABLE):
        read_settle(row)
