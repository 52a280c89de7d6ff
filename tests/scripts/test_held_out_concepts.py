"""Held-out concepts: real words and their forms are recognised, and no such photo is trained on."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hgan.data.captions.read import read_captions
from scripts.held_out_concepts import CONCEPTS, hold_out, named

SCRIPT = Path(__file__).parents[2] / "scripts" / "held_out_concepts.py"


def write(file: Path, *photos: tuple[str, str | None], **more: Any) -> Path:
    """A caption file with one photo for each caption and split."""
    lines = [
        {"image": f"{number}.jpg", "captions": ["a photo", caption], "split": split} | more
        for number, (caption, split) in enumerate(photos)
    ]
    file.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return file


def run(captions: Path, out: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, SCRIPT, captions, out], capture_output=True, text=True)


@pytest.mark.parametrize(
    ("text", "concepts"),
    [
        ("Two CATS sleep on a bench .", {"cat", "bench"}),
        ("The cat's toy, and a horse-drawn cart", {"cat", "horse"}),
        ("A motorcyclist passes buses", {"motorcycle", "bus"}),
        ("kayakers and seagulls", {"kayak", "bird"}),
        ("a guitarist in a tent", {"guitar", "tent"}),
        ("ponies beside geese", {"horse", "bird"}),
        ("A dog catches a ball in the bushes", set()),
        ("a pit bull, a sheepdog and a shepherd", set()),
        ("a busy man rides a dirt bike , bending low", set()),
        ("truckload of trumpets, cowboys, and birthday candles", set()),
        ("", set()),
    ],
)
def test_words_that_name_a_concept(text: str, concepts: set[str]) -> None:
    assert named(["a photo", text]) == concepts


def test_every_concept_is_named_by_its_own_name_and_its_plural() -> None:
    for concept in CONCEPTS:
        assert named([f"a {concept}."]) == {concept}
        if concept not in ("sheep", "tennis"):
            plural = concept + ("es" if concept in ("bench", "bus") else "s")
            assert named([f"two {plural}"]) == {concept}, plural


def test_words_of_two_captions_are_not_joined() -> None:
    assert named(["a volley", "ball"]) == set()


def test_the_new_splits(tmp_path: Path) -> None:
    photos: list[tuple[str, str | None]] = [
        ("a dog", "train"),
        ("a cat", "train"),
        ("a man", "val"),
        ("two horses and a cat", "dev"),
        ("a dog in a tent", "test"),
        ("a dog", "test"),
        ("a cat", None),
        ("a man", "restval"),  # Karpathy's name of more training photos
    ]
    file = write(tmp_path / "captions.jsonl", *photos)
    made, counts = hold_out(read_captions(file))
    assert made.splits == ["train", "val", None, "val", None, None, None, "train"]
    assert counts == {"cat": 2, "horse": 1}
    assert made.texts == read_captions(file).texts


def test_the_script_writes_a_file_and_keeps_ids(tmp_path: Path) -> None:
    file = write(
        tmp_path / "captions.jsonl", ("a dog", "train"), ("a cat", "val"), caption_ids=[4, 5]
    )
    done = run(file, tmp_path / "out.jsonl")
    assert done.returncode == 0, done.stderr
    assert "1 photos to train on, 1 to validate on, which name\ncat (1)" in done.stdout
    made = read_captions(tmp_path / "out.jsonl")
    assert made.splits == ["train", "val"]
    assert made.caption_ids is not None and made.caption_ids.tolist() == [4, 5, 4, 5]


@pytest.mark.parametrize(
    ("photos", "problem"),
    [
        ([("a dog", "train"), ("a dog", "val")], "no photo of split train or val names one of"),
        ([("a cat", "train")], "no photo is left to train on"),
        ([("a dog", "train"), ("a cat", "test")], "no photo of split train or val names one of"),
        ([("a dog", None)], "no photo is left to train on"),
    ],
)
def test_a_file_without_concepts_or_splits_is_an_error(
    tmp_path: Path, photos: list[tuple[str, str | None]], problem: str
) -> None:
    done = run(write(tmp_path / "captions.jsonl", *photos), tmp_path / "out.jsonl")
    assert done.returncode == 1 and done.stderr.startswith(f"held_out_concepts: {problem}")
    assert not (tmp_path / "out.jsonl").exists()


def test_files_that_are_missing_or_exist_are_errors(tmp_path: Path) -> None:
    missing = run(tmp_path / "nothing.jsonl", tmp_path / "out.jsonl")
    assert missing.returncode == 1 and "nothing.jsonl: no such file" in missing.stderr
    file = write(tmp_path / "captions.jsonl", ("a dog", "train"), ("a cat", "train"))
    before = file.read_bytes()
    again = run(file, file)
    assert again.returncode == 1 and "already exists" in again.stderr
    assert file.read_bytes() == before


def test_flickr8k(flickr8k: Path) -> None:
    """Every concept has photos; no photo to train on names one; none is of the test split."""
    captions = read_captions(flickr8k / "captions.jsonl")
    made, counts = hold_out(captions)
    assert set(counts) == set(CONCEPTS) and min(counts.values()) >= 10
    assert named(made.split("train").texts) == set()
    assert all(
        new is None for new, old in zip(made.splits, captions.splits, strict=True) if old == "test"
    )
    assert not set(made.split("train").images) & set(made.split("val").images)
    assert made.splits.count("train") > 5000 and 900 < made.splits.count("val") < 1100
