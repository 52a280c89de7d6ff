"""Features in SCAN's format: rows, boxes, and all errors in arrays."""

import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.lib.format import open_memmap

from hgan.data.features.manifest import Manifest
from hgan.data.features.open import open_features
from hgan.data.features.precomp import PrecompFeatures
from hgan.data.features.store import FeatureStore, FeatureWriter
from hgan.errors import DataError

REGIONS, WIDTH = 3, 5
IDS = {"train": ["7", "3", "11"], "dev": ["5", "5", "9", "9"], "test": ["1", "2"]}


def features(rows: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(rows, REGIONS, WIDTH)).astype(np.float32)


def write(folder: Path, boxes: bool = False, **ids: list[str]) -> dict[str, np.ndarray]:
    """Features of some splits, equal for equal ids, and boxes in photos of 100 x 50."""
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {}
    for split, keys in (ids or IDS).items():
        (folder / f"{split}_ids.txt").write_text("".join(f"{key}\n" for key in keys))
        arrays[split] = np.concatenate([features(1, int(key)) for key in keys])
        np.save(folder / f"{split}_ims.npy", arrays[split])
        if boxes:
            pixels = np.tile(np.float32([10, 20, 60, 40]), (len(keys), REGIONS, 1))
            pixels[:, :, 0] += np.arange(REGIONS)
            np.save(folder / f"{split}_boxes.npy", pixels)
            np.save(folder / f"{split}_img_sizes.npy", np.tile([100, 50], (len(keys), 1)))
    return arrays


def read(store: PrecompFeatures, *names: str) -> Any:
    rows = np.array([store.rows[name] for name in names])
    return store.read(rows, np.zeros(len(rows), dtype=int))


def test_rows_by_photo_through_all_splits(tmp_path: Path) -> None:
    arrays = write(tmp_path)
    store = PrecompFeatures(tmp_path)
    assert (store.width, store.views, store.boxes) == (WIDTH, 1, None)
    # A photo that is there twice is its first row.
    assert store.rows == {"7": 0, "3": 1, "11": 2, "5": 3, "9": 5, "1": 7, "2": 8}
    found = read(store, "9", "7", "2", "9")
    expected = np.stack([arrays["dev"][2], arrays["train"][0], arrays["test"][1]])[[0, 1, 2, 0]]
    assert np.array_equal(found.regions, expected)
    assert np.array_equal(found.context, expected.mean(axis=1))
    assert found.mask.all() and found.mask.shape == (4, REGIONS) and found.boxes is None
    assert {found.regions.dtype, found.context.dtype} == {np.dtype(np.float32)}


@settings(max_examples=25)
@given(
    rows=st.lists(st.integers(1, 6), min_size=1, max_size=4),
    shape=st.tuples(st.integers(1, 4), st.integers(1, 6)),
    half=st.booleans(),
    seed=st.integers(0, 99),
)
def test_any_shape_against_the_array_in_memory(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[int],
    shape: tuple[int, int],
    half: bool,
    seed: int,
) -> None:
    folder, rng = tmp_path_factory.mktemp("arrays"), np.random.default_rng(seed)
    names = ["train", "dev", "testall", "test"][: len(rows)]
    whole: dict[str, np.ndarray] = {}
    for split, count in zip(names, rows, strict=True):
        ids = rng.integers(0, 3, count)  # photos repeat
        array = rng.normal(size=(count, *shape)).astype(np.float16 if half else np.float32)
        np.save(folder / f"{split}_ims.npy", array)
        (folder / f"{split}_ids.txt").write_text("".join(f"{split}{i}\n" for i in ids))
        if split != "test":  # whose photos are those of testall
            for key, row in zip(ids, array, strict=True):
                whole.setdefault(f"{split}{key}", row.astype(np.float32))
    store = PrecompFeatures(folder)
    order = rng.permutation(list(whole))
    assert set(store.rows) == set(whole)
    assert np.array_equal(read(store, *order).regions, np.stack([whole[name] for name in order]))


def test_a_batch_is_a_copy(tmp_path: Path) -> None:
    write(tmp_path, boxes=True)
    store = PrecompFeatures(tmp_path)
    before = [np.copy(part) for part in read(store, "7", "5")[:4]]
    for part in read(store, "7", "5")[:4]:  # all but the maps, of which there are none
        part[...] = 0
    for old, new in zip(before, read(store, "7", "5"), strict=False):
        assert np.array_equal(old, new)
    assert read(store, "7").maps is None


# --- boxes


def test_boxes_are_shares_of_the_photo_every_time(tmp_path: Path) -> None:
    """Divided in place, they would tend to zero with every access."""
    write(tmp_path, boxes=True)
    store = PrecompFeatures(tmp_path)
    assert store.boxes is None
    for _ in range(3):
        boxes = read(store, "7", "9").boxes
        assert boxes.dtype == np.float32 and boxes.shape == (2, REGIONS, 4)
        assert boxes[1].ravel() == pytest.approx(
            [0.1, 0.4, 0.6, 0.8, 0.11, 0.4, 0.6, 0.8, 0.12, 0.4, 0.6, 0.8]
        )


def test_boxes_over_the_edge_are_clipped(tmp_path: Path) -> None:
    write(tmp_path, boxes=True, dev=["5", "9"])
    pixels = np.load(tmp_path / "dev_boxes.npy")
    pixels[1, 2] = [-3, 49, 103, 51]
    np.save(tmp_path / "dev_boxes.npy", pixels)
    found = read(PrecompFeatures(tmp_path), "9").boxes[0, 2]
    assert found == pytest.approx([0, 0.98, 1, 1])


@pytest.mark.parametrize("kind", [np.float64, np.int32, np.float16])
def test_boxes_and_sizes_as_gsmn_calls_them(tmp_path: Path, kind: type) -> None:
    write(tmp_path, boxes=True, dev=["5", "9"])
    expected = read(PrecompFeatures(tmp_path), "5", "9").boxes
    pixels, sizes = np.load(tmp_path / "dev_boxes.npy"), np.load(tmp_path / "dev_img_sizes.npy")
    for name in ("dev_boxes.npy", "dev_img_sizes.npy"):
        (tmp_path / name).unlink()
    np.save(tmp_path / "dev_ims_bbx.npy", pixels.astype(kind))
    fields = np.dtype([("image_h", "<i4"), ("image_w", "<i4")])
    records = np.array([(h, w) for w, h in sizes], dtype=fields)
    np.save(tmp_path / "dev_ims_size.npy", records)
    assert np.allclose(read(PrecompFeatures(tmp_path), "5", "9").boxes, expected)


def test_sizes_that_are_pickled_and_the_fix(tmp_path: Path) -> None:
    write(tmp_path, boxes=True, dev=["5", "9"])
    expected = read(PrecompFeatures(tmp_path), "5", "9").boxes
    (tmp_path / "dev_img_sizes.npy").unlink()
    records = np.array([{"image_w": 100, "image_h": 50}] * 2, dtype=object)
    np.save(tmp_path / "dev_ims_size.npy", records, allow_pickle=True)
    with pytest.raises(DataError, match=r"dev_ims_size\.npy: .*pickled.*if you trust") as caught:
        PrecompFeatures(tmp_path)
    run_fix(str(caught.value))
    assert np.allclose(read(PrecompFeatures(tmp_path), "5", "9").boxes, expected)


def run_fix(message: str) -> None:
    """Run the command that a message ends with."""
    _, _, command = message.partition("python -c ")
    code = shlex.split(command)[0]
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_split_without_boxes_takes_them_from_all(tmp_path: Path) -> None:
    """A batch may draw from several splits; half of it cannot know its boxes."""
    write(tmp_path, boxes=True)
    (tmp_path / "dev_boxes.npy").unlink()
    store = PrecompFeatures(tmp_path)
    assert read(store, "7").boxes is None and read(store, "9").boxes is None


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("boxes", np.zeros((2, REGIONS + 1, 4), np.float32), r"dev_boxes.npy: its shape is"),
        ("boxes", np.zeros((1, REGIONS, 4), np.float32), r"dev_boxes.npy: its shape is"),
        ("boxes", np.zeros((2, REGIONS, 4), np.complex64), r"dev_boxes.npy: contains complex64"),
        ("img_sizes", np.ones((1, 2)), r"img_sizes.npy: contains float64 \(1, 2\), not width"),
        ("img_sizes", np.ones((2, 3)), "not width and height of 2 photos"),
        ("img_sizes", np.array([["a", "b"]] * 2), "not width and height"),
        ("img_sizes", np.array([[100, 50], [0, 50]]), "img_sizes.npy: row 1: width and height"),
        ("img_sizes", np.array([[np.nan, 50], [9, 50]]), "img_sizes.npy: row 0: width and height"),
        ("img_sizes", None, "need the photos' sizes; add dev_img_sizes.npy"),
    ],
)
def test_boxes_that_do_not_fit(
    tmp_path: Path, name: str, array: np.ndarray | None, message: str
) -> None:
    write(tmp_path, boxes=True, dev=["5", "9"])
    path = tmp_path / f"dev_{name}.npy"
    path.unlink()
    if array is not None:
        np.save(path, array)
    with pytest.raises(DataError, match=message):
        PrecompFeatures(tmp_path)


# --- what can be wrong with the features


def test_photos_and_rows_that_do_not_fit(tmp_path: Path) -> None:
    write(tmp_path, dev=["5", "5", "9"])
    np.save(tmp_path / "dev_ims.npy", features(4))
    with pytest.raises(DataError, match=r"dev_ims\.npy: 4 rows, but 3 ids in dev_ids\.txt"):
        PrecompFeatures(tmp_path)
    np.save(tmp_path / "dev_ims.npy", features(2))
    with pytest.raises(DataError, match="must also name each photo once"):
        PrecompFeatures(tmp_path)


def test_one_id_in_two_splits(tmp_path: Path) -> None:
    """Ids that count from 0 in each split would mix up photos without a word."""
    write(tmp_path, train=["0", "1"], dev=["5", "0"])
    with pytest.raises(DataError, match=r"dev_ids\.txt:2: photo 0 is also in another split"):
        PrecompFeatures(tmp_path)


@pytest.mark.parametrize("kind", ["float64", ">f4", "int32"])
def test_features_of_another_type_and_the_fix(tmp_path: Path, kind: str) -> None:
    array = write(tmp_path, dev=["5", "9"])["dev"]
    path = tmp_path / "dev_ims.npy"
    np.save(path, (10 * array).astype(kind))
    with pytest.raises(DataError, match=f"dev_ims.npy: contains {kind}, but float16 or") as caught:
        PrecompFeatures(tmp_path)
    run_fix(str(caught.value))
    path.with_suffix(".converted.npy").replace(path)
    assert np.array_equal(read(PrecompFeatures(tmp_path), "9").regions[0],
                          (10 * array[1]).astype(kind).astype(np.float32))  # fmt: skip


def test_fortran_order_and_the_fix(tmp_path: Path) -> None:
    array = write(tmp_path, dev=["5", "9"])["dev"]
    path = tmp_path / "dev_ims.npy"
    np.save(path, np.asfortranarray(array))
    with pytest.raises(DataError, match=r"dev_ims\.npy: is in Fortran order") as caught:
        PrecompFeatures(tmp_path)
    run_fix(str(caught.value))
    path.with_suffix(".converted.npy").replace(path)
    assert np.array_equal(read(PrecompFeatures(tmp_path), "5", "9").regions, array)


def test_pickled_features(tmp_path: Path) -> None:
    write(tmp_path, dev=["5"])
    np.save(tmp_path / "dev_ims.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match=r"dev_ims\.npy: .*Python objects"):
        PrecompFeatures(tmp_path)


@pytest.mark.parametrize("keep", [0, 5, 70, 130, -1])
def test_truncated_features(tmp_path: Path, keep: int) -> None:
    write(tmp_path)
    path = tmp_path / "dev_ims.npy"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(DataError, match=r"dev_ims\.npy: missing, truncated or damaged"):
        PrecompFeatures(tmp_path)


@pytest.mark.parametrize("shape", [(2, 5), (2, 3, 5, 1), (2, 0, 5)])
def test_features_of_another_shape(tmp_path: Path, shape: tuple[int, ...]) -> None:
    write(tmp_path, dev=["5", "9"])
    np.save(tmp_path / "dev_ims.npy", np.ones(shape, np.float32))
    with pytest.raises(DataError, match=r"dev_ims\.npy: "):
        PrecompFeatures(tmp_path)


def test_splits_of_other_shapes(tmp_path: Path) -> None:
    write(tmp_path)
    np.save(tmp_path / "test_ims.npy", np.ones((2, REGIONS, WIDTH + 1), np.float32))
    with pytest.raises(DataError, match=r"test_ims\.npy: .*\(3, 6\), but \(3, 5\) in train_ims"):
        PrecompFeatures(tmp_path)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_row_that_is_not_finite(tmp_path: Path, value: float) -> None:
    array = write(tmp_path)["dev"]
    array[2, 1, 4] = value
    np.save(tmp_path / "dev_ims.npy", array)
    store = PrecompFeatures(tmp_path)
    read(store, "5", "7")  # others can be read
    with pytest.raises(DataError, match=r"dev_ims\.npy: row 2 \(9\) is not finite"):
        read(store, "5", "9")


def test_a_box_that_is_not_finite(tmp_path: Path) -> None:
    write(tmp_path, boxes=True, dev=["5", "9"])
    pixels = np.load(tmp_path / "dev_boxes.npy")
    pixels[1, 0, 0] = np.nan
    np.save(tmp_path / "dev_boxes.npy", pixels)
    with pytest.raises(DataError, match=r"dev_boxes\.npy: row 1 \(9\) is not finite"):
        read(PrecompFeatures(tmp_path), "5", "9")


def test_without_ids_or_features(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "dev_ids.txt").unlink()
    with pytest.raises(DataError, match=r"dev_ids\.txt: cannot be read"):
        PrecompFeatures(tmp_path)
    with pytest.raises(DataError, match="no features in SCAN's format here"):
        PrecompFeatures(tmp_path / "absent")


# --- opening by path, and the memory it takes


def test_the_backbone_must_be_precomputed(tmp_path: Path) -> None:
    write(tmp_path / "scan")
    assert isinstance(open_features(tmp_path / "scan", "precomputed"), PrecompFeatures)
    with pytest.raises(DataError, match=r"set vision\.backbone to precomputed"):
        open_features(tmp_path / "scan", "efficientnet-lite2")


def test_a_feature_store_is_not_precomputed(tmp_path: Path) -> None:
    manifest = Manifest("net", 8, [[0, 0, 1, 1]], WIDTH, 1, ["1.jpg"])
    with FeatureWriter(tmp_path, manifest) as writer:
        writer.write(np.ones((1, 1, 1, WIDTH)), np.ones((1, 1, WIDTH)), {})
        writer.finish()
    assert isinstance(open_features(tmp_path, "net"), FeatureStore)
    with pytest.raises(DataError, match="made with net, but precomputed is required"):
        open_features(tmp_path, "precomputed")


def test_a_folder_without_features(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="hgan extract"):
        open_features(tmp_path, "net")
    with pytest.raises(DataError, match="no features in SCAN's format"):
        open_features(tmp_path, "precomputed")


READ_ALL = """
import resource, sys
import numpy as np
from pathlib import Path
from hgan.data.features.precomp import PrecompFeatures

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

start = peak()
store = PrecompFeatures(Path(sys.argv[1]))
opened = peak()
for rows in np.array_split(np.arange(len(store.rows)), 40):
    store.read(rows, np.zeros_like(rows))
print(opened - start, peak() - start)
"""


def test_no_more_memory_than_a_batch(tmp_path: Path) -> None:
    """Neither opening nor reading every row of 750 MiB may hold them."""
    (tmp_path / "train_ids.txt").write_text("".join(f"{i}\n" for i in range(2660)))
    shape = 2660, 36, 2048
    open_memmap(tmp_path / "train_ims.npy", "w+", np.float32, shape)  # a hole on the disk
    command = [sys.executable, "-c", READ_ALL, str(tmp_path)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    opened, whole = map(int, done.stdout.split())
    assert opened < 50 and whole < 150


def test_coco_train_at_its_full_size(tmp_path: Path) -> None:
    """31 GiB, as a hole on the disk: opened at once, and read at both ends."""
    path = Path(os.environ.get("HGAN_DATA", "data")) / "scan_text" / "coco" / "train_ids.txt"
    if not path.is_file():
        pytest.skip(f"{path} is absent; set HGAN_DATA")
    (tmp_path / "train_ids.txt").symlink_to(path.resolve())
    array = open_memmap(tmp_path / "train_ims.npy", "w+", np.float32, (113_287, 36, 2048))
    array[0, 0, 0], array[-1, -1, -1] = 1, 2
    array.flush()
    store = PrecompFeatures(tmp_path)
    assert len(store.rows) == 113_287 and store.rows["57870"] == 0
    ids = path.read_text().split()
    found = read(store, ids[-1], ids[0]).regions
    assert (found[0, -1, -1], found[1, 0, 0], found.sum()) == (2, 1, 3)
