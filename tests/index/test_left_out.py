"""What is left out of an index, by rules or as too small; each file of a folder is counted."""

import json
from pathlib import Path

import pytest

from hgan.cli import main
from hgan.errors import ConfigError
from hgan.index.estimate import estimate
from hgan.index.indexer import IndexReport, index_folder
from hgan.index.open import kept_rules
from hgan.index.store.open import read_manifest
from hgan.runtime import formats
from hgan.runtime.formats import HEIC
from hgan.runtime.video import FRAMES
from hgan.search.searcher import open_index
from tests.fixtures.messy import messy_folder, picture
from tests.fixtures.photos import COLOURS, save_photo
from tests.fixtures.qdrant_proxy import new_server


def files(folder: Path) -> set[str]:
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if not p.is_dir()}


def indexed(to, bundle, root: Path) -> set[str]:
    with open_index(to, bundle) as index:
        return {hit.path.relative_to(root).as_posix() for hit in index.search("red", k=200)}


def test_every_file_of_a_messy_folder_is_in_one_count(tmp_path, bundle, capsys):
    root = tmp_path / "photos"
    found = messy_folder(root)
    everything = files(root)
    assert len({Path(path).suffix.lower() for path in everything}) >= 39
    assert set.union(*found.values()) == everything
    words = ["index", str(root), "--to", str(tmp_path / "index"), "--bundle", str(bundle.folder)]
    assert main([*words, "--estimate"]) == 0
    expected = capsys.readouterr().out.splitlines()

    report = index_folder(root, tmp_path / "index", bundle)
    assert indexed(tmp_path / "index", bundle, root) == found["photos"] | found["videos"]
    assert report.skipped.keys() == found["unreadable"]
    assert report.left_out.small == found["small"]
    assert report.left_out.ignored.total() == len(found["ignored"])
    assert report.videos == len(found["videos"])
    assert report.added == len(found["photos"]) + FRAMES * report.videos
    assert report.left_out.beside == len(found["beside"])
    assert report.left_out.clips == len(found["clips"])
    assert report.left_out.others.total() == len(found["others"])
    counted = len(found["photos"]) + report.videos + len(report.skipped) + report.left_out.total
    assert counted == len(everything)

    guess = estimate(root, bundle)
    assert guess.left_out == report.left_out
    assert guess.videos == report.videos
    # The start of a truncated photo is good; it is found by chance, if it is in the sample.
    assert guess.photos + guess.skipped == report.added + len(report.skipped)
    assert guess.photos - report.added in (0, 1)
    rows = {line[:10].strip(): line[10:].split() for line in expected}
    assert int(rows["photos"][0]) == guess.photos

    assert main(words) == 0
    shown = capsys.readouterr()
    assert f"{report.added} unchanged, {len(report.skipped)} skipped, " in shown.out
    assert f", {report.left_out.total} left out, 3 videos by 3 frames each: " in shown.out
    assert "left out: 2 with a side below 64 pixels\n" in shown.err
    assert "left out: 2 RAW photos beside a photo of the same name\n" in shown.err
    one = "left out: 1 short video beside a photo of the same name, as in Live Photos\n"
    assert one in shown.err
    assert f"left out: {len(found['ignored'])} ignored: hidden 4, " in shown.err
    assert "screenshot*.png in .hganignore 1" in shown.err
    assert "skipped .hganignore: line 2: '[z-a]' is not a rule of gitignore" in shown.err


def test_photos_that_need_an_extra_are_counted_with_what_installs_it(
    photos, tmp_path, bundle, monkeypatch, capsys
):
    monkeypatch.setattr(formats, "is_installed", lambda module: module != "pillow_heif")
    for name in ("a.heic", "b.HEIC"):
        (photos / name).write_bytes(b"whatever")
    report = index_folder(photos, tmp_path / "index", bundle)
    assert (report.added, report.skipped) == (12, {})
    assert report.left_out.unreadable == {HEIC: 2}
    words = ["index", str(photos), "--to", str(tmp_path / "index"), "--bundle", str(bundle.folder)]
    assert main(words) == 0
    line = "left out: 2 HEIC photos; to read them: pip install 'hgan[heif]'\n"
    assert capsys.readouterr().err == line
    assert main(["info"]) == 0
    shown = capsys.readouterr().out
    assert "HEIC photos: .heic .heif .hif\n            not yet: pip install 'hgan[heif]'\n" in shown


def test_info(tmp_path, bundle, photos, monkeypatch, capsys):
    monkeypatch.setenv("HGAN_INDEX", str(tmp_path / "index"))
    assert main(["info"]) == 0
    assert "reads     photos: .avif .bmp .gif" in capsys.readouterr().out
    index_folder(photos, tmp_path / "index", bundle)
    assert main(["info"]) == 0
    shown = capsys.readouterr().out
    assert f"photos    {photos}\ncount     12\n" in shown
    assert "reads     photos: .avif .bmp .gif" in shown
    assert "device    cpu encodes photos (of cpu); torch runs on cpu\n" in shown
    assert main(["info", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["reads"][0]["install"] is None
    assert found["device"]["photos"] == found["device"]["torch"] == "cpu"
    monkeypatch.setenv("HGAN_DEVICE", "cuda")
    assert main(["info"]) == 0
    assert "has no CUDAExecutionProvider; pip uninstall" in capsys.readouterr().out
    assert main(["info", str(tmp_path / "index")]) == 0
    assert "reads" not in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["folder", "server"])
def test_an_index_keeps_the_rules_of_the_command_line(photos, tmp_path, bundle, kind, monkeypatch):
    made = new_server()
    monkeypatch.setattr("hgan.index.store.server.connect", lambda _settings: made)
    to = tmp_path / "index" if kind == "folder" else "http://qdrant:6333/photos"
    secret = tmp_path / "index/secret"
    assert kept_rules(to) == ()
    report = index_folder(photos, to, bundle, exclude=["red/", "*0.png"])
    assert (report.added, report.left_out.ignored) == (
        6,
        {"--exclude red/": 3, "--exclude *0.png": 3},
    )
    kept = secret.read_bytes() if kind == "folder" else b""
    assert index_folder(photos, to, bundle) == IndexReport(unchanged=6, left_out=report.left_out)
    assert kept_rules(to) == read_manifest(to).exclude == ("red/", "*0.png")
    report = index_folder(photos, to, bundle, exclude=["red/"])
    assert (report.added, report.unchanged) == (3, 6)
    report = index_folder(photos, to, bundle, exclude=[""])
    assert (report.added, report.unchanged, report.left_out.total) == (3, 9, 0)
    assert kept_rules(to) == ()
    report = index_folder(photos, to, bundle, exclude=["blue*"])
    assert (report.removed, report.unchanged) == (4, 8)
    if kind == "folder":
        assert secret.read_bytes() == kept


def test_a_bad_rule_creates_no_index(photos, tmp_path, bundle):
    with pytest.raises(ConfigError, match=r"--exclude '\[z-a\]' is not a rule of gitignore"):
        index_folder(photos, tmp_path / "index", bundle, exclude=["[z-a]"])
    assert not (tmp_path / "index").exists()


def test_estimates_follow_the_rules_that_the_index_keeps(photos, tmp_path, bundle, capsys):
    words = ["index", str(photos), "--to", str(tmp_path / "index"), "--bundle", str(bundle.folder)]
    assert main([*words, "--exclude", "red/", "--exclude", "green/"]) == 0
    assert "left out: 6 ignored: --exclude green/ 3, --exclude red/ 3" in capsys.readouterr().err
    assert main([*words, "--estimate"]) == 0
    assert "\nleft out             6  ignored: " in capsys.readouterr().out
    assert main([*words, "--estimate", "--exclude", ""]) == 0
    assert "left out" not in capsys.readouterr().out


def test_a_photo_that_becomes_small_is_removed(photos, tmp_path, bundle):
    index_folder(photos, tmp_path / "index", bundle)
    picture(1, (200, 40)).save(photos / "red 0.png")
    report = index_folder(photos, tmp_path / "index", bundle)
    assert (report.removed, report.unchanged, report.skipped) == (1, 11, {})
    assert report.left_out.small == {"red 0.png"}
    save_photo(photos / "red 0.png", COLOURS["red"])
    assert index_folder(photos, tmp_path / "index", bundle).added == 1
