"""`pertoken completion`: what shells run."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PERTOKEN = Path(sys.executable).with_name("pertoken")


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("pertoken ser", "serve"),
        ("pertoken budget sta", "status"),
        ("pertoken calls --status ref", "refused"),
        ("pertoken completion z", "zsh"),
        ("pertoken nothing-like-it", ""),
    ],
)
def test_bash_completes(typed: str, offered: str) -> None:
    """A bash that read what the command prints completes commands, their options and the options' values."""
    words = typed.split()
    line = (
        f"source <({PERTOKEN} completion bash) && COMP_WORDS=({typed}) && COMP_CWORD={len(words) - 1}"
        f' && _pertoken_completion {PERTOKEN} && echo "${{COMPREPLY[@]}}"'
    )
    done = subprocess.run(["/bin/bash", "-c", line], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == offered


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_take_it(shell: str) -> None:
    """What is printed for zsh and fish is theirs to read, checked by the shell itself where it is installed."""
    script = subprocess.run([PERTOKEN, "completion", shell], capture_output=True, text=True, check=True).stdout

    assert "_PERTOKEN_COMPLETE" in script
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=script, text=True, check=True)
