"""What the authors' code reads: their format, five captions a photo, their form of a vocabulary."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np

from hgan.data.captions.read import read_captions
from hgan.data.features.store import FeatureStore
from hgan.text.vocabulary import read_vocabulary
from tests.fixtures.tiny_model import write_tiny_data

SCRIPT = Path(__file__).parents[2] / "scripts" / "export_for_peers.py"


def test_files_for_the_code_of_the_authors(tmp_path: Path) -> None:
    write_tiny_data(tmp_path)  # photos with one to three captions
    captions = tmp_path / "captions.jsonl"
    lines = [json.loads(line) for line in captions.read_text().splitlines()]
    for number, line in enumerate(lines):
        line["captions"] = [f"{text} number {n}" for n, text in enumerate(line["captions"] * 6)]
        line["captions"] = line["captions"][: 4 if number % 8 == 7 else 6]
    captions.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    command = [sys.executable, SCRIPT, tmp_path / "features", tmp_path / "out"]
    run = subprocess.run(
        [*command, "--captions", captions], capture_output=True, text=True, check=True
    )
    kept = [line for number, line in enumerate(lines) if number % 8 != 7]
    assert run.stdout.startswith(f"{tmp_path / 'out'}: {len(kept)} photos, ")
    store = FeatureStore(tmp_path / "features")
    for split, name in (("train", "train"), ("val", "dev"), ("test", "test")):
        own = [line for line in kept if line["split"] == split]
        texts = (tmp_path / "out" / "precomp" / f"{name}_caps.txt").read_text().splitlines()
        assert texts == [text for line in own for text in line["captions"][:5]]
        features = np.load(tmp_path / "out" / "precomp" / f"{name}_ims.npy")
        rows = [store.rows[line["image"]] for line in own]
        np.testing.assert_array_equal(features, store.regions[rows, 0].astype(np.float32))
    words = read_vocabulary(tmp_path / "out" / "vocab" / "precomp_vocab.json")
    assert {"number", "snow", "dog", "<start>"} <= words.keys()
    assert read_captions(tmp_path / "out" / "precomp").split("val").texts[0].endswith("number 0")
