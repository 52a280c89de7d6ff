"""Where the place of `near=` is."""

import re

from hgan.errors import DataError

_COORDINATES = re.compile(r"\s*([-+]?\d+(?:\.\d+)?)\s*,\s*([-+]?\d+(?:\.\d+)?)\s*")


def position_of(place: str) -> tuple[float, float]:
    """Latitude and longitude, in degrees, of a city or of coordinates such as `38.72,-9.14`.

    Raises:
        DataError: no such place is known, or the coordinates are not on the globe.
    """
    match = _COORDINATES.fullmatch(place)
    if match is None:
        raise DataError(f"near={place}: no such place is known; write latitude,longitude instead")
    latitude, longitude = float(match[1]), float(match[2])
    if abs(latitude) > 90 or abs(longitude) > 180:
        raise DataError(
            f"near={place}: the latitude must be from -90 to 90, the longitude from -180 to 180"
        )
    return latitude, longitude
