"""Lists in SCAN's format: which caption belongs to which photo, small and at full size."""

import json
import os
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hgan.data.captions.precomp import read_photos, scan_precomp, splits
from hgan.data.captions.read import read_captions, scan_captions
from hgan.data.captions.types import Problem, Record
from hgan.errors import DataError


def write(folder: Path, split: str, ids: list[str], captions: list[str], end: str = "\n") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, lines in {"ids": ids, "caps": captions}.items():
        data = "".join(line + end for line in lines).encode()
        (folder / f"{split}_{name}.txt").write_bytes(data)
    return folder


def problem(folder: Path) -> Problem:
    found = [item for item in scan_precomp(folder) if isinstance(item, Problem)]
    assert len(found) == 1, found
    return found[0]


def test_ids_once_a_photo_and_once_a_caption(tmp_path: Path) -> None:
    write(tmp_path, "train", ["7", "3"], ["a", "b", "c", "d"])
    write(tmp_path, "dev", ["5", "5", "9"], ["e", "f", "g"])
    write(tmp_path, "test", ["1"], ["h"])
    captions = read_captions(tmp_path)
    assert captions.images == ["7", "3", "5", "9", "1"]
    assert captions.texts == list("abcdefgh")
    assert captions.image_of.tolist() == [0, 0, 1, 1, 2, 2, 3, 4]
    assert captions.splits == ["train", "train", "val", "val", "test"]


def test_rows_of_a_photo_may_lie_apart(tmp_path: Path) -> None:
    write(tmp_path, "dev", ["5", "9", "5"], ["e", "f", "g"])
    five, nine = scan_precomp(tmp_path)
    assert isinstance(five, Record) and isinstance(nine, Record)
    assert (five.captions, nine.captions) == (["e", "g"], ["f"])
    assert five.places == [f"{tmp_path}/dev_caps.txt:{line}" for line in (1, 3)]
    assert nine.where == f"{tmp_path}/dev_ids.txt:2"


@settings(max_examples=30)
@given(
    counts=st.lists(st.integers(1, 7), min_size=1, max_size=20),
    shuffled=st.randoms(use_true_random=False),
)
def test_ids_one_for_each_caption(
    tmp_path_factory: pytest.TempPathFactory,
    counts: list[int],
    shuffled: random.Random,
) -> None:
    """Any number of captions a photo, in any order: the naive reading, line by line."""
    ids = [f"p{photo}" for photo, count in enumerate(counts) for _ in range(count)]
    shuffled.shuffle(ids)
    texts = [f"caption {line}" for line in range(len(ids))]
    captions = read_captions(write(tmp_path_factory.mktemp("lists"), "train", ids, texts))
    owners = [captions.images[i] for i in captions.image_of]
    assert dict(zip(captions.texts, owners, strict=True)) == dict(zip(texts, ids, strict=True))
    assert captions.images == list(dict.fromkeys(ids))


@settings(max_examples=30)
@given(photos=st.integers(1, 12), share=st.integers(2, 7))
def test_ids_one_for_each_photo(
    tmp_path_factory: pytest.TempPathFactory, photos: int, share: int
) -> None:
    ids, texts = [f"p{i}" for i in range(photos)], [f"c{i}" for i in range(photos * share)]
    captions = read_captions(write(tmp_path_factory.mktemp("lists"), "train", ids, texts))
    assert captions.texts == texts
    assert captions.image_of.tolist() == [line // share for line in range(photos * share)]


def test_testall_takes_the_place_of_test(tmp_path: Path) -> None:
    write(tmp_path, "test", ["1"], ["a"])
    assert [r.image for r in scan_precomp(tmp_path) if isinstance(r, Record)] == ["1"]
    write(tmp_path, "testall", ["1", "2"], ["a", "b"])
    records = [r for r in scan_precomp(tmp_path) if isinstance(r, Record)]
    assert [(r.image, r.split) for r in records] == [("1", "test"), ("2", "test")]
    assert splits(tmp_path, "ids.txt") == ["testall"]


@pytest.mark.parametrize("above", [False, True])
def test_file_names_from_the_mapping(tmp_path: Path, above: bool) -> None:
    folder = write(tmp_path / "precomp", "dev", ["5", "9"], ["e", "f"])
    mapping = (tmp_path if above else folder) / "id_mapping.json"
    mapping.write_text(json.dumps({"5": "val2014/five.jpg", "9": "nine.jpg", "11": "other.jpg"}))
    assert read_captions(folder).images == ["val2014/five.jpg", "nine.jpg"]


def test_the_folder_above_a_relative_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write(tmp_path / "precomp", "dev", ["5"], ["e"])
    (tmp_path / "id_mapping.json").write_text('{"5": "five.jpg"}')
    monkeypatch.chdir(folder)
    assert read_captions(Path()).images == ["five.jpg"]


@pytest.mark.parametrize("mapping", ["[]", "{", '{"5": 3}', '{"5": " "}', "[" * 100_000])
def test_a_damaged_mapping(tmp_path: Path, mapping: str) -> None:
    write(tmp_path, "dev", ["5"], ["e"])
    (tmp_path / "id_mapping.json").write_text(mapping)
    found = problem(tmp_path)
    assert found.where == f"{tmp_path}/id_mapping.json" and "remove it" in found.text


def test_an_id_that_the_mapping_lacks(tmp_path: Path) -> None:
    write(tmp_path, "dev", ["5", "9"], ["e", "f"])
    (tmp_path / "id_mapping.json").write_text('{"5": "five.jpg"}')
    found = problem(tmp_path)
    assert found.where == f"{tmp_path}/dev_ids.txt:2" and "id 9 is not in" in found.text


def test_two_ids_of_one_file(tmp_path: Path) -> None:
    """It is one photo: listed again for each of its captions, as by one id."""
    write(tmp_path, "dev", ["5", "9"], ["e", "f"])
    (tmp_path / "id_mapping.json").write_text('{"5": "same.jpg", "9": "same.jpg"}')
    (record,) = scan_precomp(tmp_path)
    assert isinstance(record, Record) and record.captions == ["e", "f"]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_line_ends_and_byte_order_mark(tmp_path: Path, end: str) -> None:
    write(tmp_path, "dev", ["\ufeff5", "9"], ["\ufeffe", "a\u2028line\x85end"], end)
    captions = read_captions(tmp_path)
    assert captions.images == ["5", "9"]
    assert captions.texts == ["e", "a\u2028line\x85end"]


def test_no_line_end_at_the_end(tmp_path: Path) -> None:
    write(tmp_path, "dev", ["5", "9"], ["e", "f"])
    for path in tmp_path.glob("dev_*"):
        path.write_bytes(path.read_bytes().rstrip())
    assert read_captions(tmp_path).texts == ["e", "f"]


def test_empty_lines_at_the_end_are_no_captions(tmp_path: Path) -> None:
    write(tmp_path, "train", ["5", "9", "", ""], ["e", "f", "g", "h", ""])
    write(tmp_path, "dev", ["1", "2"], ["i", "j", ""])
    assert read_captions(tmp_path).texts == list("efghij")


@pytest.mark.parametrize("ids", [["5", "9"], ["5", "5", "9", "9"]])
@pytest.mark.parametrize("line", [0, 1, 3])
def test_an_empty_caption_does_not_shift_the_others(
    tmp_path: Path, ids: list[str], line: int
) -> None:
    texts = ["five one", "five two", "nine one", "nine two"]
    texts[line] = " "
    write(tmp_path, "dev", ids, texts)
    found = list(scan_captions(tmp_path))
    records = [item for item in found if isinstance(item, Record)]
    assert all(text.split()[0] == {"5": "five", "9": "nine"}[record.image]
               for record in records for text in record.captions)  # fmt: skip
    assert sum(len(record.captions) for record in records) == 3
    (wrong,) = [item for item in found if isinstance(item, Problem)]
    assert (wrong.kind, wrong.where) == ("empty caption", f"{tmp_path}/dev_caps.txt:{line + 1}")


@pytest.mark.parametrize(
    ("ids", "captions"),
    [
        (["5", "9"], 1),  # fewer captions than photos
        (["5", "5", "9"], 2),
        (["5", "9"], 3),
        (["5", "9"], 0),
        (["5", "5", "9", "9"], 5),
    ],
)
def test_captions_that_do_not_fit_the_ids(tmp_path: Path, ids: list[str], captions: int) -> None:
    found = problem(write(tmp_path, "dev", ids, ["a dog"] * captions))
    assert found.where == f"{tmp_path}/dev_caps.txt:{max(1, captions)}"
    assert f"{captions} captions, but {len(ids)} ids in dev_ids.txt" in found.text


def test_a_photo_twice_in_a_list_with_several_captions_each(tmp_path: Path) -> None:
    write(tmp_path, "train", ["5", "9", "5"], list("abcdef"))
    found = problem(tmp_path)
    assert (found.kind, found.where) == ("photo listed twice", f"{tmp_path}/train_ids.txt:3")
    assert "already in line 1" in found.text


def test_a_photo_in_two_splits(tmp_path: Path) -> None:
    write(tmp_path, "train", ["5"], ["a"])
    write(tmp_path, "dev", ["9", "5"], ["b", "c"])
    with pytest.raises(DataError, match=r"dev_ids\.txt:2: 5 is already listed at .*train_ids"):
        read_captions(tmp_path)


def test_an_empty_id(tmp_path: Path) -> None:
    write(tmp_path, "dev", ["5", "", "9"], ["a", "b", "c"])
    found = problem(tmp_path)
    assert found.where == f"{tmp_path}/dev_ids.txt:2"
    records = [item for item in scan_precomp(tmp_path) if isinstance(item, Record)]
    assert [(r.image, r.captions) for r in records] == [("5", ["a"]), ("9", ["c"])]


def test_lists_that_are_missing(tmp_path: Path) -> None:
    (write(tmp_path, "dev", ["5"], ["a"]) / "dev_ids.txt").unlink()
    found = problem(tmp_path)
    assert (found.kind, found.where) == ("list missing", f"{tmp_path}/dev_ids.txt")
    (tmp_path / "dev_ids.txt").write_text("\n")
    assert "contains no ids" in problem(tmp_path).text


def test_a_split_of_another_name(tmp_path: Path) -> None:
    write(tmp_path, "holdout", ["5"], ["a"])
    with pytest.raises(DataError, match="train, dev, test, testall"):
        read_captions(tmp_path)


@pytest.mark.parametrize("name", ["ids", "caps"])
def test_text_that_is_not_utf8(tmp_path: Path, name: str) -> None:
    write(tmp_path, "dev", ["5", "9"], ["a", "b"])
    (tmp_path / f"dev_{name}.txt").write_bytes("x\ncafé\n".encode("latin-1"))
    found = problem(tmp_path)
    assert (found.kind, found.where) == ("not UTF-8", f"{tmp_path}/dev_{name}.txt:2")


# --- the field's own lists


@pytest.fixture(scope="module")
def lists() -> Path:
    folder = Path(os.environ.get("HGAN_DATA", "data")) / "scan_text"
    if not folder.is_dir():
        pytest.skip(f"the lists of SCAN's format are not at {folder}; set HGAN_DATA")
    return folder


def with_train(lists: Path, folder: Path, name: str) -> Path:
    """The real lists, linked, with made-up captions for the photos of train."""
    for path in (lists / name).iterdir():
        (folder / path.name).symlink_to(path.resolve())
    ids = (lists / name / "train_ids.txt").read_text().split()
    lines = (f"caption {i} of photo {key}\n" for key in ids for i in range(5))
    (folder / "train_caps.txt").write_text("".join(lines))
    return folder


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("f30k", {"train": (29_000, 145_000), "val": (1_014, 5_070), "test": (1_000, 5_000)}),
        pytest.param(
            "coco",
            {"train": (113_287, 566_435), "val": (1_000, 5_000), "test": (5_000, 25_000)},
            marks=pytest.mark.slow,
        ),
    ],
)
def test_the_fields_lists_in_full(
    lists: Path, tmp_path: Path, name: str, counts: dict[str, tuple[int, int]]
) -> None:
    captions = read_captions(with_train(lists, tmp_path, name))
    found = {}
    for split in counts:
        part = captions.split(split)
        found[split] = len(part.images), len(part.texts)
        assert (np.bincount(part.image_of) == 5).all()
    assert found == counts
    train = captions.split("train")
    ids = (lists / name / "train_ids.txt").read_text().split()
    assert train.texts[7] == f"caption 2 of photo {ids[1]}"
    assert train.texts[-1] == f"caption 4 of photo {ids[-1]}"
    if name == "f30k":  # its mapping names the photos
        assert captions.images[0] == "1000092795.jpg"


def test_coco_captions_that_photos_share(lists: Path) -> None:
    test = read_captions(lists / "coco").split("test")
    photos_of: dict[str, list[int]] = {}
    for text, image in zip(test.texts, test.image_of.tolist(), strict=True):
        photos_of.setdefault(text, []).append(image)
    assert sum(len(images) for images in photos_of.values() if len(set(images)) > 1) == 291


@pytest.mark.parametrize(("name", "rows"), [("f30k", 5_070), ("coco", 5_000)])
def test_rows_of_the_fields_lists(lists: Path, name: str, rows: int) -> None:
    names, problems = read_photos(lists / name, "dev")
    assert not problems
    assert (len(names), len(set(names))) == (rows, rows // 5)
