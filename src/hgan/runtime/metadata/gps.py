"""Positions: from the rationals of EXIF, and from the texts of XMP, to degrees."""

import math
import re
from collections.abc import Mapping

from PIL import ExifTags

_XMP = re.compile(r"(\d{1,3})(?:,(\d{1,2}(?:\.\d+)?))?(?:,(\d{1,2}(?:\.\d+)?))?([NSEW])", re.ASCII)
_LARGEST = {"N": 90.0, "S": 90.0, "E": 180.0, "W": 180.0}

Position = tuple[float, float]
"""Latitude and longitude in degrees."""


def position_of(latitude: float | None, longitude: float | None) -> Position | None:
    """A position; None if a part is unknown, or if it is 0, 0, as receivers without a signal
    write."""
    if latitude is None or longitude is None:
        return None
    position = round(latitude, 6), round(longitude, 6)
    return None if position == (0, 0) else position


def exif_position(fields: Mapping[int, object]) -> Position | None:
    """The position in the GPS fields of EXIF; None if there is none, or it is not valid."""
    gps = ExifTags.GPS
    return position_of(
        _degrees(fields.get(gps.GPSLatitude), fields.get(gps.GPSLatitudeRef), "NS"),
        _degrees(fields.get(gps.GPSLongitude), fields.get(gps.GPSLongitudeRef), "EW"),
    )


def xmp_degrees(text: str, sides: str) -> float | None:
    """Degrees that XMP writes as `38,42.5N` or `38,42,30N`; None if they are not valid.

    Args:
        text: the value.
        sides: `NS` for a latitude, `EW` for a longitude.
    """
    found = _XMP.fullmatch(text.strip().upper())
    if found is None:
        return None
    *parts, side = found.groups()
    return _signed([float(part or 0) for part in parts], side, sides)


def _degrees(value: object, side: object, sides: str) -> float | None:
    """Degrees from one to three rationals: degrees, minutes and seconds."""
    if isinstance(side, bytes):
        side = side.decode("ascii", "replace")
    side = side.strip("\0 ").upper() if isinstance(side, str) else ""
    parts = value if isinstance(value, tuple) else (value,)
    try:
        numbers = [float(part) for part in parts]
    except (TypeError, ValueError, ArithmeticError):  # no numbers; a denominator of zero
        return None
    return _signed(numbers, side, sides) if len(numbers) <= 3 else None


def _signed(parts: list[float], side: str, sides: str) -> float | None:
    """Degrees, minutes and seconds as degrees, negative in the south and in the west."""
    if len(side) != 1 or side not in sides or not all(part >= 0 for part in parts):
        return None
    degrees = sum(part / 60**power for power, part in enumerate(parts))
    if not math.isfinite(degrees) or degrees > _LARGEST[side]:
        return None
    return -degrees if side in "SW" else degrees
