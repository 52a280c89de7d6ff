"""From one format to another and back: nothing is lost, overwritten or left incomplete."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hgan.data.conversion.convert
from hgan.cli import VERBS
from hgan.data.captions.read import read_captions
from hgan.data.captions.types import Captions
from hgan.data.conversion.convert import convert
from hgan.data.conversion.jsonl_writer import write_jsonl
from hgan.data.conversion.precomp_writer import write_precomp
from hgan.data.features.manifest import Manifest
from hgan.data.features.open import open_features
from hgan.data.features.store import FeatureStore, FeatureWriter
from hgan.errors import DataError

R, D = 3, 4
BOXES = [[0.0, 0.0, 0.5, 1.0], [0.5, 0.0, 1.0, 0.5], [0.25, 0.5, 1.0, 1.0]]
RNG = np.random.default_rng(0)


def captions_of(counts: list[int], splits: list[str | None]) -> Captions:
    owner = np.repeat(np.arange(len(counts), dtype=np.int64), counts)
    return Captions(
        images=[f"folder/{i} ü.jpg" for i in range(len(counts))],
        texts=[f"caption {t} , “ein” 🐕 of {i}\u2028." for t, i in enumerate(owner)],
        image_of=owner,
        splits=splits,
    )


def content(captions: Captions) -> dict[str | None, list[tuple[str, list[str]]]]:
    """Photos with their captions in order, of each split."""
    found: dict[str | None, list[tuple[str, list[str]]]] = {}
    for photo, texts in enumerate(captions.of_image()):
        entry = captions.images[photo], [captions.texts[t] for t in texts]
        found.setdefault(captions.splits[photo], []).append(entry)
    return found


def store_of(folder: Path, count: int, skipped: tuple[int, ...] = ()) -> Path:
    ids = [f"folder/{i} ü.jpg" for i in range(count)]
    manifest = Manifest("net-1", size=64, boxes=BOXES, width=D, views=2, ids=ids)
    regions = RNG.normal(size=(count, 2, R, D))
    with FeatureWriter(folder, manifest) as writer:
        reasons = {ids[i]: "damaged" for i in skipped}
        writer.write(regions, RNG.normal(size=(count, 2, D)), reasons)
        writer.finish()
    return folder


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


# --- captions


@settings(max_examples=30)  # each syncs files
@given(
    st.lists(
        st.tuples(st.sampled_from(["train", "val", "test"]), st.integers(1, 3)),
        min_size=1,
        max_size=9,
    )
)
def test_json_lines_to_scan_and_back(
    tmp_path_factory: pytest.TempPathFactory, photos: list[tuple[str, int]]
) -> None:
    folder = tmp_path_factory.mktemp("round")
    captions = captions_of([count for _, count in photos], [split for split, _ in photos])
    write_jsonl(captions, folder / "a.jsonl")
    convert(folder / "a.jsonl", folder / "scan")
    convert(folder / "scan", folder / "b.jsonl")
    assert content(read_captions(folder / "a.jsonl")) == content(captions)
    assert content(read_captions(folder / "b.jsonl")) == content(captions)


def test_lists_are_as_the_field_has_them(tmp_path: Path) -> None:
    splits: list[str | None] = ["train", "val", "test", "train", "test", None, "extra"]
    captions = captions_of([2, 2, 1, 2, 3, 2, 2], splits)
    write_jsonl(captions, tmp_path / "a.jsonl")
    assert "5 photos, 2 left out" in convert(tmp_path / "a.jsonl", tmp_path / "scan")
    found = files(tmp_path / "scan")
    lists = [f"{split}_{end}.txt" for split in ("train", "dev", "test") for end in ("caps", "ids")]
    assert sorted(found) == sorted(["id_mapping.json", *lists])
    assert found["train_ids.txt"] == b"0\n3\n"  # the same number of captions: a line a photo
    assert found["test_ids.txt"] == b"2\n4\n4\n4\n"  # else a line a caption
    texts = [*captions.texts[:2], *captions.texts[5:7], ""]
    assert found["train_caps.txt"].decode().split("\n") == texts
    assert json.loads(found["id_mapping.json"])["3"] == "folder/3 ü.jpg"


def test_the_data_sets_own_ids_are_kept(tmp_path: Path) -> None:
    captions = captions_of([1, 2], ["val", "val"])
    own = {"image_ids": np.array([70, 3]), "caption_ids": np.array([8, 2**40, 1])}
    captions = Captions(**(vars(captions) | own))
    write_jsonl(captions, tmp_path / "a.jsonl")
    again = read_captions(tmp_path / "a.jsonl")
    assert (again.image_ids.tolist(), again.caption_ids.tolist()) == ([70, 3], [8, 2**40, 1])
    write_precomp(captions, tmp_path / "scan")
    assert (tmp_path / "scan" / "dev_ids.txt").read_text() == "70\n3\n3\n"
    repeated = Captions(**(vars(captions) | {"image_ids": np.array([7, 7])}))
    write_precomp(repeated, tmp_path / "other")
    assert content(read_captions(tmp_path / "other")) == content(captions)


def test_a_line_break_within_a_caption_becomes_a_space(tmp_path: Path) -> None:
    line = {"image": "a", "captions": ["one\r\ntwo\nthree", "four"], "split": "test"}
    (tmp_path / "a.jsonl").write_text(json.dumps(line))
    convert(tmp_path / "a.jsonl", tmp_path / "scan")
    assert (tmp_path / "scan" / "test_caps.txt").read_bytes() == b"one two three\nfour\n"


def test_every_form_becomes_json_lines(tmp_path: Path) -> None:
    (tmp_path / "c.token").write_text("1.jpg#0\tA dog\n1.jpg#1\tA cat\n")
    convert(tmp_path / "c.token", tmp_path / "c.jsonl")
    assert json.loads((tmp_path / "c.jsonl").read_text()) == {
        "image": "1.jpg", "captions": ["A dog", "A cat"], "split": None,
    }  # fmt: skip
    with pytest.raises(DataError, match=r"no photo is in split train, val or test.*jsonl"):
        convert(tmp_path / "c.token", tmp_path / "scan")
    assert not (tmp_path / "scan").exists()


@pytest.mark.slow
def test_flickr30k_to_scan_and_back(tmp_path: Path) -> None:
    path = Path(os.environ.get("HGAN_DATA", "data")) / "flickr30k_text" / "captions.jsonl"
    if not path.is_file():
        pytest.skip(f"no {path}; set HGAN_DATA to the folder that holds flickr30k_text/")
    assert convert(path, tmp_path / "scan").startswith("31,014 photos: ")
    assert (tmp_path / "scan" / "train_caps.txt").read_bytes().count(b"\n") == 145_000
    assert content(read_captions(tmp_path / "scan")) == content(read_captions(path))


# --- features


@pytest.mark.parametrize("counts", [[2] * 150, [1, 3] * 75])
def test_store_to_scan_and_back(tmp_path: Path, counts: list[int]) -> None:
    """More photos than are copied at once; with uneven captions, rows repeat."""
    captions = captions_of(counts, ["train", "test", "val"] * 50)
    write_jsonl(captions, tmp_path / "c.jsonl")
    store = FeatureStore(store_of(tmp_path / "store", 150))
    convert(tmp_path / "store", tmp_path / "scan", captions=tmp_path / "c.jsonl")
    for split, name in {"train": "train", "val": "dev", "test": "test"}.items():
        array = np.load(tmp_path / "scan" / f"{name}_ims.npy")
        assert array.dtype == np.float32
        own = [i for i, found in enumerate(captions.splits) if found == split]
        even = len({counts[i] for i in own}) == 1
        lines = [i for i in own for _ in range(1 if even else counts[i])]
        np.testing.assert_array_equal(array, store.regions[lines, 0])
    again = tmp_path / "again"
    assert convert(tmp_path / "scan", again) == f"150 photos: {again}"
    found = open_features(again, "precomputed")
    rows = [found.rows[f"folder/{i} ü.jpg"] for i in range(150)]
    np.testing.assert_array_equal(found.regions[rows, 0], store.regions[:, 0])
    mean = store.regions[:, 0].astype(np.float32).mean(1).astype(np.float16)
    np.testing.assert_array_equal(found.context[rows, 0], mean)
    np.testing.assert_allclose(found.boxes, BOXES, atol=1e-6)
    assert content(read_captions(tmp_path / "scan")) == content(captions)


def precomp(folder: Path, count: int, boxes: np.ndarray | None = None) -> Path:
    """A folder in SCAN's format, written without the program's own writer."""
    folder.mkdir()
    (folder / "test_ids.txt").write_text("".join(f"{i}\n" for i in range(count)))
    np.save(folder / "test_ims.npy", RNG.normal(size=(count, R, D)).astype(np.float32))
    if boxes is not None:
        np.save(folder / "test_boxes.npy", boxes.astype(np.float32))
        np.save(folder / "test_img_sizes.npy", np.full((count, 2), 100.0, np.float32))
    return folder


def test_regions_without_boxes_may_be_anywhere_in_the_photo(tmp_path: Path) -> None:
    convert(precomp(tmp_path / "scan", 3), tmp_path / "store")
    store = FeatureStore(tmp_path / "store")
    assert store.boxes is not None and store.boxes.tolist() == [[0, 0, 1, 1]] * R
    ims = np.load(tmp_path / "scan" / "test_ims.npy").astype(np.float16)
    np.testing.assert_array_equal(store.regions[:, 0], ims)


@pytest.mark.parametrize("other", [1, 69])
def test_boxes_that_differ_between_photos_do_not_fit_a_store(tmp_path: Path, other: int) -> None:
    boxes = np.tile(np.array(BOXES) * 100, (70, 1, 1))
    boxes[other, 0, 0] += 1
    folder = precomp(tmp_path / "scan", 70, boxes)
    with pytest.raises(DataError, match=rf"boxes of {other} differ from those of 0.*precomputed"):
        convert(folder, tmp_path / "store")
    with pytest.raises(DataError):
        FeatureStore(tmp_path / "store")


def test_a_store_cut_short_is_not_taken_for_whole_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = precomp(tmp_path / "scan", 200)
    with monkeypatch.context() as patch:
        patch.setattr(hgan.data.conversion.convert, "_FLUSH_EVERY", 1)
        patch.setattr(FeatureWriter, "flush", stop_after(FeatureWriter.flush, calls=2))
        with pytest.raises(KeyboardInterrupt):
            convert(folder, tmp_path / "store")
    with pytest.raises(DataError, match="stopped at 128 of 200"):
        FeatureStore(tmp_path / "store")
    convert(folder, tmp_path / "store")
    ims = np.load(folder / "test_ims.npy").astype(np.float16)
    np.testing.assert_array_equal(FeatureStore(tmp_path / "store").regions[:, 0], ims)


def stop_after(method: Callable[..., None], calls: int) -> Callable[..., None]:
    """The method, with a Ctrl-C in its last call and nothing after it."""
    done = 0

    def wrapped(self: FeatureWriter) -> None:
        nonlocal done
        done += 1
        if done <= calls:
            method(self)
        if done == calls:
            raise KeyboardInterrupt

    return wrapped


def test_arrays_cut_short_leave_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    captions = captions_of([1] * 9, ["train", "test", "val"] * 3)
    write_jsonl(captions, tmp_path / "c.jsonl")
    store = store_of(tmp_path / "store", 9)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="space"):
        patch.setattr(FeatureStore, "read", full)
        convert(store, tmp_path / "scan", captions=tmp_path / "c.jsonl")
    assert files(tmp_path / "scan") == {}
    convert(store, tmp_path / "scan", captions=tmp_path / "c.jsonl")


# --- refusals


def test_nothing_is_written_over(tmp_path: Path) -> None:
    captions = captions_of([1, 1], ["train", "test"])
    source = tmp_path / "c.jsonl"
    write_jsonl(captions, source)
    store = store_of(tmp_path / "store", 2)
    scan, lists = tmp_path / "scan", tmp_path / "lists"
    convert(source, lists)
    convert(store, scan, captions=source)
    convert(scan, tmp_path / "again")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "regions.npy").write_text("mine")
    for arguments in [
        (lists, source),
        (source, lists),
        (store, lists, source),
        (store, scan, source),
        (scan, tmp_path / "again"),
        (scan, tmp_path / "mine"),
    ]:
        folder = arguments[1] if arguments[1].is_dir() else tmp_path
        before = {path: path.read_bytes() for path in folder.iterdir() if path.is_file()}
        with pytest.raises(DataError, match=r"already exists"):
            convert(*arguments)
        assert before == {path: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_what_cannot_be_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "c.jsonl"
    write_jsonl(captions_of([1, 1, 1], ["train"] * 3), source)
    store = store_of(tmp_path / "store", 3, skipped=(1,))
    target = tmp_path / "t"
    for arguments, words in [
        ((tmp_path / "absent", target), "no such file"),
        ((source, tmp_path / "t.json"), "must be a .jsonl file or a folder"),
        ((store, target), "--captions FILE"),
        ((source, target, source), "is for feature stores"),
        ((store, tmp_path / "t.jsonl", source), "has features"),
        ((store, target, source), "1 of 3 photos have no features, the first is folder/1 ü.jpg"),
        ((tmp_path / "x.tsv", target), "--ids test_ids.txt"),
    ]:
        with pytest.raises(DataError, match=words):
            convert(*arguments)
        assert not target.exists()


def test_too_large_for_float16(tmp_path: Path) -> None:
    folder = precomp(tmp_path / "scan", 3)
    values = np.load(folder / "test_ims.npy")
    values[1, 0, 0] = 1e6
    np.save(folder / "test_ims.npy", values)
    with pytest.raises(DataError, match=r"^1: .*float16"):
        convert(folder, tmp_path / "store")


# --- the verb


def test_the_verb(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    verb = VERBS["data convert"]
    parser = verb.parser("data convert")
    write_jsonl(captions_of([2, 2], ["train", "val"]), tmp_path / "c.jsonl")
    store_of(tmp_path / "store", 2)
    words = [tmp_path / "store", tmp_path / "scan", "--captions", tmp_path / "c.jsonl"]
    assert verb.run(parser, parser.parse_args([str(word) for word in words])) == 0
    assert capsys.readouterr().out == f"2 photos: {tmp_path / 'scan'}\n"
    assert "hgan data convert" in parser.format_help()
    for example in verb.examples:
        parser.parse_args(example.split()[3:])
