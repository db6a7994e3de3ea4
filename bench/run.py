"""What pertoken costs on this machine beside its peers and the floors under them: `python bench/run.py`.

Tables go to stdout, progress to stderr. See docs/reference/performance.md for what is measured and how.
"""

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Generator, Iterator, Sequence
from datetime import UTC, datetime
from types import FrameType

import calls
import footprint
import hostile
import ingest
import ledger
import machine
import rates
import rating
import streams
import workers
from effort import FULL, QUICK, Effort
from machine import Machine
from peers.bifrost import Bifrost
from peers.floors import Bare, Held
from peers.litellm import LiteLLM
from peers.nginx import Nginx
from peers.peer import Peer
from peers.pertoken import Pertoken
from peers.portkey import Portkey
from scene import Scene, scene
from tables import Table, as_markdown, show

TOGETHER: dict[str, Callable[[Scene, Effort], Iterator[Table]]] = {
    "calls": calls.measure,
    "memory": footprint.measure,
    "rates": rates.measure,
    "streams": streams.measure,
    "ingest": ingest.measure,
}
ALONE: dict[str, Callable[[Effort], Iterator[Table]]] = {"ledger": ledger.measure, "rating": rating.measure}


def main() -> int:
    """Measure what is asked for and print it; what was measured before something broke is printed as well."""
    options = _options()
    signal.signal(signal.SIGTERM, _interrupt)
    machine.allow_files()
    here = Machine.here()
    os.sched_setaffinity(0, here.cores().around)
    measured = f"{here.name}, {datetime.now(UTC):%Y-%m-%d}"
    if not options.json:
        print(f"Measured on {measured}.\n", flush=True)
    code, tables = 0, list[Table]()
    try:
        with contextlib.closing(_tables(options, here)) as made:
            for table in made:
                tables.append(table)
                _say(table, options)
    except KeyboardInterrupt:
        print("interrupted: everything that was started is ended", file=sys.stderr)
        code = 130
    except subprocess.CalledProcessError as error:
        print(f"{error}: {error.stderr}", file=sys.stderr)
        code = 1
    except Exception:  # noqa: BLE001 - the outermost shell: it is said, and what was measured is printed
        traceback.print_exc()
        code = 1
    if options.json:
        print(json.dumps({"measured_on": measured, "tables": [table.as_data() for table in tables]}, indent=1))
    return code


def _say(table: Table, options: argparse.Namespace) -> None:
    if options.markdown:
        print(as_markdown(table), flush=True)
    elif not options.json:
        show(table)


def _tables(options: argparse.Namespace, here: Machine) -> Generator[Table, None, None]:
    effort = QUICK if options.quick else FULL
    together = [name for name in TOGETHER if name in options.only]
    if together:
        with scene(_peers(options), here.cores()) as made:
            yield footprint.introduce(made)
            for name in together:
                yield from TOGETHER[name](made, effort)
            yield footprint.conclude(made)
    if "hostile" in options.only:
        yield from hostile.measure(effort, here.cores())
    if "workers" in options.only:
        yield from workers.measure(effort, here)
    os.sched_setaffinity(0, here.cores().measured)
    for name, measure in ALONE.items():
        if name in options.only:
            yield from measure(effort)


def _peers(options: argparse.Namespace) -> Sequence[Peer]:
    own = [Pertoken(), Bare(), Held(), Nginx()]
    return own if options.without_peers else [*own, LiteLLM(), Portkey(), Bifrost()]


def _options() -> argparse.Namespace:
    names = [*TOGETHER, "hostile", "workers", *ALONE]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a fifth of the time: to see that it works")
    parser.add_argument("--only", metavar="NAME,...", help=f"some of: {', '.join(names)}", default=",".join(names))
    parser.add_argument("--without-peers", action="store_true", help="pertoken and the floors alone")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="one document of all figures")
    form.add_argument("--markdown", action="store_true", help="as the tables of docs/reference/performance.md")
    options = parser.parse_args()
    options.only = options.only.split(",")
    if unknown := [name for name in options.only if name not in names]:
        parser.error(f"--only {unknown[0]}: there is none; one or more of: {', '.join(names)}")
    return options


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
