from pathlib import Path

from pertoken.settings import Settings
from pertoken.wiring.installation import Installation, connect
from pertoken.wiring.schema import head, is_at_head, is_empty


def test_a_new_database_is_at_the_head(installation: Installation) -> None:
    """A database that was made now has the newest tables, which have a name."""
    assert head()
    assert is_at_head(installation)
    assert not is_empty(installation)


def test_an_empty_file_is_empty(settings: Settings, tmp_path: Path) -> None:
    """A file without tables is empty and not at the head, however often it is asked."""
    (tmp_path / "pertoken.db").touch()
    with connect(settings) as found:
        assert is_empty(found)
        assert not is_at_head(found)
        assert is_empty(found)
