"""The mistakes of mutants.yaml fit the source as it is, and the hunt tells which of them are found.

The hunt itself takes minutes and is `make mutants`.
"""

import ast
import importlib.util
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest
from tests.mutants.run import (
    DATA,
    PROOF,
    ROOT,
    Mutant,
    Ran,
    Stale,
    applied,
    choose,
    copy_tree,
    hunt,
    mutated,
    read,
    run_tests,
)

import pertoken

MUTANTS = read(DATA)
MISTAKE = Mutant("one", "One is two.", "src/thing.py", "ONE = 1", "ONE = 2", ("tests/test_thing.py::test_one",))
HOLDS, FAILS = Ran(0, (), "1 passed"), Ran(1, ("tests/test_thing.py::test_one",), "1 failed")


def test_the_tests_import_the_source_of_their_own_tree() -> None:
    """What is tested is the source beside the tests, also in a copy: not an installed package from elsewhere."""
    assert Path(pertoken.__file__).resolve().is_relative_to(ROOT.resolve() / "src")


def test_each_mutant_has_a_name_of_its_own() -> None:
    """A name chooses one mutant."""
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_fits_the_source(mutant: Mutant) -> None:
    """Its old text occurs exactly once, and what it makes of the source is other code that Python can read."""
    source = (ROOT / mutant.file).read_text()
    changed = mutated(mutant, source)

    assert mutant.file.startswith("src/pertoken/")
    assert ast.dump(ast.parse(changed)) != ast.dump(ast.parse(source))


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_names_tests_that_exist(mutant: Mutant) -> None:
    """Each id names a file and a function or class in it; there is at least one."""
    assert mutant.tests
    for test in mutant.tests:
        path, name, *_ = test.partition("[")[0].split("::")
        text = (ROOT / path).read_text()
        assert any(start in text for start in (f"\ndef {name}(", f"\n{name} = ")), test


def make_tree(folder: Path) -> Path:
    """Return a small tree with one source and a test of it."""
    for path, text in {
        "src/thing.py": "ONE = 1\n",
        "tests/test_thing.py": "import thing\n\n\ndef test_one():\n    assert thing.ONE == 1\n",
        PROOF.partition("::")[0]: f"def {PROOF.partition('::')[2]}():\n    pass\n",
    }.items():
        (folder / path).parent.mkdir(exist_ok=True, parents=True)
        (folder / path).write_text(text)
    return folder


def test_a_mutant_is_gone_afterwards(tmp_path: Path) -> None:
    """The source has the mistake for a while and not a moment longer, whatever happens; its bytecode is gone, too."""
    source = make_tree(tmp_path) / "src" / "thing.py"
    bytecode = Path(importlib.util.cache_from_source(str(source)))

    def work() -> None:
        with applied(MISTAKE, tmp_path):
            assert source.read_text() == "ONE = 2\n"
            bytecode.parent.mkdir()
            bytecode.write_bytes(b"of the mistake")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        work()
    assert source.read_text() == "ONE = 1\n"
    assert not bytecode.exists()


@pytest.mark.parametrize("source", ["", "ONE = 2", "ONE = 1; ONE = 1"])
def test_a_text_that_does_not_occur_once_is_stale(source: str) -> None:
    """An entry that could mean no place, or two, is refused."""
    with pytest.raises(Stale, match=r"occurs [02] times in src/thing.py"):
        mutated(MISTAKE, source)


@pytest.mark.parametrize(
    ("ran", "every", "code", "said"),
    [
        (FAILS, False, 0, "tests/test_thing.py::test_one\n"),
        (FAILS, True, 1, "NOT FOUND: not found by tests/test_thing.py::test_two\n"),
        (Ran(1, ("tests/test_thing.py::test_two[1]", "tests/test_thing.py::test_one"), ""), True, 0, "test_two[1]\n"),
        (HOLDS, False, 1, "NOT FOUND: no test found it\n"),
        (Ran(2, (), "cannot import thing\n"), False, 1, "NOT FOUND: pytest ended with 2: cannot import thing\n"),
        (Ran(-9, FAILS.failed, "ran out of time"), False, 1, "NOT FOUND: pytest ended with -9: ran out of time\n"),
    ],
)
def test_found_or_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], ran: Ran, every: bool, code: int, said: str
) -> None:
    """A mutant is found where a test of its entry fails with it: the first one, or each where every one must."""
    tree = make_tree(tmp_path)
    mutant = msgspec.structs.replace(MISTAKE, tests=(*MISTAKE.tests, "tests/test_thing.py::test_two"))

    def run(_: Path, tests: Sequence[str], options: Sequence[str]) -> Ran:
        if (tree / "src" / "thing.py").read_text() == "ONE = 1\n":
            assert tests == [PROOF, *mutant.tests]
            return HOLDS
        assert ("-x" in options) is not every
        return ran

    assert hunt([mutant], [tree], run, every=every) == code
    table = capsys.readouterr().out
    assert said in table
    assert f"{1 - code} of 1 mutant found" in table


def test_tests_that_fail_anyway_find_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where the tests fail without a mutant, none is looked for."""
    assert hunt([MISTAKE], [make_tree(tmp_path)], lambda *_: FAILS, every=False) == 1
    assert "the tests fail without a mutant: tests/test_thing.py::test_one" in capsys.readouterr().err


def test_a_stale_mutant_is_not_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An entry whose old text is not in the source fails, and the others are looked for all the same."""
    stale = msgspec.structs.replace(MISTAKE, name="stale", old="ONE = 3")
    tree = make_tree(tmp_path)

    def run(*_: object) -> Ran:
        return HOLDS if (tree / "src" / "thing.py").read_text() == "ONE = 1\n" else FAILS

    assert hunt([stale, MISTAKE], [tree], run, every=False) == 1
    table = capsys.readouterr().out
    assert "NOT FOUND: its old text occurs 0 times" in table
    assert "1 of 2 mutants found" in table


def test_real_tests_see_a_real_mistake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests run on the source of their tree, and see a mistake that is as long as what it replaces."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # quicker, and none is needed here
    tree = make_tree(tmp_path)

    clean = run_tests(tree, MISTAKE.tests, ())
    with applied(MISTAKE, tree):
        mistaken = run_tests(tree, MISTAKE.tests, ("-x",))

    assert (clean.code, clean.failed) == (0, ())
    assert (mistaken.code, mistaken.failed) == (1, MISTAKE.tests)


def test_a_copy_has_all_but_what_is_made(tmp_path: Path) -> None:
    """Pages, settings and tests are in a copy; compiled modules, which would be imported instead, are not."""
    compiled = ROOT / "tests" / "mutants" / "of-no-use.so"
    compiled.touch()
    try:
        tree = copy_tree(tmp_path / "copy")
    finally:
        compiled.unlink()

    assert (tree / "src" / "pertoken" / "core" / "money.py").exists()
    assert (tree / "docs" / "concepts" / "safety.md").exists()
    assert (tree / "pyproject.toml").exists()
    assert [path for path in tree.rglob("*") if path.suffix == ".so" or path.name in {".venv", "__pycache__"}] == []


def test_names_choose_mutants() -> None:
    """MUTANTS=a,b chooses those two, nothing all; a name that is none is refused with those that are."""
    other = msgspec.structs.replace(MISTAKE, name="other")

    assert choose([MISTAKE, other], "") == [MISTAKE, other]
    assert choose([MISTAKE, other], " other, one") == [other, MISTAKE]
    with pytest.raises(SystemExit, match="unknown mutant 'two'; expected one of: one, other"):
        choose([MISTAKE, other], "two")
