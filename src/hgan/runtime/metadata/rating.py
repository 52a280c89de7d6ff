"""Ratings in stars."""

import math

MOST = 5


def stars(value: object) -> int | None:
    """A rating from 0 to 5; None if it is not one.

    Adobe's programs write -1 for a photo that was rejected: it has no stars, but is rated.
    """
    if not isinstance(value, str | int | float):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    if not math.isfinite(number) or not -1 <= number <= MOST:
        return None
    return max(0, round(number))


def percent_stars(value: str) -> int | None:
    """A rating of Windows in XMP (0, 1, 25, 50, 75 or 99) as stars; None if it is not one."""
    try:
        number = float(value)
    except ValueError:
        return None
    if not 0 <= number <= 100:
        return None
    return 0 if number == 0 else min(MOST, 1 + round(number / 25))
