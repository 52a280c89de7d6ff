"""Bottom-up attention's TSV: rows follow the ids, and a bad line is named."""

import base64
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hgan.data.captions.read import read_captions
from hgan.data.conversion.bottom_up import COLUMNS
from hgan.data.conversion.convert import convert
from hgan.data.features.precomp import PrecompFeatures
from hgan.errors import DataError

R, D = 3, 5
RNG = np.random.default_rng(0)


def photo(width: float = 640, height: float = 480, boxes: int = R) -> tuple[np.ndarray, ...]:
    size = np.array([width, height], np.float32)
    corners = np.sort(RNG.uniform(size=(boxes, 2, 2)), axis=1).reshape(boxes, 4)
    features = RNG.normal(size=(boxes, D)).astype(np.float32)
    return size, (corners * np.tile(size, 2)).astype(np.float32), features


def encode(values: np.ndarray) -> str:
    return base64.b64encode(values.astype("<f4").tobytes()).decode()


def line(key: str, of: tuple[np.ndarray, ...]) -> str:
    size, boxes, features = of
    cells = [key, *(f"{side:g}" for side in size), str(len(boxes)), encode(boxes), encode(features)]
    return "\t".join(cells)


PHOTOS = {key: photo() for key in ("42", "7", "100", "9", "x.jpg")}


def write(folder: Path, lines: list[str], ids: list[str], split: str = "test") -> tuple[Path, Path]:
    (folder / "f.tsv").write_text("\n".join(lines) + "\n")
    (folder / f"{split}_ids.txt").write_text("\n".join(ids) + "\n")
    return folder / "f.tsv", folder / f"{split}_ids.txt"


LINES = [line(key, of) for key, of in PHOTOS.items()]


@pytest.mark.parametrize("head", [[], ["\t".join(COLUMNS)]])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_rows_are_those_of_the_ids(tmp_path: Path, head: list[str], ending: str) -> None:
    order = ["9", "x.jpg", "42"]
    tsv, ids = write(tmp_path, [], order)
    tsv.write_bytes(ending.join([*head, *LINES, ""]).encode())
    assert convert(tsv, tmp_path / "out", ids=ids) == f"3 rows: {tmp_path / 'out'}"
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "test_ids.txt", "test_ims.npy", "test_boxes.npy", "test_img_sizes.npy",
    }  # fmt: skip
    for number, name in enumerate(("img_sizes", "boxes", "ims")):
        array = np.load(tmp_path / "out" / f"test_{name}.npy")
        assert array.dtype == np.float32
        np.testing.assert_array_equal(array, np.stack([PHOTOS[key][number] for key in order]))


def test_the_program_trains_on_what_is_written(tmp_path: Path) -> None:
    tsv, ids = write(tmp_path, LINES, ["9"] * 2 + ["42"] * 2)
    (tmp_path / "test_caps.txt").write_text("a\nb\nc\nd\n")
    convert(tsv, tmp_path / "out", ids=ids)
    assert (tmp_path / "out" / "test_ids.txt").read_text() == "9\n42\n"
    captions = read_captions(tmp_path / "out")
    assert (captions.images, captions.image_of.tolist()) == (["9", "42"], [0, 0, 1, 1])
    features = PrecompFeatures(tmp_path / "out")
    rows = np.array([features.rows[image] for image in captions.images])
    found = features.read(rows, np.zeros(2, dtype=int))
    np.testing.assert_array_equal(found.regions, [PHOTOS["9"][2], PHOTOS["42"][2]])
    expected = PHOTOS["42"][1] / [640, 480, 640, 480]
    np.testing.assert_allclose(found.boxes[1], expected, rtol=1e-5)


@settings(max_examples=30)  # each syncs files
@given(st.lists(st.sampled_from(sorted(PHOTOS)), min_size=1, max_size=12), st.randoms())
def test_row_i_is_the_photo_of_line_i_whatever_repeats(
    tmp_path_factory: pytest.TempPathFactory, ids: list[str], rng: object
) -> None:
    folder = tmp_path_factory.mktemp("ids")
    lines = LINES * 2  # parts of the published files overlap
    rng.shuffle(lines)  # type: ignore[attr-defined]
    (folder / "dev_caps.txt").write_text("".join(f"{i} {key}\n" for i, key in enumerate(ids)))
    tsv, file = write(folder, lines, ids, "dev")
    convert(tsv, folder / "out", ids=file)
    written = (folder / "out" / "dev_ids.txt").read_text().split()
    array = np.load(folder / "out" / "dev_ims.npy")
    np.testing.assert_array_equal(array, np.stack([PHOTOS[key][2] for key in written]))
    captions = read_captions(folder / "out")
    for image, text in zip(captions.image_of, captions.texts, strict=True):
        assert text.split()[1] == captions.images[image]


def test_splits_go_into_one_folder_one_after_another(tmp_path: Path) -> None:
    for split, order in {"train": ["7", "100"], "dev": ["9"], "test": ["42"]}.items():
        tsv, ids = write(tmp_path, LINES, order, split)
        convert(tsv, tmp_path / "out", ids=ids)
    assert sorted(PrecompFeatures(tmp_path / "out").rows) == ["100", "42", "7", "9"]
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    with pytest.raises(DataError, match=r"test_img_sizes\.npy already exists"):
        convert(tsv, tmp_path / "out", ids=ids)
    assert before == {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}


def test_lists_that_are_there_stay_if_they_fit(tmp_path: Path) -> None:
    tsv, ids = write(tmp_path, LINES, ["42", "7"])
    (tmp_path / "test_caps.txt").write_text("a\nb\n")
    convert(tsv, tmp_path, ids=ids)
    assert sorted(PrecompFeatures(tmp_path).rows) == ["42", "7"]
    tsv, ids = write(tmp_path, LINES, ["42", "42"], "dev")
    with pytest.raises(DataError, match=r"dev_ids\.txt already exists.*another target"):
        convert(tsv, tmp_path, ids=ids)  # its list would have to be shortened


GOOD = LINES[0].split("\t")


def changed(column: int, value: str) -> str:
    return "\t".join([*GOOD[:column], value, *GOOD[column + 1 :]]).replace("42\t", "7\t", 1)


BAD = {
    "short row": ("\t".join(["7", *GOOD[1:5]]), "5 cells instead of 6"),
    "long row": ("\t".join(["7", *GOOD[1:], "x"]), "7 cells instead of 6"),
    "cut in the base64": (changed(5, GOOD[5][:-3]), "photo 7: features: not base64"),
    "no base64": (changed(4, "%%%"), "photo 7: boxes: not base64"),
    "bytes too few": (changed(5, GOOD[5][:-8]), "photo 7: features: 54 bytes are not float32"),
    "empty cell": (changed(5, ""), "photo 7: features: 0 bytes"),
    "another count": (changed(3, "2"), "photo 7: features: 60 bytes are not float32 values of 2"),
    "boxes of five": (changed(4, GOOD[5]), "photo 7: boxes have 5 numbers"),
    "no number": (changed(1, "wide"), "image_w, image_h or num_boxes is not a number"),
    "no width": (changed(1, "0"), "all must be above 0"),
    "no boxes": (changed(3, "0"), "all must be above 0"),
    "nan": (changed(5, encode(np.full((R, D), np.nan))), "photo 7: features: not finite"),
    "other regions": (line("7", photo(boxes=R + 1)), r"photo 7 has .* \(4, 5\), .* \(3, 5\)"),
    "missing": (line("8", PHOTOS["7"]), r"f\.tsv: 1 of 2 photos of .*test_ids\.txt .* is 7"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_line_is_named_and_nothing_is_left(tmp_path: Path, case: str) -> None:
    bad, words = BAD[case]
    tsv, ids = write(tmp_path, [LINES[0], "", bad], ["42", "7"])
    with pytest.raises(DataError, match=words) as caught:
        convert(tsv, tmp_path / "out", ids=ids)
    if case != "missing":
        assert str(caught.value).startswith(f"{tsv}:3: ")
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("test_ids.txt", b"", r"test_ids\.txt:1: the line is empty"),
        ("test_ids.txt", b"42\n\n7\n", r"test_ids\.txt:2: the line is empty"),
        ("test_ids.txt", b"\xff\n", "cannot be read"),
        ("list.txt", b"42\n", "must be named SPLIT_ids.txt"),
    ],
)
def test_a_bad_list_of_ids(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    tsv, _ = write(tmp_path, LINES, [])
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=words):
        convert(tsv, tmp_path / "out", ids=tmp_path / name)


def test_a_tsv_that_is_not_there(tmp_path: Path) -> None:
    _, ids = write(tmp_path, LINES, ["42"])
    with pytest.raises(DataError, match="cannot be read"):
        convert(tmp_path / "absent.tsv", tmp_path / "out", ids=ids)


def test_photos_of_the_published_size(tmp_path: Path) -> None:
    """36 x 2048: cells longer than the csv module takes by default."""
    boxes, features = RNG.uniform(size=(36, 4)), RNG.normal(size=(36, 2048)).astype(np.float32)
    entry = line("1", (np.array([9, 9]), boxes, features))
    assert len(entry) > 131_072
    tsv, ids = write(tmp_path, [entry], ["1"])
    convert(tsv, tmp_path / "out", ids=ids)
    np.testing.assert_array_equal(np.load(tmp_path / "out" / "test_ims.npy")[0], features)
