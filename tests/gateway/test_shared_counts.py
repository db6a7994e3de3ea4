import threading
from pathlib import Path

from pertoken.core.tally import BATCH_BITS, Snapshot
from pertoken.gateway.shared_counts import FiguresTaken, SharedCounts, as_bytes


def taken(number: int) -> FiguresTaken:
    """Return figures of a moment; all of them say which one it was."""
    snapshot = Snapshot(number, {}, {"forbidden": number}, number, (number,) * BATCH_BITS, number, {})
    return FiguresTaken(number, as_bytes(snapshot))


def test_a_successor_finds_what_was_left(tmp_path: Path) -> None:
    """The worker that takes a dead one's place finds its figures; one in another place finds none."""
    SharedCounts(tmp_path, 0).write(taken(3))

    left = SharedCounts(tmp_path, 0).left()
    assert left is not None
    assert left.refusals == {"forbidden": 3}
    assert SharedCounts(tmp_path, 1).left() is None


def test_everybody_s_figures_are_read(tmp_path: Path) -> None:
    """Any worker reads the figures of all of them, its own too."""
    both = [SharedCounts(tmp_path, place) for place in range(2)]
    for number, one in enumerate(both, start=1):
        one.write(taken(number))

    assert [[found.commands for found in one.read_all()] for one in both] == [[1, 2], [1, 2]]


def test_older_figures_do_not_replace_newer_ones(tmp_path: Path) -> None:
    """Two threads may write in any order: the newest figures stay, so that no count ever falls."""
    shared = SharedCounts(tmp_path, 0)
    shared.write(taken(2))
    shared.write(taken(1))

    assert [one.commands for one in shared.read_all()] == [2]


def test_nobody_reads_half_a_file(tmp_path: Path) -> None:
    """Whoever reads while a file is written anew sees the old figures or the new ones, whole."""
    shared = SharedCounts(tmp_path, 0)
    shared.write(taken(1))
    writer = threading.Thread(target=lambda: [shared.write(taken(number)) for number in range(2, 500)])
    writer.start()
    seen = [1]
    while writer.is_alive():
        [one] = shared.read_all()
        assert one.batches == (one.commands,) * BATCH_BITS
        seen.append(one.commands)
    writer.join()

    assert seen == sorted(seen)
