"""Compiles the hot modules beside their source and puts them into the wheel: docs/decisions/0009-compiled.md."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class Compiled(BuildHookInterface[Any]):
    """What hatchling runs before it fills a wheel, where HATCH_BUILD_HOOK_ENABLE_CUSTOM is true."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, unless all of it is newer than its source. An editable install stays Python alone."""
        if version == "editable":
            return
        src = Path(self.root, "src")
        sources = [
            src / "pertoken" / folder / f"{name}.py"
            for folder, names in self.config["modules"].items()
            for name in names
        ]
        if not _is_new(src, sources):
            _compile(src, sources)
        build_data["pure_python"] = False
        build_data["infer_tag"] = True
        build_data["artifacts"].append("*.so")
        build_data["force_include"].update({str(path): path.name for path in src.glob("*.so")})  # what they share


def _is_new(src: Path, sources: list[Path]) -> bool:
    """Return whether each source has a compiled module, and each is newer than every source and the list of them."""
    modules = [path for source in sources for path in source.parent.glob(f"{source.stem}.*.so")]
    made = [path.stat().st_mtime for path in (*modules, *src.glob("*.so"))]
    read = [path.stat().st_mtime for path in (*sources, src.parent / "pyproject.toml")]
    return len(modules) == len(sources) < len(made) and min(made) > max(read)


def _compile(src: Path, sources: list[Path]) -> None:
    for old in src.rglob("*.so"):
        old.unlink()
    try:
        done = subprocess.run(  # noqa: S603  # our own files
            [sys.executable, "-m", "mypyc", *(str(path.relative_to(src)) for path in sources)],
            cwd=src, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
    finally:
        for left in ("build", ".mypy_cache"):
            shutil.rmtree(src / left, ignore_errors=True)
    if done.returncode:
        raise SystemExit("\n".join(["mypyc could not compile:", *done.stdout.splitlines()[-20:]]))
