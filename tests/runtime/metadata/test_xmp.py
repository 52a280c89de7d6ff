"""XMP: what programs write is understood, and nothing that is malicious does harm."""

from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hgan.errors import DataError
from hgan.runtime.metadata.types import Metadata
from hgan.runtime.metadata.xmp import DEEPEST, LARGEST_XMP, MOST_ELEMENTS, from_xmp
from tests.fixtures.xmp import DIGIKAM, LIGHTROOM, WINDOWS, bag, xmp


def at(*moment: int) -> int:
    return int(datetime(*moment, tzinfo=UTC).timestamp())


def test_lightroom() -> None:
    assert from_xmp(LIGHTROOM) == Metadata(
        taken=at(2023, 7, 14, 10, 32, 5),
        tags=("lisbon", "ana maria", "places", "portugal", "people"),
        people=("ana maria",),
        rating=4,
        position=(38.708333, -9.1375),
    )


def test_digikam() -> None:
    assert from_xmp(DIGIKAM) == Metadata(
        taken=at(2020, 1, 2, 3, 4, 5),
        tags=("people", "zoë", "sea"),
        people=("zoë",),
        rating=3,
        position=(-23.5475, -46.636111),
    )


def test_windows() -> None:
    expected = Metadata(tags=("sun",), people=("ben", "cleo", "dora d."), rating=4)
    assert from_xmp(WINDOWS) == expected


@pytest.mark.parametrize(
    ("written", "rating"),
    [("0", 0), ("5", 5), ("-1", 0), ("3.0", 3), ("", None), ("6", None), ("nan", None),
     ("1e999", None), ("many", None)],
)  # fmt: skip
def test_rating(written: str, rating: int | None) -> None:
    assert from_xmp(xmp(xmp_Rating=written)).rating == rating


@pytest.mark.parametrize(
    ("percent", "rating"), [("0", 0), ("1", 1), ("25", 2), ("50", 3), ("75", 4), ("99", 5)]
)
def test_rating_of_windows(percent: str, rating: int) -> None:
    assert from_xmp(xmp(MicrosoftPhoto_Rating=percent)).rating == rating


@pytest.mark.parametrize("wrap", [b"\0\0%s\0\0", b"  \n%s\n \n", b"\xef\xbb\xbf%s"])
def test_padding_and_marks(wrap: bytes) -> None:
    assert from_xmp(wrap % LIGHTROOM).rating == 4


def test_other_encodings() -> None:
    for coding in ("utf-16", "utf-16-le", "utf-16-be"):
        text = LIGHTROOM.decode().replace("\ufeff", "")
        data = text.encode(coding)
        if coding != "utf-16":
            data = "\ufeff".encode(coding) + data
        assert from_xmp(data).rating == 4


ENTITIES = "".join(
    f'<!ENTITY {name} "{10 * f"&{before};"}">' for before, name in pairwise("abcdefgh")
)
BOMB = f'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">{ENTITIES}]><x>&h;</x>'.encode()
OUTSIDE = b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><x>&a;</x>'


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0" * 10,
        b"<x>",
        b"no XML",
        b"\xff\xfe<",
        b'<?xml version="1.0" encoding="nonsense"?><x/>',
        LIGHTROOM[:-40],
        BOMB,
        OUTSIDE,
        b"<x>" * (DEEPEST + 1) + b"</x>" * (DEEPEST + 1),
        b"<x>" + b"<y/>" * MOST_ELEMENTS + b"</x>",
        b"<x>" + b" " * LARGEST_XMP + b"</x>",
    ],
    ids=range(12),
)
def test_what_is_refused(data: bytes) -> None:
    with pytest.raises(DataError):
        from_xmp(data)


def test_other_xml_says_nothing() -> None:
    assert from_xmp(b"<x>text</x>") == Metadata()


@pytest.mark.parametrize("seed", [LIGHTROOM, DIGIKAM, WINDOWS])
@given(places=st.lists(st.tuples(st.floats(0, 0.9999), st.integers(0, 255)), max_size=8))
def test_damage_does_no_harm(seed: bytes, places: list[tuple[float, int]]) -> None:
    data = bytearray(seed)
    for place, value in places:
        data[int(place * len(data))] = value
    check(bytes(data))


@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    check(data)


@given(st.lists(st.text(), max_size=5), st.text(max_size=20))
def test_any_text(words: list[str], rating: str) -> None:
    text = [word for word in words if word.isprintable()]
    found = from_xmp(xmp(bag("dc:subject", *text), xmp_Rating="2"))
    assert set(found.tags) == {" ".join(word.lower().split())[:100].rstrip() for word in text} - {
        ""
    }
    assert found.rating == 2


def check(data: bytes) -> None:
    try:
        found = from_xmp(data)
    except DataError:
        return
    assert found.rating is None or 0 <= found.rating <= 5
    for word in (*found.tags, *found.people):
        assert word and word.isprintable() and len(word) <= 100
    if found.position is not None:
        latitude, longitude = found.position
        assert abs(latitude) <= 90 and abs(longitude) <= 180
