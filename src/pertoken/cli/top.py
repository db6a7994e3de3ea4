"""`pertoken top`: shows what happens now, on one screen that is redrawn regularly. It only reads."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import click
import msgspec

from pertoken.cli.output import escaped_json
from pertoken.cli.session import database, db_option, json_option, now_us, print_json
from pertoken.cli.tables import write_csv

if TYPE_CHECKING:
    from pertoken.ports.archive import DirectoryView
    from pertoken.services.watch import LiveFrame

EVERY_S = 1.0
ROWS = 10  # rows of each list if there is no terminal
ROWS_MAX = 1_000

Names = dict[str, str]
Show = Callable[["LiveFrame", Names], None]


@click.command()
@click.option("--every", type=click.FloatRange(0.2, 3600), default=EVERY_S, show_default=True, metavar="SECONDS")
@click.option("--once", is_flag=True, help="Print one frame and end.")
@click.option("--rows", type=click.IntRange(1, ROWS_MAX), help="Keys and models shown. [what fits]")
@click.option("--tz", "zone", help="Time zone of today. [UTC]")
@db_option
@json_option
def top(every: float, rows: int | None, zone: str | None, db: str | None, as_json: Any, *, once: bool) -> None:
    """Show what happens now: calls a second, spending by key and model, open holds, refusals; Ctrl-C ends.

    With --json, each frame is one JSON line (with --once, one document).
    """
    from pertoken.cli.usage import chosen_range
    from pertoken.services.watch import Watcher

    watched, _, _ = chosen_range(None, None, zone, db, 0)
    watcher, names = Watcher(watched), Names()
    with contextlib.suppress(KeyboardInterrupt), database(db) as opened, _shown(as_json, once=once) as (show, room):
        while True:
            with opened.archive() as archive:
                frame = watcher.look(archive, now_us(), rows or room())
                _learn_names(archive, frame, names)
            show(frame, names)
            if once:
                return
            time.sleep(every)


def _learn_names(archive: "DirectoryView", frame: "LiveFrame", names: Names) -> None:
    """Read the names of keys if a frame has a key whose name is not known yet."""
    ids = {one.value for one in frame.by["key"]} - names.keys()
    if ids:
        known = {key.key_id: key.name for key in archive.list_keys()}
        names.update({ident: known.get(ident, "") for ident in ids})


@contextlib.contextmanager
def _shown(form: Any, *, once: bool) -> Iterator[tuple[Show, Callable[[], int]]]:
    """Yield a function that shows a frame, and one that returns how many rows a list of the next frame may have."""
    if form == "csv":
        yield _csv_lines(), lambda: ROWS
    elif form:
        yield _document if once else _line, lambda: ROWS
    else:
        from pertoken.cli.top_view import Screen

        with Screen(live=not once) as screen:
            yield screen.show, lambda: screen.rows(ROWS)


def _document(frame: "LiveFrame", names: Names) -> None:
    print_json(_fields(frame, names))


def _line(frame: "LiveFrame", names: Names) -> None:
    sys.stdout.buffer.write(escaped_json(msgspec.json.encode(_fields(frame, names)).decode()).encode() + b"\n")
    sys.stdout.buffer.flush()


def _csv_lines() -> Show:
    """Return a function that prints the spending of a frame as CSV rows; the header is printed once."""
    has_head = False

    def show(frame: "LiveFrame", names: Names) -> None:
        nonlocal has_head
        fields = _fields(frame, names)
        rows = []
        for of, name in (("totals", ""), ("keys", "key"), ("models", "model")):
            for one in fields[of]:
                value = {"by": name or "all", "value": one.pop(name, None), "key_name": one.pop("key_name", None)}
                rows.append({"at": fields["at"], **value, **one})
        if rows:
            write_csv(rows, head=not has_head)
            has_head = True

    return show


def _fields(frame: "LiveFrame", names: Names) -> dict[str, Any]:
    from pertoken.services.watch import frame_fields

    return frame_fields(frame, {ident: name for ident, name in names.items() if name})
