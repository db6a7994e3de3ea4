"""Puts each mistake of mutants.yaml into a copy of the tree and reports which test finds it: `make mutants`.

A mistake counts as found when one of the tests that its entry names fails with it and passes without it. Exit code 1
says that some mistake was not found, that an entry does not fit the source any more, or that the tests fail anyway.
"""

import contextlib
import importlib.util
import os
import queue
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

import click
import msgspec

ROOT = Path(__file__).parents[2]
DATA = Path(__file__).with_name("mutants.yaml")
# Compiled modules would be imported instead of the source that is changed.
LEFT_OUT = shutil.ignore_patterns(".git", ".venv", ".*_cache", ".hypothesis", "__pycache__", "*.so", "*.db*", "dist")
PROOF = "tests/mutants/test_mutants.py::test_the_tests_import_the_source_of_their_own_tree"
JOBS = 2
LIMIT_S = 600  # for the tests of one mutant; those that hang have not found it
TESTS_FAILED = 1  # pytest's exit code
FAILURE = re.compile(r"^(?:FAILED|ERROR) (\S+::.+?)(?: - .*)?$", re.MULTILINE)


class Mutant(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One mistake: `old`, which occurs once in `file`, becomes `new`; each of `tests` finds it, the cheapest first."""

    name: str
    wrong: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]


class Stale(Exception):
    """An entry does not fit the source any more."""


class Ran(NamedTuple):
    """How pytest ended: its exit code, the ids of the tests that failed, and what it printed."""

    code: int
    failed: tuple[str, ...]
    output: str


class Verdict(NamedTuple):
    """Which test found a mutant first, or what is wrong."""

    mutant: Mutant
    found_by: str | None
    trouble: str | None
    seconds: float


RunTests = Callable[[Path, Sequence[str], Sequence[str]], Ran]  # of a tree, by id, with pytest's options


def main() -> int:
    """Hunt the mutants that MUTANTS names, or all; return the exit code."""
    mutants = choose(read(DATA), os.environ.get("MUTANTS", ""))
    with tempfile.TemporaryDirectory(prefix="pertoken-mutants-") as folder:
        trees = [copy_tree(Path(folder) / str(number)) for number in range(min(JOBS, len(mutants)))]
        return hunt(mutants, trees, run_tests, every=bool(os.environ.get("EVERY")))


def read(path: Path) -> list[Mutant]:
    """Return the entries of a data file. Raises msgspec.ValidationError."""
    return msgspec.yaml.decode(path.read_bytes(), type=list[Mutant])


def choose(mutants: Sequence[Mutant], names: str) -> list[Mutant]:
    """Return the mutants that `names` lists, all where it is empty."""
    known = {mutant.name: mutant for mutant in mutants}
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise SystemExit(f"unknown mutant {unknown[0]!r}; expected one of: {', '.join(known)}")
    return [known[name] for name in wanted] or list(mutants)


def copy_tree(to: Path) -> Path:
    """Copy the whole tree, as some tests read its pages and settings, and return the copy."""
    return Path(shutil.copytree(ROOT, to, ignore=LEFT_OUT))


def hunt(mutants: Sequence[Mutant], trees: Sequence[Path], run: RunTests, *, every: bool) -> int:
    """Look for each mutant in one of `trees`, print who found it, and return the exit code."""
    tests = list(dict.fromkeys([PROOF, *(test for mutant in mutants for test in mutant.tests)]))
    click.echo(f"{_mutants(len(mutants))}; first, without any, the tests that find them: {len(tests)}", err=True)
    clean = run(trees[0], tests, ("-n", str(JOBS)))
    if clean.code:
        click.echo(
            f"{clean.output}\nthe tests fail without a mutant: {', '.join(clean.failed) or clean.code}", err=True
        )
        return 1
    free: queue.SimpleQueue[Path] = queue.SimpleQueue()
    for tree in trees:
        free.put(tree)

    def look(mutant: Mutant) -> Verdict:
        tree = free.get()
        try:
            verdict = look_for(mutant, tree, run, every=every)
        finally:
            free.put(tree)
        click.echo(line(verdict), err=True)
        return verdict

    with ThreadPoolExecutor(len(trees)) as pool:
        verdicts = list(pool.map(look, mutants))
    return report(verdicts)


def look_for(mutant: Mutant, tree: Path, run: RunTests, *, every: bool) -> Verdict:
    """Run the tests of a mutant with it in `tree`: to the first failure, or all of them where `every` must find it."""
    begun = time.monotonic()
    verdict = partial(Verdict, mutant)
    try:
        with applied(mutant, tree):
            ran = run(tree, mutant.tests, () if every else ("-x",))
    except Stale as stale:
        return verdict(None, str(stale), 0.0)
    seconds = time.monotonic() - begun
    if ran.code not in (0, TESTS_FAILED):  # tests that cannot even begin, or do not end, say nothing
        return verdict(None, f"pytest ended with {ran.code}: {ran.output[-500:].strip()}", seconds)
    if not ran.failed:
        return verdict(None, "no test found it", seconds)
    idle = [test for test in mutant.tests if every and not any(one.startswith(test) for one in ran.failed)]
    return verdict(ran.failed[0], f"not found by {', '.join(idle)}" if idle else None, seconds)


@contextlib.contextmanager
def applied(mutant: Mutant, tree: Path) -> Iterator[None]:
    """Have `mutant` in `tree` for a while. Raises Stale."""
    path = tree / mutant.file
    source = path.read_text()
    path.write_text(mutated(mutant, source))
    _forget_compiled(path)
    try:
        yield
    finally:
        path.write_text(source)
        _forget_compiled(path)


def mutated(mutant: Mutant, source: str) -> str:
    """Return `source` with the mutant in it. Raises Stale."""
    occurs = source.count(mutant.old)
    if occurs != 1:
        raise Stale(
            f"its old text occurs {occurs} times in {mutant.file}, not once; change the entry to fit the source"
        )
    return source.replace(mutant.old, mutant.new)


def _forget_compiled(path: Path) -> None:
    """Remove a module's bytecode: it would be taken for that of a source of the same size and second."""
    Path(importlib.util.cache_from_source(str(path))).unlink(missing_ok=True)


def run_tests(tree: Path, tests: Sequence[str], options: Sequence[str]) -> Ran:
    """Run tests in a tree, on its own source, with the same examples each time."""
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--tb=short", "-rfE", *options, *tests]
    environ = {**os.environ, "PYTHONPATH": str(tree / "src"), "DEEP": "1"}  # goes before the installed package
    process = subprocess.Popen(
        command, cwd=tree, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True,
    )  # fmt: skip
    try:
        output, _ = process.communicate(timeout=LIMIT_S)
    except subprocess.TimeoutExpired:
        output = f"ran out of time: {LIMIT_S} s"
    finally:
        _end(process)
    return Ran(process.returncode, tuple(FAILURE.findall(output)), output)


def _end(process: "subprocess.Popen[str]") -> None:
    """End a run that is still going: it may stop its servers first, then it is killed with all that it started."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(30)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def report(verdicts: Sequence[Verdict]) -> int:
    """Print a table of what became of the mutants; return the exit code."""
    wrong = [verdict for verdict in verdicts if verdict.trouble]
    click.echo()
    for verdict in verdicts:
        click.echo(line(verdict))
    click.echo(f"\n{len(verdicts) - len(wrong)} of {_mutants(len(verdicts))} found")
    return 1 if wrong else 0


def _mutants(count: int) -> str:
    return "1 mutant" if count == 1 else f"{count} mutants"


def line(verdict: Verdict) -> str:
    """Return a row of the table: the mutant, how long it took to find, and who found it."""
    found = verdict.found_by if verdict.trouble is None else f"NOT FOUND: {verdict.trouble}"
    return f"{verdict.mutant.name:36} {verdict.seconds:6.1f} s  {found}"


if __name__ == "__main__":
    sys.exit(main())
