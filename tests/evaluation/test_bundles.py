"""Bundles are evaluated on photos by the same protocols as checkpoints on features."""

import json
from pathlib import Path

import numpy as np
import pytest

from hgan.cli import main
from hgan.errors import ConfigError, DataError
from hgan.evaluation.checkpoints import evaluate_checkpoints
from hgan.runtime.bundle import Bundle
from tests.fixtures.photos import COLOURS, save_photo
from tests.fixtures.tiny_bundle import write_tiny_bundle

ONE = {"context": 1.0, "shared": 0.0, "local": 0.0}


@pytest.fixture
def captions(tmp_path: Path) -> Path:
    """Nine test photos with two captions each, some of which are shared; and one to train on."""
    lines = []
    for number, name in enumerate([*COLOURS] * 3):
        file = f"{number}.png"
        save_photo(tmp_path / "data" / "images" / file, COLOURS[name], seed=number)
        texts = [f"a {name} photo", f"the {name} photo of dog {'abcdefghi'[number]}"]
        lines.append({"image": file, "captions": texts, "split": "test"})
    lines.append({"image": "gone.png", "captions": ["a dog"], "split": "train"})
    path = tmp_path / "data" / "captions.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@pytest.mark.parametrize("weights", [None, ONE])
def test_ranks_equal_those_of_the_similarities(
    captions: Path, tmp_path: Path, weights: dict[str, float] | None
) -> None:
    bundle = Bundle.load(write_tiny_bundle(tmp_path / "bundle", weights=weights))
    record = evaluate_checkpoints(bundle, captions=captions, out=tmp_path / "out")
    lines = [json.loads(line) for line in captions.read_text().splitlines()][:9]
    photos = bundle.encode_image([captions.parent / "images" / line["image"] for line in lines])
    texts = bundle.encode_text([text for line in lines for text in line["captions"]])
    scores = bundle.similarity(photos, texts)
    own = np.repeat(np.arange(9), 2)
    # Ties count against the model: photos with the same score are before a caption's own photo.
    ranks = [int((scores[:, t] >= scores[own[t], t]).sum()) - 1 for t in range(18)]
    figures = record["protocols"]["full"]
    level = "S" if weights is None else "context"
    assert set(figures) == ({"context", "shared", "local", "S"} if weights is None else {"context"})
    expected = 100 * np.mean(np.array(ranks) < 1)
    assert figures[level]["text_to_image"]["recall"]["R@1"] == pytest.approx(expected)
    assert figures[level]["tied"] > 0
    assert (record["model"], record["seed"], record["epoch"]) == ("tiny", None, None)
    assert (record["photos"], record["texts"]) == (9, 18)
    assert json.loads((tmp_path / "out" / "test.json").read_text()) == record


def test_the_command(captions: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bundle = str(write_tiny_bundle(tmp_path / "bundle", weights=ONE))
    assert main(["evaluate", bundle, "--captions", str(captions)]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "test split, protocol full" in shown and "9 photos, 18 captions" in shown
    assert "; tiny; in per cent" in shown and "seed" not in shown
    assert not (tmp_path / "test.json").exists()


def test_an_ensemble_of_bundles(captions: Path, tmp_path: Path) -> None:
    folders = [write_tiny_bundle(tmp_path / f"{seed}", seed) for seed in (0, 1)]
    record = evaluate_checkpoints(folders, captions=captions)
    assert record["ensemble"] == [str(folder) for folder in folders]
    assert set(record["protocols"]["full"]) == {"S"}


def test_what_is_missing(captions: Path, tmp_path: Path) -> None:
    folder = write_tiny_bundle(tmp_path / "bundle")
    with pytest.raises(ConfigError, match="is a bundle, without captions of its own"):
        evaluate_checkpoints(folder)
    with pytest.raises(DataError, match=r"elsewhere/0\.png: no such file"):
        evaluate_checkpoints(folder, captions=captions, photos=tmp_path / "elsewhere")
    with pytest.raises(DataError, match=r"gone\.png: no such file"):
        evaluate_checkpoints(folder, "train", captions=captions)
