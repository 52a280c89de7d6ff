"""Known data sets are recognised by the name of the caption file or of its folder, no others."""

from pathlib import Path

import pytest

from hgan.data.captions.known import KNOWN_DATASETS, dataset_key


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
