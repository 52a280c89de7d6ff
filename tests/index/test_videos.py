"""Videos in an index: what is counted, what changes, and what is found by them."""

import json
import os
import shutil
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from watchfiles import Change

from hgan.cli import main
from hgan.errors import DataError
from hgan.index.estimate import estimate
from hgan.index.indexer import IndexReport, index_folder, open_writer
from hgan.index.shard import Shard
from hgan.index.store.contract import Entry, id_of
from hgan.index.store.open import open_store, read_manifest
from hgan.index.watcher import Watcher
from hgan.render.contact_sheet import contact_sheet
from hgan.runtime.images import open_photo
from hgan.search.copies import find_copies
from hgan.search.query import Query
from hgan.search.searcher import open_index
from hgan.sources.open import open_source
from hgan.sources.roots import Roots
from tests.fixtures.photos import save_photo

pytest.importorskip("av")
from tests.fixtures.videos import COLOURS, save_video


@pytest.fixture
def folder(tmp_path) -> Path:
    """Two photos, and a video that is red, green and blue."""
    save_photo(tmp_path / "root/a.png", (9, 99, 9), seed=1)
    save_photo(tmp_path / "root/b.png", (99, 99, 9), seed=2)
    save_video(tmp_path / "root/clip.mp4", {"creation_time": "2023-06-01T10:20:30Z"})
    return tmp_path / "root"


def entries(to: Path) -> dict[str, Entry]:
    with open_store(to, read_manifest(to)) as store:
        return {entry.path: entry for entry in store.entries()}


def test_three_frames_with_their_times(folder, tmp_path, bundle):
    report = index_folder(folder, tmp_path / "index", bundle)
    assert (report.added, report.videos, report.skipped) == (5, 1, {})
    found = entries(tmp_path / "index")
    frames = [found[f"clip.mp4#{number}"] for number in (1, 2, 3)]
    assert [one.moment for one in frames] == pytest.approx([0.5, 1.5, 2.5], abs=0.1)
    assert [(one.file, one.frame) for one in frames] == [("clip.mp4", n) for n in (1, 2, 3)]
    assert [one.taken for one in frames] == [1685614830, 1685614831, 1685614832]
    assert (found["a.png"].moment, found["a.png"].file, found["a.png"].frame) == (
        None,
        "a.png",
        None,
    )
    again = index_folder(folder, tmp_path / "index", bundle)
    assert (again.added, again.unchanged, again.videos) == (0, 5, 1)


def test_a_change_and_a_removal_concern_all_frames(folder, tmp_path, bundle):
    index_folder(folder, tmp_path / "index", bundle)
    save_video(folder / "clip.mp4", codec="mpeg2video")
    report = index_folder(folder, tmp_path / "index", bundle)
    assert (report.updated, report.unchanged, report.videos) == (3, 2, 1)
    (folder / "clip.mp4").unlink()
    report = index_folder(folder, tmp_path / "index", bundle)
    assert (report.removed, report.unchanged, report.videos) == (3, 2, 0)
    assert entries(tmp_path / "index").keys() == {"a.png", "b.png"}


def test_a_video_that_was_renamed_keeps_its_tags(folder, tmp_path, bundle):
    index_folder(folder, tmp_path / "index", bundle)
    with open_store(tmp_path / "index", read_manifest(tmp_path / "index")) as store:
        [point] = store.fetch([id_of("clip.mp4#2")], local=True)
        store.upsert([replace(point, entry=replace(point.entry, user_tags=("kept",)))])
    (folder / "clip.mp4").rename(folder / "other.mp4")
    index_folder(folder, tmp_path / "index", bundle)
    found = entries(tmp_path / "index")
    assert found["other.mp4#2"].user_tags == ("kept",)
    assert found["other.mp4#1"].user_tags == ()


def test_damaged_videos_are_named_once_and_nothing_is_lost(folder, tmp_path, bundle, capsys):
    index_folder(folder, tmp_path / "index", bundle)
    (folder / "broken.mov").write_bytes((folder / "clip.mp4").read_bytes()[1000:4000])
    (folder / "empty.webm").touch()
    for _ in range(2):
        report = index_folder(folder, tmp_path / "index", bundle)
        assert report.skipped.keys() == {"broken.mov", "empty.webm"}
        assert (report.added, report.removed, report.unchanged, report.videos) == (0, 0, 5, 1)
    words = ["index", str(folder), "--to", str(tmp_path / "index"), "--bundle", str(bundle.folder)]
    assert main(words) == 0
    out, problems = capsys.readouterr()
    assert "5 unchanged, 2 skipped, 1 video by 3 frames each: " in out
    assert problems.count("skipped broken.mov: ") == 1


def test_the_estimate_agrees(folder, tmp_path, bundle):
    (folder / "broken.mov").write_bytes(b"no video")
    (folder / "notes.txt").touch()
    (folder / "more").mkdir()
    save_video(folder / "more/b.mkv")
    expected = estimate(folder, bundle)
    report = index_folder(folder, tmp_path / "index", bundle)
    assert (expected.photos, expected.skipped, expected.videos) == (8, 1, 2)
    assert (report.added, len(report.skipped), report.videos) == (8, 1, 2)
    assert expected.left_out == report.left_out
    line = "videos               2  by 3 frames each, which are among the photos"
    assert line in expected.lines()


def test_parts_have_whole_videos(folder, tmp_path, bundle):
    for number in range(6):
        shutil.copy(folder / "clip.mp4", folder / f"{number}.mp4")
    parts = [
        index_folder(folder, tmp_path / f"{n}.index", bundle, shard=Shard(n, 2)) for n in (1, 2)
    ]
    assert sum(part.added for part in parts) == 23
    assert sum(part.videos for part in parts) == 7
    for n in (1, 2):
        frames = [
            one for one in entries(tmp_path / f"{n}.index").values() if one.moment is not None
        ]
        assert len(frames) == 3 * len({one.file for one in frames})


def test_watching(folder, tmp_path, bundle, monkeypatch):
    source = open_source(folder)
    with open_writer(source, tmp_path / "index", bundle) as writer:
        watcher = Watcher(Roots(folder), lambda: nullcontext(writer))
        assert watcher.first().added == 5
        assert watcher._is_relevant(Change.added, str(folder / "new.MOV"))
        assert not watcher._is_relevant(Change.added, str(folder / "new.txt"))
        monkeypatch.setattr("hgan.index.watcher.SETTLE", 0.0)
        save_video(folder / "new.mov")
        (folder / "bad.mp4").write_bytes(b"no video")
        os.utime(folder / "a.png", (0, 10**9))
        assert watcher.look().added == 0  # not settled
        report = watcher.look()
        assert (report.added, report.videos, report.skipped.keys()) == (3, 2, {"bad.mp4"})
        report = watcher.look()  # the damaged one is not read and reported again
        assert (report.added, report.removed, report.skipped) == (0, 0, {})
        (folder / "new.mov").unlink()
        assert watcher.look().removed == 3


def test_a_video_that_is_removed_while_its_frames_are_stored(folder, tmp_path, bundle):
    """The other frames of the running update do not bring a part of it back."""
    source = open_source(folder)
    with open_writer(source, tmp_path / "index", bundle) as writer:
        changes, report = writer.compare(), IndexReport()
        parts = [
            (points, changes.revision, {}, report)
            for path in ("clip.mp4#1", "clip.mp4#2", "clip.mp4#3")
            for points, _ in writer.encode([changes.changed[path]], report)
        ]
        writer.put(*parts[0])
        assert writer.remove(id_of("clip.mp4#1"))
        for part in parts[1:]:
            writer.put(*part)
        assert list(writer._store.entries()) == []
        assert writer.compare().changed.keys() == {"a.png", "b.png"}
        save_video(folder / "clip.mp4", codec="mpeg2video")
        assert len(writer.compare().changed) == 5


def test_a_removal_goes_over_to_a_new_generation(folder, tmp_path, bundle):
    """Unless the video has changed meanwhile: then some of its frames may be the same."""
    source = open_source(folder)
    index_folder(folder, tmp_path / "old", bundle)
    with open_writer(source, tmp_path / "old", bundle) as old:
        assert old.remove(id_of("clip.mp4#2"))
        index_folder(folder, tmp_path / "new", bundle)
        with (folder / "clip.mp4").open("ab") as file:
            file.write((16).to_bytes(4, "big") + b"free" + bytes(8))  # the same frames
        index_folder(folder, tmp_path / "newer", bundle)
        for place, left in (("new", 2), ("newer", 5)):
            with open_writer(source, tmp_path / place, bundle) as new:
                old.hand_over(new)
                assert new._store.count() == left


def test_hits_are_the_video_with_a_time(folder, tmp_path, bundle):
    index_folder(folder, tmp_path / "index", bundle)
    with open_index(tmp_path / "index", bundle) as index:
        hits = {(hit.path.name, hit.frame): hit for hit in index.search("red", 9)}
        assert len(hits) == 5
        hit = hits["clip.mp4", 2]
        assert hit.path == folder / "clip.mp4" and hit.path.is_file()
        assert hit.photo == folder / "clip.mp4#2"
        assert hit.moment == pytest.approx(1.5, abs=0.1) and hit.shown == f"{hit.path} at 0:01"
        assert hits["a.png", None].photo == folder / "a.png"
        # By the path of a frame, of the video, and by the id; the video is its middle frame.
        for name in ("clip.mp4#2", "clip.mp4", str(folder / "clip.mp4"), hit.id):
            found = index.find(Query(like=name), 9)
            assert hit.id not in {one.id for one in found} and len(found) == 4
            explained = index.explain(name, "a red thing")
            assert explained.score == index.explain(hit.id, "a red thing").score
        [best, *_] = index.search_image(folder / "clip.mp4#3", 9)
        assert (best.path.name, best.frame) == ("clip.mp4", 3)
        newest = [(one.path.name, one.frame) for one in index.newest(9, where="taken<2024")]
        assert newest == [("clip.mp4", 3), ("clip.mp4", 2), ("clip.mp4", 1)]
        assert [one.moment for one in index.browse("name=clip")] == pytest.approx(
            [2.5, 1.5, 0.5], abs=0.1
        )
        assert len(index.newest(9, where="name=clip.mp4")) == 3


def test_folding_gives_each_video_once(folder, tmp_path, bundle):
    save_video(folder / "copy.mp4")
    index_folder(folder, tmp_path / "index", bundle)
    with open_index(tmp_path / "index", bundle) as index:
        hits = index.search("red", 9, fold=True)
        shown = [hit.path.name for hit in hits]
        assert sorted(shown) == sorted(set(shown))
        folded = [path.name for hit in hits for path in hit.duplicates]
        assert {"clip.mp4", "copy.mp4"} <= {*shown, *folded}
        assert all(hit.path not in hit.duplicates for hit in hits)
        assert all(len(hit.duplicates) == len(hit.duplicate_ids) for hit in hits)


def test_a_contact_sheet_shows_the_frame(folder, tmp_path, bundle):
    index_folder(folder, tmp_path / "index", bundle)
    with open_index(tmp_path / "index", bundle) as index:
        hits = [hit for hit in index.search("red", 9) if hit.frame == 3]
    contact_sheet(hits, tmp_path / "sheet.png")
    middle = Image.open(tmp_path / "sheet.png").getpixel((20 + 120, 20 + 120))
    assert max(abs(a - b) for a, b in zip(middle[:3], COLOURS[2], strict=True)) < 30


def test_no_video_is_a_copy_because_of_its_frames(folder, tmp_path, bundle):
    """Frames that are alike, a still of a video, and a video of the same pictures are no copies."""
    still = tmp_path / "still.png"
    open_photo(folder / "clip.mp4#2").save(still)
    shutil.move(still, folder / "still.png")
    save_video(folder / "again.mkv")
    index_folder(folder, tmp_path / "index", bundle)
    assert find_copies(tmp_path / "index").groups == []
    shutil.copy(folder / "clip.mp4", folder / "same.mp4")
    index_folder(folder, tmp_path / "index", bundle)
    [group] = find_copies(tmp_path / "index").groups
    assert {copy.path for copy in group} == {folder / "clip.mp4", folder / "same.mp4"}


def test_the_command_line_prints_each_file_once(folder, tmp_path, bundle, capsysbinary):
    index_folder(folder, tmp_path / "index", bundle)
    words = ["search", "a thing", "--index", str(tmp_path / "index")]
    clip = str(folder / "clip.mp4").encode()
    assert main([*words, "-f"]) == 0
    assert capsysbinary.readouterr().out.splitlines().count(clip) == 1
    assert main([*words, "--print0"]) == 0
    assert capsysbinary.readouterr().out.split(b"\0").count(clip) == 1
    assert main(words) == 0
    lines = [line.split(b"\t")[1:] for line in capsysbinary.readouterr().out.splitlines()]
    assert sorted(line[1] for line in lines if line[0] == clip) == [b"0:00", b"0:01", b"0:02"]
    assert main([*words, "--json"]) == 0
    rows = json.loads(capsysbinary.readouterr().out)
    moments = {row["id"]: row["moment"] for row in rows if row["path"] == clip.decode()}
    assert sorted(moments.values()) == pytest.approx([0.5, 1.5, 2.5], abs=0.1)
    assert {row["moment"] for row in rows if row["path"].endswith(".png")} == {None}


def test_without_the_extra_a_frame_cannot_be_shown(folder, tmp_path, bundle, monkeypatch):
    index_folder(folder, tmp_path / "index", bundle)
    monkeypatch.setattr("hgan.runtime.formats.is_installed", lambda module: module != "av")
    with open_index(tmp_path / "index", bundle) as index:
        assert len(index.search("red", 9)) == 5
        with pytest.raises(DataError, match=r"clip\.mp4: a video, which needs PyAV; pip install"):
            index.explain("clip.mp4", "red")
