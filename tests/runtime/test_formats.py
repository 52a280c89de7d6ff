"""AVIF and HEIC photos: colours, rotation, metadata and damage; and kinds that need an extra."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image

from hgan.errors import DataError
from hgan.runtime import formats
from hgan.runtime.formats import HEIC, PHOTO, kind_of, named_type, open_image, readable_suffixes
from hgan.runtime.images import check_photo, media_type, open_photo
from hgan.runtime.metadata.read import read_metadata

SIZE = 96, 64


def exif() -> Image.Exif:
    found = Image.Exif()
    found[ExifTags.Base.Make], found[ExifTags.Base.Model] = "Apple", "iPhone 15"
    found.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = "2023:06:30 12:30:01"
    return found


def saved(photo: Image.Image, form: str, **options: Any) -> bytes:
    """A photo as AVIF by Pillow, or as HEIC by pillow-heif."""
    file = io.BytesIO()
    if form == "AVIF":
        photo.save(file, "AVIF", **options)
    else:
        heif = pytest.importorskip("pillow_heif")
        mode = photo.mode
        made = heif.from_bytes(mode, photo.size, photo.tobytes())
        if "exif" in options:
            options["exif"] = options["exif"].tobytes()
        made.save(file, **options)
    return file.getvalue()


def quarters(mode: str = "RGB") -> Image.Image:
    """Red, green, blue and white, clockwise from the top left."""
    photo = Image.new("RGB", SIZE, (255, 255, 255))
    for corner, colour in (((0, 0), "red"), ((48, 0), "lime"), ((48, 32), "blue")):
        photo.paste(colour, (*corner, corner[0] + 48, corner[1] + 32))
    return photo.convert(mode)


def corners(photo: Image.Image) -> list[str]:
    """The colours of the corners, clockwise from the top left."""
    assert photo.mode == "RGB"
    names = {(1, 0, 0): "red", (0, 1, 0): "green", (0, 0, 1): "blue", (1, 1, 1): "white"}
    right, bottom = photo.width - 9, photo.height - 9
    places = ((8, 8), (right, 8), (right, bottom), (8, bottom))
    found = [photo.getpixel(place) for place in places]
    return [names.get(tuple(round(value / 255) for value in one), str(one)) for one in found]


@pytest.mark.parametrize("form", ["AVIF", "HEIC"])
@pytest.mark.parametrize("hint", [None, 16])
def test_colours(form: str, hint: int | None) -> None:
    photo = open_photo(saved(quarters(), form, quality=90), hint)
    assert corners(photo) == ["red", "green", "blue", "white"]
    assert photo.size == (SIZE if hint is None else (32 * 3 // 2, 32))
    gray = open_photo(saved(Image.new("L", SIZE, 128), form), hint)
    assert np.asarray(gray).mean() == pytest.approx(128, abs=4)
    clear = open_photo(saved(Image.new("RGBA", SIZE, (255, 0, 0, 0)), form), hint)
    assert np.asarray(clear).mean() == pytest.approx(255, abs=4)


@pytest.mark.parametrize("form", ["AVIF", "HEIC"])
def test_rotation_and_metadata(form: str) -> None:
    tags = exif()
    tags[ExifTags.Base.Orientation] = 6  # the camera was turned, so that the top is at the right
    data = saved(quarters(), form, quality=90, exif=tags)
    photo = open_photo(data)
    assert photo.size == (SIZE[1], SIZE[0])
    assert corners(photo) == ["white", "red", "green", "blue"]
    found = read_metadata(data)
    assert (found.camera, found.taken) == ("Apple iPhone 15", 1688128201)
    assert media_type(data) == {"AVIF": "image/avif", "HEIC": "image/heic"}[form]


@pytest.mark.parametrize("form", ["AVIF", "HEIC"])
def test_damage(form: str, tmp_path: Path) -> None:
    """Whatever is cut off or changed, there is an error with the name, or a photo."""
    data = saved(quarters(), form, quality=90)
    for cut in range(0, len(data), 7):
        with pytest.raises(DataError, match=r"a\.photo: "):
            open_photo(data[:cut], name="a.photo")
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(100):
        broken = bytearray(data)
        for place in rng.integers(0, len(data), 4):
            broken[place] = rng.integers(0, 256)
        try:
            open_photo(bytes(broken))
        except DataError:
            refused += 1
        read_metadata(bytes(broken))
    assert refused > 10
    (tmp_path / "a.heic").write_bytes(data[:40])
    with pytest.raises(DataError, match=r"a\.heic: "):
        check_photo(tmp_path / "a.heic")


def test_heic_is_told_by_its_content(tmp_path: Path) -> None:
    """A brand that AVIF has as well does not decide, nor does the name."""
    data = saved(quarters(), "HEIC", quality=90)
    shared = data.replace(b"ftypheic", b"ftypmif1", 1)
    (tmp_path / "a.jpg").write_bytes(shared)
    assert shared != data
    assert corners(open_photo(tmp_path / "a.jpg"))[0] == "red"
    assert media_type(shared) == "image/heic"
    avif = saved(quarters(), "AVIF").replace(b"ftypavif", b"ftypmif1", 1)
    assert media_type(avif) == "image/avif"


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    data = saved(quarters(), "HEIC")
    monkeypatch.setattr(formats, "is_installed", lambda _module: False)
    with pytest.raises(DataError, match=r"a\.heic: .* pip install 'hgan\[heif\]'"):
        open_photo(data, name="a.heic")
    assert ".heic" not in readable_suffixes()
    assert open_photo(saved(quarters(), "AVIF")).size == SIZE


def test_the_registry_of_pillow_is_left_alone() -> None:
    assert open_image(io.BytesIO(saved(quarters(), "HEIC")), "photo").format == "HEIF"
    assert "HEIF" not in Image.OPEN
    assert ".heic" not in Image.registered_extensions()


def test_kinds() -> None:
    assert kind_of("2023/IMG_1.HEIC") is HEIC
    assert kind_of("a.Jpg") is PHOTO
    assert kind_of("a.txt") is kind_of("jpg") is kind_of("") is None
    assert named_type("a.jfif") == named_type("a.JPG") == "image/jpeg"
    assert named_type("a.hif") == "image/heic"
    assert named_type("a.txt") is None
