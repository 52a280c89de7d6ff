"""Captions of every format, and everything that can be wrong with a caption file."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hgan.data.captions.read import read_captions, scan_captions
from hgan.data.captions.types import Captions, Problem, Record
from hgan.errors import DataError

RECORDS = [
    {"image": "b.jpg", "captions": ["A dog , running .", "Two dogs"], "split": "train"},
    {"image": "a.jpg", "captions": ["Ein Hund läuft"], "split": "dev"},
    {
        "image": "sub/c.jpg",
        "captions": ["🐕🐕 ❄️", '狗在"雪"里跑', "A dog , running ."],
        "split": None,
    },
]


def jsonl(records: list[dict[str, object]]) -> str:
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)


def karpathy(records: list[dict[str, object]]) -> str:
    images = [
        {
            "filename": record["image"],
            "split": record["split"],
            "sentids": [0],
            "sentences": [{"raw": text, "tokens": text.split()} for text in record["captions"]],
        }
        for record in records
    ]
    return json.dumps({"images": images, "dataset": "flickr8k"})


def as_csv(records: list[dict[str, object]]) -> str:
    lines = ["image,caption,split"]
    for record in records:
        for text in record["captions"]:
            quoted = text.replace('"', '""')
            lines.append(f'{record["image"]},"{quoted}",{record["split"] or ""}')
    return "\n".join(lines) + "\n"


def write(folder: Path, name: str, text: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def problems(path: Path) -> list[Problem]:
    return [found for found in scan_captions(path) if isinstance(found, Problem)]


FORMS = {"captions.jsonl": jsonl, "dataset_tiny.json": karpathy, "captions.csv": as_csv}


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("folder", [False, True])
def test_every_form_gives_the_same(
    tmp_path: Path, name: str, ending: str, mark: str, folder: bool
) -> None:
    text = mark + FORMS[name](RECORDS).replace("\n", ending)
    path = write(tmp_path, name, text)
    captions = read_captions(tmp_path if folder else path)
    assert captions.images == ["b.jpg", "a.jpg", "sub/c.jpg"]
    assert captions.texts == [text for record in RECORDS for text in record["captions"]]
    assert captions.image_of.tolist() == [0, 0, 1, 2, 2, 2]
    assert captions.image_of.dtype == np.int64
    assert captions.splits == ["train", "val", None]


def test_the_form_is_told_by_content_not_by_name(tmp_path: Path) -> None:
    expected = read_captions(write(tmp_path, "captions.jsonl", jsonl(RECORDS))).texts
    for number, form in enumerate((jsonl, karpathy, as_csv)):
        assert read_captions(write(tmp_path, f"{number}.txt", form(RECORDS))).texts == expected
    one = write(tmp_path, "one.json", json.dumps(RECORDS[0], indent=1))
    assert read_captions(one).images == ["b.jpg"]


def test_white_space_around_captions_goes_all_else_stays(tmp_path: Path) -> None:
    text = "A  dog\u2028and\u00a0a\tcat .  "
    record = {"image": "a.jpg", "captions": [f"\n {text}\n"], "split": " Validation "}
    captions = read_captions(write(tmp_path, "c.jsonl", jsonl([record])))
    assert captions.texts == [text.strip()]
    assert captions.splits == ["val"]


def test_split_names(tmp_path: Path) -> None:
    names = ["train", "restval", "Train", "val", "dev", "validation", "test", "extra", "", None]
    records = [{"image": f"{i}", "captions": ["x"], "split": s} for i, s in enumerate(names)]
    splits = ["train"] * 3 + ["val"] * 3 + ["test", "extra", None, None]
    assert read_captions(write(tmp_path, "c.jsonl", jsonl(records))).splits == splits


def test_split_key_may_be_absent(tmp_path: Path) -> None:
    path = write(tmp_path, "c.jsonl", '{"image": "a", "captions": ["x"]}\n\n  \n')
    assert read_captions(path).splits == [None]
    path = write(tmp_path, "c.csv", 'Caption, Image\n"a dog, a cat", a.jpg\n\nx, b.jpg\n')
    captions = read_captions(path)
    assert (captions.images, captions.texts) == (["a.jpg", "b.jpg"], ["a dog, a cat", "x"])


def test_a_caption_of_ten_thousand_words_is_read(tmp_path: Path) -> None:
    long = " ".join(["word"] * 10_000)
    record = {"image": "a", "captions": [long], "split": "train"}
    assert read_captions(write(tmp_path, "a.jsonl", jsonl([record]))).texts == [long]
    assert read_captions(write(tmp_path, "a.csv", as_csv([record]))).texts == [long]


GOOD = '{"image": "a", "captions": ["x"]}\n'
BAD = {
    # name: (file name, content, kind, where it is, words of the message)
    "JSON line": ("c.jsonl", GOOD + "{nonsense\n", "malformed", ":2", "not JSON"),
    "first JSON line": ("c.jsonl", "{nonsense\n" + GOOD, "malformed", ":1", "not JSON"),
    "no text": ("c.jsonl", "", "malformed", "c.jsonl", "contains no photo"),
    "blank lines": ("c.jsonl", "\n \n", "malformed", "c.jsonl", "contains no photo"),
    "list": ("c.jsonl", GOOD + "[1]\n", "malformed", ":2", "not a JSON object"),
    "no image": ("c.jsonl", GOOD + '{"captions": ["x"]}', "malformed", ":2", '"image" is missing'),
    "no captions key": (
        "c.jsonl", GOOD + '{"image": "b"}', "malformed", ":2", '"captions" is missing'),
    "image a number": (
        "c.jsonl", '{"image": 3, "captions": ["x"]}', "malformed", ":1", "is not a file name"),
    "image blank": (
        "c.jsonl", '{"image": " ", "captions": ["x"]}', "malformed", ":1", "is not a file name"),
    "captions a text": (
        "c.jsonl", '{"image": "a", "captions": "x"}', "malformed", ":1", "not a list"),
    "caption null": (
        "c.jsonl", '{"image": "a", "captions": ["x", null]}', "malformed", ":1", "[1] is not text"),
    "half a surrogate": (
        "c.jsonl", '{"image": "a", "captions": ["\\ud83d"]}', "malformed", ":1", "not text"),
    "split a number": (
        "c.jsonl", '{"image": "a", "captions": ["x"], "split": 1}', "malformed", ":1", "split"),
    "no captions": (
        "c.jsonl", GOOD + '{"image": "b", "captions": []}',
        "photo without captions", ":2", "b has no captions"),
    "empty caption": (
        "c.jsonl", GOOD + '{"image": "b", "captions": ["y", " \\t"]}',
        "empty caption", ":2", "no words"),
    "listed twice": ("c.jsonl", GOOD * 2, "photo listed twice", ":2", "c.jsonl:1"),
    "two splits": (
        "c.jsonl", GOOD + '{"image": "a", "captions": ["y"], "split": "val"}',
        "photo in several splits", ":2", "here in val"),
    "not UTF-8": ("c.jsonl", (GOOD * 1).encode() + b'{"image": "\xff"', "not UTF-8", ":2", "UTF-8"),
    "UTF-16": ("c.csv", "image,caption\na,b\n".encode("utf-16"), "not UTF-8", ":1", "UTF-8"),
    "deep": ("c.jsonl", "[" * 100_000, "malformed", ":1", "not JSON"),
    "truncated JSON": (
        "d.json", karpathy(RECORDS)[:-20], "malformed", "d.json", "not JSON"),
    "images no list": ("d.json", '{"images": {}}', "malformed", "d.json", "not a list"),
    "no filename": (
        "d.json", '{"images": [{"sentences": []}]}', "malformed", "images[0]", '"filename"'),
    "no raw": (
        "d.json", '{"images": [{"filename": "a", "sentences": [{"tokens": []}]}]}',
        "malformed", "images[0]", "[0] is not text"),
    "empty sentence": (
        "d.json", '{"images": [{"filename": "a", "sentences": [{"raw": "x"}, {"raw": ""}]}]}',
        "empty caption", "images[0].sentences[1]", "no words"),
    "header": ("c.csv", "picture,text\na,x\n", "malformed", ":1", "header"),
    "column too many": ("c.csv", "image,caption,score\na,x,1\n", "malformed", ":1", "header"),
    "no header": ("c.csv", "a.jpg,a dog\n", "malformed", ":1", "image,caption"),
    "only a header": ("c.csv", "image,caption\n", "malformed", "c.csv", "contains no photo"),
    "empty image cell": ("c.csv", "image,caption\na,x\n ,y\n", "malformed", ":3", "empty"),
    "empty caption cell": ("c.csv", "image,caption\na,x\na,\n", "empty caption", ":3", "no words"),
    "unquoted comma": ("c.csv", "image,caption\na,x,y\nb,z\n", "malformed", ":2", "quote"),
    "unclosed quote": ("c.csv", 'image,caption\na,x\nb,"y\nc,z\n', "malformed", ":3", "not CSV"),
    "line after a long cell": (
        "c.csv", 'image,caption\na,"x\n\ny"\n,z\n', "malformed", ":5", "empty"),
    "CSV splits": (
        "c.csv", "image,caption,split\na,x,train\nb,y,val\na,z,test\n",
        "photo in several splits", ":4", "in train at"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_what_is_wrong_is_named_with_its_place(tmp_path: Path, case: str) -> None:
    name, content, kind, where, words = BAD[case]
    path = write(tmp_path, name, content)
    with pytest.raises(DataError) as caught:
        read_captions(path)
    first = problems(path)[0]
    assert first.kind == kind and first.where.startswith(str(path)) and first.where.endswith(where)
    assert words in first.text
    assert str(caught.value).startswith(str(first))


def test_all_problems_are_found_and_the_rest_is_read(tmp_path: Path) -> None:
    lines = [
        '{"image": "a", "captions": ["x", "", "y"]}',
        "nonsense",
        '{"image": "b", "captions": []}',
        '{"image": "a", "captions": ["z"]}',
        '{"image": "c", "captions": ["  "]}',
        '{"image": "d", "captions": ["last"]}',
    ]
    path = write(tmp_path, "c.jsonl", "\n".join(lines))
    found = list(scan_captions(path))
    assert Counter(f.kind for f in found if isinstance(f, Problem)) == {
        "empty caption": 2,
        "malformed": 1,
        "photo without captions": 1,
        "photo listed twice": 1,
    }
    kept = [(f.image, f.captions, f.places) for f in found if isinstance(f, Record)]
    first, last = f"{path}:1", f"{path}:6"
    assert kept == [("a", ["x", "y"], [first, first]), ("d", ["last"], [last])]


def test_a_folder_must_hold_one_caption_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="found none"):
        read_captions(tmp_path)
    write(tmp_path, "a.csv", as_csv(RECORDS))
    write(tmp_path, "captions.jsonl", jsonl(RECORDS))
    with pytest.raises(DataError, match=r"captions\.jsonl"):
        read_captions(tmp_path)
    with pytest.raises(DataError, match="no such file"):
        read_captions(tmp_path / "absent.jsonl")


def test_an_unknown_split_names_those_there_are(tmp_path: Path) -> None:
    captions = read_captions(write(tmp_path, "c.jsonl", jsonl(RECORDS)))
    with pytest.raises(DataError, match=r"'test'.*train \(1\), val \(1\), \(none\) \(1\)"):
        captions.split("test")
    assert captions.split("dev").images == captions.split("val").images == ["a.jpg"]


@given(
    st.lists(
        st.tuples(st.sampled_from(["train", "val", None]), st.integers(1, 4)),
        min_size=1,
        max_size=12,
    ),
    st.randoms(),
)
def test_split_and_of_image_equal_the_naive_loops(
    photos: list[tuple[str | None, int]], rng: object
) -> None:
    pairs = [i for i, (_, count) in enumerate(photos) for _ in range(count)]
    rng.shuffle(pairs)  # type: ignore[attr-defined]  # captions need not lie together
    captions = Captions(
        images=[f"{i}.jpg" for i in range(len(photos))],
        texts=[f"caption {t}" for t in range(len(pairs))],
        image_of=np.array(pairs, dtype=np.int64),
        splits=[split for split, _ in photos],
    )
    for image, found in enumerate(captions.of_image()):
        assert found.tolist() == [t for t, i in enumerate(pairs) if i == image]
    for name in {split for split, _ in photos if split}:
        part = captions.split(name)
        truth = [(f"{i}.jpg", f"caption {t}") for t, i in enumerate(pairs) if photos[i][0] == name]
        found = [part.images[i] for i in part.image_of]
        assert list(zip(found, part.texts, strict=True)) == truth
        assert part.images == [f"{i}.jpg" for i, (split, _) in enumerate(photos) if split == name]
        assert part.splits == [name] * len(part.images)
        assert part.image_of.dtype == np.int64


@given(st.binary(max_size=200))
def test_any_bytes_are_captions_or_a_data_error(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    folder = tmp_path_factory.mktemp("bytes")
    for name in ("c.jsonl", "c.json", "c.csv"):
        path = write(folder, name, data)
        found = list(scan_captions(path))
        assert found
        if any(isinstance(f, Problem) for f in found):
            with pytest.raises(DataError):
                read_captions(path)
        else:
            assert read_captions(path).texts


@given(st.text(max_size=60), st.sampled_from(["c.token", "captions_c.json", "c.txt"]))
def test_any_text_of_a_form_is_captions_or_a_data_error(
    tmp_path_factory: pytest.TempPathFactory, text: str, name: str
) -> None:
    folder = tmp_path_factory.mktemp("text")
    for content in (text, f"1.jpg#0\tA cat\n{text}", f'{{"images": [], "annotations": [{text}]}}'):
        path = folder / name
        path.write_bytes(content.encode("utf-8", "surrogatepass"))
        found = list(scan_captions(path))
        assert found
        if any(isinstance(f, Problem) for f in found):
            with pytest.raises(DataError):
                read_captions(path)
        else:
            assert read_captions(path).texts


def test_flickr8k(flickr8k: Path) -> None:
    captions = read_captions(flickr8k)
    assert Counter(captions.splits) == {"train": 5997, "val": 1000, "test": 1000, None: 94}
    assert {len(of) for of in captions.of_image()} == {5}
    test = captions.split("test")
    assert (len(test.images), len(test.texts)) == (1000, 5000)


def test_some_photos_can_be_left_out(tmp_path: Path) -> None:
    (tmp_path / "captions.jsonl").write_text(jsonl(RECORDS), encoding="utf-8")
    whole = read_captions(tmp_path / "captions.jsonl")
    left = whole.without({"a.jpg", "of another.jpg"})
    assert left.images == ["b.jpg", "sub/c.jpg"] and left.splits == ["train", None]
    kept = [t for t in range(len(whole.texts)) if whole.images[whole.image_of[t]] != "a.jpg"]
    assert left.texts == [whole.texts[t] for t in kept]
    assert [left.images[i] for i in left.image_of] == [
        whole.images[whole.image_of[t]] for t in kept
    ]
    assert whole.without({}).images == whole.images
