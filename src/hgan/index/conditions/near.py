"""Where the place of `near=` is: coordinates, or the name of a city, which is looked up offline.

Cities have their names in many languages, see `hgan.index.conditions.gazetteer`.
"""

import difflib
import re
from functools import lru_cache

from hgan.errors import ConfigError, DataError
from hgan.index.conditions.accents import without_accents
from hgan.index.conditions.gazetteer import INSTALL, City, cities

_COORDINATES = re.compile(r"\s*([-+]?\d+(?:\.\d+)?)\s*,\s*([-+]?\d+(?:\.\d+)?)\s*", re.ASCII)
_WRITE = "write latitude and longitude instead, as in near=38.72,-9.14"


def position_of(place: str) -> tuple[float, float]:
    """Latitude and longitude, in degrees, of a place.

    Args:
        place: the name of a city, in any language, with the code of its country if it is not the
            largest of this name (`Paris, US`); or coordinates such as `38.72,-9.14`.

    Raises:
        DataError: no such city is known, or the coordinates are not on the globe.
        ConfigError: the names of cities are not installed.
    """
    match = _COORDINATES.fullmatch(place)
    if match is None:
        city = _city(place)
        return city.latitude, city.longitude
    latitude, longitude = float(match[1]), float(match[2])
    if abs(latitude) > 90 or abs(longitude) > 180:
        raise DataError(
            f"near={place}: the latitude must be from -90 to 90, the longitude from -180 to 180"
        )
    return latitude, longitude


@lru_cache(256)
def _city(place: str) -> City:
    """The largest city of this name, by its own name or by one in another language."""
    wanted = _plain(place)
    name, comma, country = wanted.rpartition(",")
    found = _named(wanted)
    if comma and not found:
        found = [city for city in _named(name.strip()) if city.country == country.strip().upper()]
    if not found:
        names = {
            _plain(city.name): city.name
            for city in _cities()
            if city.name[:1].lower() == wanted[:1]
        }
        close = difflib.get_close_matches(wanted, names, 1, 0.75)
        fix = f"did you mean {names[close[0]]}? Otherwise, {_WRITE}" if close else _WRITE
        raise DataError(f"near={place}: no city of this name is known; {fix}")
    return max(found, key=lambda city: city.population)


def _named(wanted: str) -> list[City]:
    """The cities of this name, which is in lower case without accents."""
    found = [city for city in _cities() if _plain(city.name) == wanted]
    first = wanted[:1]
    return found or [
        city
        for city in _cities()
        # The first letter is compared first, because there are hundreds of thousands of names.
        if any(_plain(name) == wanted for name in city.others if _plain(name[:1]) == first)
    ]


def _cities() -> list[City]:
    found = cities()
    if not found.cities:
        reason = found.problem or f"names of cities are not installed: {INSTALL}"
        raise ConfigError(f"near: {reason}; or {_WRITE}")
    return found.cities


def _plain(name: str) -> str:
    """A name in lower case, without accents and with single spaces."""
    return " ".join(without_accents(name.lower()).split())
