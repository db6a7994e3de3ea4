import threading
from pathlib import Path

from pertoken.core.tally import BATCH_BITS, Snapshot
from pertoken.gateway.shared_counts import FiguresTaken, SharedCounts, as_bytes


def taken(number: int) -> FiguresTaken:
    """Return figures of one moment; each of them is its number."""
    snapshot = Snapshot(number, {}, {"forbidden": number}, number, (number,) * BATCH_BITS, number, {})
    return FiguresTaken(number, as_bytes(snapshot))


def test_a_successor_finds_what_was_left(tmp_path: Path) -> None:
    """A worker that replaces a dead one finds its figures; a worker in another place finds none."""
    SharedCounts(tmp_path, 0).write(taken(3))

    left = SharedCounts(tmp_path, 0).left()
    assert left is not None
    assert left.refusals == {"forbidden": 3}
    assert SharedCounts(tmp_path, 1).left() is None


def test_everybody_s_figures_are_read(tmp_path: Path) -> None:
    """Each worker reads the figures of all workers, including its own."""
    both = [SharedCounts(tmp_path, place) for place in range(2)]
    for number, one in enumerate(both, start=1):
        one.write(taken(number))

    assert [[found.commands for found in one.read_all()] for one in both] == [[1, 2], [1, 2]]


def test_older_figures_do_not_replace_newer_ones(tmp_path: Path) -> None:
    """If two threads write in any order, the newest figures stay, so that no count falls."""
    shared = SharedCounts(tmp_path, 0)
    shared.write(taken(2))
    shared.write(taken(1))

    assert [one.commands for one in shared.read_all()] == [2]


def test_nobody_reads_half_a_file(tmp_path: Path) -> None:
    """A reader sees either the old or the new figures, complete, while a file is replaced."""
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
