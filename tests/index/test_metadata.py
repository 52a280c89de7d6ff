"""What photos, and the sidecars beside them, say about themselves, in an index."""

import io
import os
import time
from contextlib import nullcontext
from pathlib import Path

import pytest
from PIL import ExifTags, Image

from hgan.cli import main
from hgan.index import places
from hgan.index import watcher as watch
from hgan.index.conditions import gazetteer
from hgan.index.estimate import estimate
from hgan.index.indexer import IndexReport, index_folder, open_writer
from hgan.index.store.contract import Entry
from hgan.index.store.open import open_store, read_manifest
from hgan.index.watcher import Watcher
from hgan.runtime.bundle import Bundle
from hgan.runtime.fingerprint import fingerprint, to_hex
from hgan.runtime.images import open_photo
from hgan.search.searcher import open_index
from hgan.sources.open import open_source
from hgan.sources.roots import Roots
from tests.fixtures.xmp import LIGHTROOM, xmp

LISBON = {1: "N", 2: (38.0, 43.0, 30.0), 3: "W", 4: (9.0, 9.0, 0.0)}


def entries(to: Path) -> dict[str, Entry]:
    with open_store(to, read_manifest(to)) as store:
        return {entry.path: entry for entry in store.entries()}


def placed(folder: Path, name: str) -> None:
    exif = Image.Exif()
    exif[ExifTags.IFD.GPSInfo] = LISBON
    Image.effect_noise((96, 72), 90).convert("RGB").save(folder / name, exif=exif)


@pytest.fixture
def to(photos: Path, tmp_path: Path, bundle: Bundle) -> Path:
    """An index of the photos, one of which was taken in Lisbon."""
    placed(photos, "Belem_2023.jpg")
    index_folder(photos, tmp_path / "index", bundle)
    return tmp_path / "index"


@pytest.fixture
def no_encoding(to: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Bundle, "encode_images", None)


def test_what_is_stored(photos: Path, to: Path, bundle: Bundle) -> None:
    entry = entries(to)["Belem_2023.jpg"]
    assert (entry.city, entry.country, entry.country_code) == ("Lisbon", "Portugal", "PT")
    assert entry.position == (38.725, -9.15)
    assert (entry.width, entry.height) == (96, 72)
    photo = open_photo(photos / "Belem_2023.jpg", bundle.preprocessing.hint)
    assert entry.fingerprint == to_hex(fingerprint(photo))
    assert (entry.rating, entry.people, entry.file_time) == (None, (), True)
    with open_index(to, bundle) as index:
        assert {(hit.width, hit.height) for hit in index.search("red", k=99)} == {(96, 72)}


@pytest.mark.usefixtures("no_encoding")
def test_a_sidecar_comes_changes_and_goes(photos: Path, to: Path, bundle: Bundle) -> None:
    sidecar = photos / "red 0.xmp"
    for content, rating, people in (
        (LIGHTROOM, 4, ("ana maria",)),
        (xmp(xmp_Rating="2"), 2, ()),
        (None, None, ()),
    ):
        sidecar.unlink(missing_ok=True)
        if content is not None:
            sidecar.write_bytes(content)
        expected = {"unchanged": 12, "updated": 1, "sidecars": int(content is not None)}
        assert index_folder(photos, to, bundle) == IndexReport(**expected)
        entry = entries(to)["red 0.png"]
        assert (entry.rating, entry.people) == (rating, people)
    assert index_folder(photos, to, bundle) == IndexReport(unchanged=13)


@pytest.mark.usefixtures("no_encoding")
def test_a_broken_sidecar_is_named_in_each_run(
    photos: Path, to: Path, bundle: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    (photos / "red 0.xmp").write_bytes(b"<x")
    (photos / "red 0.png.xmp").write_bytes(xmp(xmp_Rating="2"))
    for updated in (1, 0):
        report = index_folder(photos, to, bundle)
        assert (report.updated, report.unchanged) == (updated, 13 - updated)
        assert (list(report.skipped), report.sidecars) == (["red 0.xmp"], 1)
        assert entries(to)["red 0.png"].rating == 2
    assert main(["index", str(photos), "--to", str(to)]) == 0
    shown = capsys.readouterr()
    assert "skipped red 0.xmp: not XMP that can be read (unclosed token" in shown.err
    assert "13 unchanged, 1 skipped, 1 XMP sidecars: " in shown.out


def test_an_estimate_counts_them(photos: Path, bundle: Bundle) -> None:
    (photos / "red 0.xmp").write_bytes(LIGHTROOM)
    found = estimate(photos, bundle)
    assert (found.photos, found.sidecars, found.left_out.total) == (12, 1, 0)
    assert "sidecars             1  XMP" in found.lines()


@pytest.mark.usefixtures("no_encoding")
def test_a_watcher_waits_until_a_sidecar_is_written(
    photos: Path, to: Path, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "SETTLE", 0.2)
    with open_writer(open_source(photos), to, bundle) as writer:
        watcher = Watcher(Roots(photos), lambda: nullcontext(writer))
        assert watcher.look().unchanged == 13
        from watchfiles import Change

        assert watcher._is_relevant(Change.added, str(photos / "red 0.xmp"))
        (photos / "red 0.xmp").write_bytes(LIGHTROOM[:99])
        assert watcher.look() == IndexReport(unchanged=12, sidecars=1)
        (photos / "red 0.xmp").write_bytes(LIGHTROOM)
        assert watcher.look().updated == 0
        time.sleep(0.25)
        assert watcher.look() == IndexReport(updated=1, unchanged=12, sidecars=1)
        assert watcher.look() == IndexReport(unchanged=13, sidecars=1)
    assert entries(to)["red 0.png"].rating == 4


def forget_cities() -> None:
    gazetteer._read.cache_clear()
    places.gazetteer.cache_clear()


def test_without_a_gazetteer(
    photos: Path,
    tmp_path: Path,
    bundle: Bundle,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Positions are stored, and a later run, which has one, finds the cities without encoding."""
    placed(photos, "a.jpg")
    to = tmp_path / "index"
    with monkeypatch.context() as patch:
        patch.setattr(gazetteer, "is_installed", lambda _module: False)
        forget_cities()
        words = ["index", str(photos), "--to", str(to), "--model", str(bundle.folder)]
        for _ in range(2):
            assert main(words) == 0
            assert capsys.readouterr().err == (
                "without a place: 1 photo with a position; to find their cities: "
                "pip install 'hgan[places]'\n"
            )
        entry = entries(to)["a.jpg"]
        assert (entry.position, entry.city, entry.unplaced) == ((38.725, -9.15), "", True)
        assert main(["info"]) == 0
        assert "places    to find their cities: pip" in capsys.readouterr().out
    forget_cities()
    monkeypatch.setattr(Bundle, "encode_images", None)
    assert index_folder(photos, to, bundle) == IndexReport(unchanged=13)
    entry = entries(to)["a.jpg"]
    assert (entry.city, entry.unplaced) == ("Lisbon", False)


def test_copies_share_a_fingerprint(
    photos: Path, tmp_path: Path, bundle: Bundle, to: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = (photos / "red 0.png").read_bytes()
    (photos / "copy.png").write_bytes(data)
    monkeypatch.setattr(Bundle, "encode_images", None)
    monkeypatch.setattr("hgan.sources.types.open_photo", None)
    assert index_folder(photos, to, bundle).added == 1
    found = entries(to)
    assert found["copy.png"].fingerprint == found["red 0.png"].fingerprint != ""


def test_the_time_of_a_file_stands_in(photos: Path, to: Path, bundle: Bundle) -> None:
    file = io.BytesIO()
    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = "2023:07:14 10:32:05"
    Image.new("RGB", (96, 72)).save(file, "JPEG", exif=exif)
    (photos / "says.jpg").write_bytes(file.getvalue())
    os.utime(photos / "red 0.png", ns=(10**18, 10**18))
    index_folder(photos, to, bundle)
    found = entries(to)
    expected = 10**9 + time.localtime(10**9).tm_gmtoff
    assert (found["red 0.png"].taken, found["red 0.png"].file_time) == (expected, True)
    assert not found["says.jpg"].file_time
