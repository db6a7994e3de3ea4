"""The units and how they contain one another."""

import itertools

import pytest

from pertoken.core.units import CONTAINERS, DIMENSIONS, INNER_FIRST, INSIDE, MODALITIES, UNITS


def test_no_two_units_are_the_same_set() -> None:
    """Two names for one set of dimensions would be two prices for one token."""
    assert len(set(DIMENSIONS.values())) == len(UNITS)


def test_inner_units_come_first() -> None:
    """A walk in this order meets every unit once, and always before what contains it."""
    assert sorted(INNER_FIRST) == sorted(UNITS)
    for earlier, later in itertools.combinations(INNER_FIRST, 2):
        assert not DIMENSIONS[earlier] < DIMENSIONS[later], (earlier, later)


@pytest.mark.parametrize("unit", UNITS)
def test_inside_and_containers_are_each_others_mirror(unit: str) -> None:
    """What lies inside a unit has that unit among its containers, and nothing lies inside itself."""
    assert all(unit in CONTAINERS[inner] for inner in INSIDE[unit])
    assert all(unit in INSIDE[container] for container in CONTAINERS[unit])
    assert unit not in INSIDE[unit]


@pytest.mark.parametrize("unit", UNITS)
def test_the_nearest_container_comes_first(unit: str) -> None:
    """A unit without a price of its own drops as few dimensions as it can."""
    sizes = [len(DIMENSIONS[container]) for container in CONTAINERS[unit]]

    assert sizes == sorted(sizes, reverse=True)


@pytest.mark.parametrize("unit", UNITS)
def test_a_unit_has_at_most_one_modality_and_one_direction(unit: str) -> None:
    """No token is audio and image, input and output, or read and written, at once."""
    dimensions = DIMENSIONS[unit]

    assert len(dimensions & MODALITIES) <= 1
    assert not {"input", "output"} <= dimensions
    assert not {"read", "write"} <= dimensions


@pytest.mark.parametrize(
    ("unit", "containers"),
    [
        ("input_tokens", ()),
        ("cache_write_1h_tokens", ("cache_write_tokens", "input_tokens")),
        ("reasoning_tokens", ("output_tokens",)),
        ("cache_read_audio_tokens", ("input_audio_tokens", "cache_read_tokens", "input_tokens")),
        ("images", ()),
        ("web_searches", ()),
    ],
)
def test_containers(unit: str, containers: tuple[str, ...]) -> None:
    """Cached audio is audio before it is cached text; an image made is not an image read."""
    assert CONTAINERS[unit] == containers
