"""What is measured is the whole tree of a program, and it ends as a whole."""

import os
import sys
import time
from pathlib import Path

from process import Process, lives

# A parent that waits, and a child that works.
CODE = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "while True: pass"])
print(child.pid, flush=True)
child.wait()
"""


def start(folder: Path) -> tuple[Process, int]:
    """Return a running parent, and its child's id."""
    process = Process([sys.executable, "-c", CODE], {min(os.sched_getaffinity(0))}, folder / "log", {})
    while not (said := process.log.read_text()).endswith("\n"):
        time.sleep(0.01)
    return process, int(said)


def test_a_tree_is_measured_and_ended_as_a_whole(tmp_path: Path) -> None:
    """CPU and memory are those of the children, too, which run where they were put; none of them is left."""
    process, child = start(tmp_path)
    try:
        assert child in process.tree()
        assert os.sched_getaffinity(child) == {min(os.sched_getaffinity(0))}
        before = process.cpu_s()
        while process.cpu_s() <= before + 0.05:  # the parent sleeps: only its child works
            time.sleep(0.01)
        parent_bytes = int(Path(f"/proc/{process.tree()[0]}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        assert process.memory_bytes() > parent_bytes
    finally:
        process.stop()

    assert process.ended
    assert not lives(child)


def test_a_tree_moves_as_a_whole(tmp_path: Path) -> None:
    """A child runs where its parent is moved to."""
    process, child = start(tmp_path)
    try:
        everywhere = os.sched_getaffinity(0)
        process.move(everywhere)
        assert os.sched_getaffinity(child) == everywhere
    finally:
        process.stop()
