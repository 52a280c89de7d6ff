"""Known data sets are recognised by the name of the caption file or of its folder, no others; the
photos of coco_mini_val by their own names, in any caption file."""

import os
from pathlib import Path

import numpy as np
import pytest

from hgan.data.captions.known import KNOWN_DATASETS, check_training_photos, dataset_key
from hgan.data.captions.read import read_captions
from hgan.data.captions.types import Captions
from hgan.errors import ConfigError

DATA = Path(os.environ.get("HGAN_DATA", "data"))
FILE = Path("mine/captions.jsonl")


@pytest.mark.parametrize(
    ("path", "key"),
    [
        ("data/flickr8k/captions.jsonl", "flickr8k"),
        ("data/photos/dataset_flickr8k.json", "flickr8k"),
        ("data/photos/Flickr8k.token.txt", "flickr8k"),
        ("data/f8k_precomp", "flickr8k"),
        ("data/flickr30k_text/captions.jsonl", "flickr30k"),
        ("data/f30k_precomp", "flickr30k"),
        ("data/results_20130124.token", "flickr30k"),
        ("data/coco_precomp", "coco"),
        ("data/MSCOCO/captions.jsonl", "coco"),
        ("data/dataset_coco.json", "coco"),
        ("data/annotations/captions_val2017.json", "coco"),
        # the file's name comes before that of its folder
        ("data/flickr8k/dataset_flickr30k.json", "flickr30k"),
        ("data/mine/captions.jsonl", None),
        ("flickr8k/mine/captions.jsonl", None),
        ("data/cocoa/captions.csv", None),
        ("data/rococo/captions.csv", None),
    ],
)
def test_the_key_of_a_path(path: str, key: str | None) -> None:
    assert dataset_key(Path(path)) == key
    assert key is None or key in KNOWN_DATASETS


def photos(**splits: str | None) -> Captions:
    """Photos by name, with `__` for `/`, and their splits; each has one caption."""
    names = [name.replace("__", "/") + ".jpg" for name in splits]
    texts = [f"photo {number}" for number in range(len(names))]
    return Captions(names, texts, np.arange(len(names)), list(splits.values()))


@pytest.mark.parametrize("folder", ["", "val2017__", "data__coco__images__"])
def test_photos_of_coco_mini_val_are_not_trained_on(folder: str) -> None:
    captions = photos(**{"mine": "train", f"{folder}000000000139": "train", "other": "val"})
    with pytest.raises(ConfigError, match=r"captions.jsonl: 1 of the 2 photos .*0139.jpg; .*val"):
        check_training_photos(captions, FILE)


def test_they_can_validate_a_model_that_is_trained_on_other_photos() -> None:
    check_training_photos(photos(mine="train", **{"000000000139": "val"}), FILE)
    check_training_photos(photos(mine="train", **{"000000000139": None}), FILE)


def test_other_photos_of_coco_are_trained_on() -> None:
    """Also those of its published splits, which name the same photos in another way."""
    names = ("000000000140", "val2014__COCO_val2014_000000000139", "139", "x000000000139")
    check_training_photos(photos(**dict.fromkeys(names, "train")), FILE)


@pytest.mark.parametrize(("place", "count"), [("coco_mini_val", 119), ("coco_text", 77)])
def test_the_real_file_is_refused(place: str, count: int) -> None:
    if not (DATA / place).exists():
        pytest.skip(f"{DATA / place} is absent; set HGAN_DATA to the folder that holds it")
    captions = read_captions(DATA / place)
    with pytest.raises(ConfigError, match=f"{count} of the {len(captions.images):,} photos"):
        check_training_photos(captions, DATA / place)
