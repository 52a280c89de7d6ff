"""The city and country of a position, by the gazetteer in `hgan.index.conditions.gazetteer`.

It has the quarters of large cities too. So that a photo in São Paulo is there, and not in its
quarter Sé, the distance to a city is that to its edge: it is taken as a circle with `DENSITY`
people per square kilometre.
"""

from functools import cache
from typing import NamedTuple

import numpy as np

from hgan.index.conditions.gazetteer import INSTALL, cities

FAR = 50.0
"""Kilometres; a position that is farther from every city, at sea for example, has none."""
DENSITY = 10_000.0
"""People per square kilometre of a city; with 8,000, Newark is a part of New York City."""

_RADIUS = 6371.0
"""Kilometres from the centre of the earth to the surface."""


class Place(NamedTuple):
    """A city."""

    city: str
    country: str
    code: str
    """Code of the country by ISO 3166."""


class Gazetteer:
    """Finds the nearest of many cities."""

    def __init__(
        self,
        latitudes: np.ndarray,
        longitudes: np.ndarray,
        people: np.ndarray,
        places: list[Place],
    ) -> None:
        """Use n cities.

        Args:
            latitudes: (n,) in degrees.
            longitudes: (n,) in degrees.
            people: (n,) numbers of people.
            places: their names.
        """
        order = np.argsort(latitudes, kind="stable")
        self._latitudes = np.asarray(latitudes, np.float64)[order]
        self._longitudes = np.asarray(longitudes, np.float64)[order]
        self._radii = np.sqrt(np.asarray(people, np.float64)[order] / (np.pi * DENSITY))
        self._places = [places[row] for row in order]

    def nearest(self, latitude: float, longitude: float) -> Place | None:
        """The city within `FAR` whose edge is nearest by great-circle distance; if the position is
        inside of several, the one whose edge is farthest. None if there is none."""
        reach = np.degrees(FAR / _RADIUS)
        first, end = np.searchsorted(self._latitudes, (latitude - reach, latitude + reach))
        if first == end:
            return None
        distances = kilometres(
            latitude, longitude, self._latitudes[first:end], self._longitudes[first:end]
        )
        outside = np.where(distances <= FAR, distances - self._radii[first:end], np.inf)
        best = int(outside.argmin())
        return self._places[first + best] if outside[best] < np.inf else None


def kilometres(
    latitude: float, longitude: float, latitudes: np.ndarray, longitudes: np.ndarray
) -> np.ndarray:
    """The great-circle distances (n,) of a point from n points, all in degrees (haversine)."""
    one, others = np.radians(latitude), np.radians(latitudes)
    across = np.sin(np.radians(longitudes - longitude) / 2) ** 2
    half = np.sin((others - one) / 2) ** 2 + np.cos(one) * np.cos(others) * across
    return 2 * _RADIUS * np.arcsin(np.sqrt(np.minimum(half, 1)))


@cache
def gazetteer() -> Gazetteer | None:
    """The gazetteer, read when it is first needed; None if there is none, see `missing`."""
    found = cities()
    if not found.cities:
        return None
    return Gazetteer(
        np.array([city.latitude for city in found.cities], np.float64),
        np.array([city.longitude for city in found.cities], np.float64),
        np.array([city.population for city in found.cities], np.float64),
        [
            Place(city.name, found.countries.get(city.country, ""), city.country)
            for city in found.cities
        ],
    )


def missing() -> str:
    """Why there is no gazetteer, and what to do; empty if there is one."""
    found = cities()
    if found.cities:
        return ""
    return found.problem or f"to find their cities: {INSTALL}"
