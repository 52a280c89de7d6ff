"""Positions: exact where they are valid, and None for any nonsense."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL.ExifTags import GPS
from PIL.TiffImagePlugin import IFDRational

from hgan.runtime.metadata.gps import exif_position, xmp_degrees

RATIONALS = st.builds(IFDRational, st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
NONSENSE = st.one_of(
    RATIONALS, st.lists(RATIONALS, max_size=5).map(tuple), st.text(max_size=5), st.none(),
    st.binary(max_size=5), st.floats(), st.tuples(st.text(), st.none()),
)  # fmt: skip


def fields(latitude: object, north: object, longitude: object, east: object) -> dict[int, object]:
    return {
        GPS.GPSLatitude: latitude,
        GPS.GPSLatitudeRef: north,
        GPS.GPSLongitude: longitude,
        GPS.GPSLongitudeRef: east,
    }


@given(
    st.tuples(st.integers(0, 89), st.integers(0, 59), st.integers(0, 5999)),
    st.tuples(st.integers(0, 179), st.integers(0, 59), st.integers(0, 5999)),
    st.sampled_from("NS"),
    st.sampled_from("EW"),
)
def test_degrees_minutes_and_seconds(one, other, north, east) -> None:
    def rationals(parts):
        return IFDRational(parts[0]), IFDRational(parts[1]), IFDRational(parts[2], 100)

    found = exif_position(fields(rationals(one), north, rationals(other), east))
    expected = [
        (-1 if side in "SW" else 1) * (parts[0] + parts[1] / 60 + parts[2] / 360_000)
        for parts, side in ((one, north), (other, east))
    ]
    if expected == [0, 0]:
        assert found is None
    else:
        assert found == pytest.approx(expected, abs=1e-6)


@given(NONSENSE, NONSENSE, NONSENSE, NONSENSE)
def test_nonsense(latitude, north, longitude, east) -> None:
    check(exif_position(fields(latitude, north, longitude, east)))
    check(exif_position(fields(latitude, "N", longitude, b"W\0")))


def check(found: tuple[float, float] | None) -> None:
    if found is not None:
        assert abs(found[0]) <= 90 and abs(found[1]) <= 180
        assert all(map(math.isfinite, found)) and found != (0, 0)


@pytest.mark.parametrize(
    "wrong",
    [
        fields((IFDRational(1, 0), IFDRational(0), IFDRational(0)), "N", (1.0, 1.0, 1.0), "E"),
        fields((IFDRational(0, 0),) * 3, "N", (IFDRational(0, 0),) * 3, "E"),
        fields((91.0, 0.0, 0.0), "N", (1.0, 0.0, 0.0), "E"),
        fields((1.0, 0.0, 0.0), "N", (181.0, 0.0, 0.0), "E"),
        fields((1.0, 0.0, 0.0), "E", (1.0, 0.0, 0.0), "E"),
        fields((1.0, 0.0, 0.0), "", (1.0, 0.0, 0.0), "E"),
        fields((-1.0, 0.0, 0.0), "N", (1.0, 0.0, 0.0), "E"),
        fields((0.0, 0.0, 0.0), "N", (0.0, 0.0, 0.0), "E"),
        fields((1.0, 0.0, 0.0, 0.0), "N", (1.0, 0.0, 0.0), "E"),
        {},
    ],
)
def test_no_position(wrong: dict[int, object]) -> None:
    assert exif_position(wrong) is None


@pytest.mark.parametrize(
    ("text", "sides", "degrees"),
    [
        ("38,42.5N", "NS", 38 + 42.5 / 60),
        ("38,42,30S", "NS", -38 - 42.5 / 60),
        (" 9,8.25w ", "EW", -9 - 8.25 / 60),
        ("90N", "NS", 90),
        ("91N", "NS", None),
        ("38,42.5N", "EW", None),
        ("38.5", "NS", None),
        ("", "NS", None),
        ("38,42.5", "NS", None),
        ("٣,1N", "NS", None),
    ],
)
def test_texts_of_xmp(text: str, sides: str, degrees: float | None) -> None:
    found = xmp_degrees(text, sides)
    assert found == (None if degrees is None else pytest.approx(degrees))
