"""Which sidecars belong to which photo, and how they are counted and read."""

import os
from pathlib import Path

import fsspec

from hgan.runtime.metadata.xmp import LARGEST_XMP
from hgan.sources.folder import FolderSource
from hgan.sources.open import open_source
from hgan.sources.types import Listing
from hgan.sources.walk import walk
from tests.fixtures.messy import picture
from tests.fixtures.xmp import LIGHTROOM, xmp


def make(folder: Path, *names: str) -> FolderSource:
    folder.mkdir(exist_ok=True)
    for number, name in enumerate(names):
        file = folder / name
        file.parent.mkdir(exist_ok=True)
        if name.lower().endswith(".xmp"):
            file.write_bytes(xmp(xmp_Rating=str(number % 6)))
        elif name.endswith((".CR2", ".bak")):
            file.write_bytes(b"left out")
        else:
            picture(number).save(file)
    return FolderSource(folder)


def found(listing: Listing) -> dict[str, list[str]]:
    return {photo.path: [one.path for one in photo.sidecars] for photo in listing.photos}


def test_whose_they_are(tmp_path: Path) -> None:
    names = ["a.jpg", "a.xmp", "a.jpg.xmp", "A.JPG.xmp.bak", "b.png", "B.XMP", "c/a.jpg"]
    raws = ["d.jpg", "d.CR2", "d.CR2.xmp", "d.xmp"]
    alone = ["nobody.xmp", "e.jpg", "e_01.jpg.xmp", "f.jpg.xmp"]
    listing = make(tmp_path, *names, *raws, *alone).find()
    assert found(listing) == {
        "a.jpg": ["a.jpg.xmp", "a.xmp"],
        "b.png": ["B.XMP"],
        "c/a.jpg": [],
        "d.jpg": ["d.xmp", "d.CR2.xmp"],
        "e.jpg": [],
    }
    assert len(listing.sidecars()) == 5
    left_out = listing.left_out
    assert (left_out.beside, left_out.others) == (1, {".xmp": 3, ".bak": 1})
    everything = sum(len(files) for *_, files in os.walk(tmp_path))
    assert len(listing.photos) + len(listing.sidecars()) + left_out.total == everything


def test_ignored_sidecars(tmp_path: Path) -> None:
    listing = make(tmp_path, "a.jpg", "a.xmp").excluding(["*.xmp"]).find()
    assert found(listing) == {"a.jpg": []}
    assert listing.left_out.ignored.total() == 1


def test_the_state_changes_with_a_sidecar(tmp_path: Path) -> None:
    source = make(tmp_path, "a.jpg")
    states = [source.find().photos[0].sidecar_state]
    assert states == [""]
    for content in (LIGHTROOM, xmp(xmp_Rating="1")):
        (tmp_path / "a.xmp").write_bytes(content)
        states.append(source.find().photos[0].sidecar_state)
    os.utime(tmp_path / "a.xmp", (1, 1))
    states.append(source.find().photos[0].sidecar_state)
    assert len(set(states)) == 4


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    source = make(tmp_path, "a.jpg", "a.jpg.xmp", "b.jpg", "b.xmp", "c.jpg", "d.jpg")
    (tmp_path / "a.xmp").write_bytes(b"<x")
    os.mkfifo(tmp_path / "c.xmp")
    (tmp_path / "d.xmp").symlink_to("nowhere.xmp")
    with (tmp_path / "b.xmp").open("wb") as file:
        file.truncate(LARGEST_XMP + 1)
    contents = {photo.path: source.content(photo) for photo in source.find().photos}
    assert contents["a.jpg"].metadata().rating == 1
    problems = {path: dict(content.problems) for path, content in contents.items()}
    assert "not XMP that can be read" in problems["a.jpg"]["a.xmp"]
    assert problems["b.jpg"] == {"b.xmp": "larger than the limit of 8 MB"}
    assert "not a regular file" in problems["c.jpg"]["c.xmp"]
    assert "no such file" in problems["d.jpg"]["d.xmp"]


def test_in_an_object_store(tmp_path: Path) -> None:
    files = fsspec.filesystem("memory")
    make(tmp_path, "a.jpg", "a.jpg.xmp")
    try:
        for name in ("a.jpg", "a.jpg.xmp"):
            files.pipe(f"/sidecars/{name}", (tmp_path / name).read_bytes())
        source = open_source("memory://sidecars")
        listing = Listing()
        [photo] = walk(source, listing)
        assert [one.path for one in photo.sidecars] == ["a.jpg.xmp"]
        assert source.content(photo).metadata().rating == 1
        before = photo.sidecar_state
        files.pipe("/sidecars/a.jpg.xmp", xmp(xmp_Rating="5"))
        [photo] = walk(source, listing)
        assert photo.sidecar_state != before
        assert source.content(photo).metadata().rating == 5
    finally:
        files.rm("/sidecars", recursive=True)
