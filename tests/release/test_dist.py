"""What `make dist` made, installed as its users do: into an empty environment, outside the repository."""

import os
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DIST = ROOT / "dist"
PATIENCE_S = 300  # packages are fetched

pytestmark = pytest.mark.skipif(not DIST.is_dir(), reason="nothing to try: `make dist` was not run")


def made(pattern: str) -> Path:
    """Return the one file that was made so."""
    (path,) = DIST.glob(pattern)
    return path


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the compiled wheel with its demo into an empty environment; return the folder of its programs."""
    folder = tmp_path_factory.mktemp("installed")
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    wheel = made("pertoken-*manylinux2014*.whl")
    subprocess.run(
        [folder / "venv/bin/pip", "install", "--quiet", "--disable-pip-version-check", f"{wheel}[demo]"],
        check=True, cwd=folder, timeout=PATIENCE_S,
    )  # fmt: skip
    return folder / "venv/bin"


def say(*words: str | Path, folder: Path) -> str:
    """Run a command outside the repository, with nothing of this environment; return what it says."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PERTOKEN", "PYTHON"))}
    done = subprocess.run(words, cwd=folder, env=clean, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_each_hot_module_is_in_the_compiled_wheel() -> None:
    """The compiled wheel has each listed module beside its source, and names a system of 2014; the other has none."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    listed = project["tool"]["hatch"]["build"]["targets"]["wheel"]["hooks"]["custom"]["modules"]
    hot = {f"pertoken/{folder}/{name}" for folder, names in listed.items() for name in names}
    compiled = zipfile.ZipFile(made("*manylinux2014*.whl")).namelist()
    pure = zipfile.ZipFile(made("*-py3-none-any.whl")).namelist()

    assert {name.partition(".")[0] for name in compiled if name.endswith(".so") and "/" in name} == hot
    assert {f"{name}.py" for name in hot} <= set(compiled)
    assert [name for name in pure if name.endswith(".so")] == []
    assert {name for name in compiled if name.endswith(".py")} == {name for name in pure if name.endswith(".py")}


def test_the_wheel_does_its_work_elsewhere(installed: Path, tmp_path: Path) -> None:
    """The compiled wheel runs compiled, from its own folder, and the demo's calls with the official SDKs settle."""
    assert "(compiled, " in say(installed / "pertoken", "--version", folder=tmp_path)
    where = say(installed / "python", "-c", "import pertoken.core.ledger as it; print(it.__file__)", folder=tmp_path)
    assert Path(where).is_relative_to(installed.parent)
    assert where.endswith(".so\n")

    shown = say(installed / "pertoken", "demo", folder=tmp_path)
    assert "no difference" in shown
    assert "the same as pertoken" in shown  # the provider, of the calls and tokens that it served to the official SDKs


def test_the_sdist_builds(tmp_path: Path) -> None:
    """The source archive is enough to build the wheel for every machine, which is the same as ours."""
    with tarfile.open(made("*.tar.gz")) as archive:
        archive.extractall(tmp_path, filter="data")
    (source,) = tmp_path.iterdir()
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", tmp_path],
        check=True, cwd=source, timeout=PATIENCE_S, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    (wheel,) = tmp_path.glob("*.whl")

    assert zipfile.ZipFile(wheel).namelist() == zipfile.ZipFile(made("*-py3-none-any.whl")).namelist()
