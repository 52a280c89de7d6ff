"""The places that metadata comes from, in real files, and which of them is believed."""

import io

import numpy as np
import pytest
from PIL import ExifTags, Image

from hgan.runtime.metadata.read import read_metadata
from hgan.runtime.metadata.text import MOST_TAGS
from hgan.runtime.metadata.types import Metadata, joined
from hgan.runtime.metadata.xmp import from_xmp
from tests.fixtures.raw import dng
from tests.fixtures.xmp import DIGIKAM, LIGHTROOM, xmp

LISBON = {1: "N", 2: (38.0, 42.0, 30.0), 3: "W", 4: (9.0, 8.0, 15.0)}


def exif(**fields: object) -> Image.Exif:
    made = Image.Exif()
    for name, value in fields.items():
        made[ExifTags.Base[name]] = value
    made[ExifTags.IFD.GPSInfo] = LISBON
    return made


def saved(form: str, packet: bytes | None = None, **more: object) -> bytes:
    file = io.BytesIO()
    photo = Image.new("RGB", (24, 16), (90, 120, 200))
    if form == "HEIF":
        from pillow_heif import from_pillow

        from_pillow(photo).save(file, xmp=packet, **more)
    else:
        if packet is not None and form == "PNG":
            from PIL.PngImagePlugin import PngInfo

            more["pnginfo"] = PngInfo()
            more["pnginfo"].add_itxt("XML:com.adobe.xmp", packet.decode())
        elif packet is not None and form == "TIFF":
            more["tiffinfo"] = {700: packet}
        elif packet is not None:
            more["xmp"] = packet
        photo.save(file, form, **more)
    return file.getvalue()


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIF"])
def test_xmp_in_a_photo(form: str) -> None:
    found = read_metadata(saved(form, LIGHTROOM))
    assert (found.width, found.height) == (24, 16)
    assert (found.rating, found.people) == (4, ("ana maria",))
    assert found.position == (38.708333, -9.1375)
    assert "portugal" in found.tags


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "AVIF", "HEIF"])
def test_exif_in_a_photo(form: str) -> None:
    found = read_metadata(saved(form, exif=exif(Rating=2, Model="Pixel 9").tobytes()))
    assert (found.rating, found.camera, found.position) == (2, "Pixel 9", (38.708333, -9.1375))


@pytest.mark.parametrize(("turn", "size"), [(1, (24, 16)), (3, (24, 16)), (6, (16, 24))])
def test_the_size_is_that_of_the_upright_photo(turn: int, size: tuple[int, int]) -> None:
    found = read_metadata(saved("JPEG", exif=exif(Orientation=turn)))
    assert (found.width, found.height) == size


def test_who_is_believed() -> None:
    """A sidecar first; then XMP about stars, and EXIF about all else."""
    both = saved("JPEG", DIGIKAM, exif=exif(Rating=1))
    found = read_metadata(both)
    assert (found.rating, found.position) == (3, (38.708333, -9.1375))
    found = read_metadata(both, sidecars=[from_xmp(xmp(xmp_Rating="5"))])
    assert (found.rating, found.position) == (5, (38.708333, -9.1375))
    assert found.tags == ("people", "zoë", "sea")


def test_a_raw_photo_has_its_position_in_its_own_header() -> None:
    photo = Image.fromarray(np.full((64, 96, 3), 90, np.uint8))
    data = dng(photo)
    assert read_metadata(data, "a.dng").position is None
    sidecar = from_xmp(LIGHTROOM)
    found = read_metadata(data, "a.dng", [sidecar])
    assert (found.rating, found.taken) == (4, sidecar.taken)
    assert found.camera == "Canon EOS 5D"


def test_damaged_xmp_in_a_photo_hides_nothing_else() -> None:
    found = read_metadata(saved("JPEG", LIGHTROOM[:-50], exif=exif(Rating=2)))
    assert (found.rating, found.width) == (2, 24)


def test_joined() -> None:
    many = tuple(f"tag {i}" for i in range(MOST_TAGS))
    assert joined([]) == Metadata()
    assert joined([Metadata(tags=("a",)), Metadata(tags=("b", "a"))]).tags == ("a", "b")
    assert len(joined([Metadata(tags=("a",)), Metadata(tags=many)]).tags) == MOST_TAGS
    assert joined([Metadata(rating=0), Metadata(rating=5)]).rating == 0
