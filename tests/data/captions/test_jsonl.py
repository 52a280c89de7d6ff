"""JSON Lines: the data set's ids, and a file of full size."""

import json
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from hgan.data.captions.read import read_captions
from tests.fixtures.caption_files import write_text

DATA = Path(os.environ.get("HGAN_DATA", "data"))


def test_ids_of_json_lines(tmp_path: Path) -> None:
    line = {"image": "a", "captions": ["x", "y"], "image_id": 3, "caption_ids": [8, 9]}
    captions = read_captions(write_text(tmp_path / "captions.jsonl", json.dumps(line)))
    assert (captions.image_ids.tolist(), captions.caption_ids.tolist()) == ([3], [8, 9])


def test_flickr30k() -> None:
    path = DATA / "flickr30k_text" / "captions.jsonl"
    if not path.is_file():
        pytest.skip(f"no {path}; set HGAN_DATA to the folder that holds flickr30k_text/")
    captions = read_captions(path)
    assert Counter(captions.splits) == {"train": 29_000, "val": 1_014, "test": 1_000}
    assert np.bincount(captions.image_of).tolist() == [5] * 31_014
    assert len(captions.split("test").texts) == 5_000
