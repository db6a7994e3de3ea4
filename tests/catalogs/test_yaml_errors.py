import pytest
import yaml

from pertoken.catalogs.yaml_errors import reason


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a:\n\tb: 1", "line 2, column 1: found a tab; indent YAML with spaces"),
        ("a: @b", "line 1, column 4: found a character that cannot begin a value; put it in quotes"),
        ("a: b: c", "line 1, column 5: found a second `: ` on one line"),
        ("a: 'b", "line 1, column 6: a quote is not closed"),
        ("a: *b", "line 1, column 4: found an alias"),
        ("a: !b c", "line 1, column 4: found a tag"),
        ("a: [b", "line 1, column 6: a list is not closed"),
        ("a: {b", "line 1, column 6: a mapping is not closed"),
        ("a: 1\n b: 2", "line 2, column 3: found a second `: ` on one line"),
        ("- a\nb: 1", "line 2, column 1: the indentation is not that of the lines before"),
        ("a: \x07", "write plain UTF-8 text"),
    ],
)
def test_what_is_wrong_and_what_to_do(text: str, said: str) -> None:
    """The parser's own words become ours: where, what, and the next step."""
    with pytest.raises(yaml.YAMLError) as caught:
        yaml.safe_load(text)

    assert reason(caught.value).startswith(said) or said in reason(caught.value)


def test_no_word_of_the_file_is_told() -> None:
    """What stands in the file may be a key."""
    with pytest.raises(yaml.YAMLError) as caught:
        yaml.safe_load("api_key: 'sk-very-secret' oops")

    assert "secret" not in reason(caught.value)
