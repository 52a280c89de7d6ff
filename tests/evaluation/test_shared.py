"""Evaluation that several real processes share gives the figures of one process, bit for bit."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hgan.evaluation import evaluate as module
from hgan.evaluation import protocols, scoring
from hgan.evaluation.checkpoints import evaluate_checkpoints
from hgan.evaluation.evaluate import choose_weights, evaluate
from hgan.evaluation.ranking import rank
from hgan.evaluation.scoring import encode
from hgan.evaluation.top_k import TopK
from hgan.launch import join
from hgan.training.trainer import train
from tests.fixtures.processes import Group
from tests.fixtures.tiny_model import tiny_config, tiny_dataset, tiny_model, write_tiny_data

pytestmark = pytest.mark.slow  # several processes work together

TILE = (3, 7)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("data")
    write_tiny_data(made, train=24, val=17, test=12)
    tiny_config(made)
    return made


def measured(folder: Path, small: bool) -> list[Any]:
    """Encodings, metrics and weights of the validation split, in small batches or whole ones."""
    own = join(torch.device("cpu"))
    config = tiny_config(folder)
    model = tiny_model(config)
    network = model.network.eval()
    data = tiny_dataset(config, model, "val")
    with pytest.MonkeyPatch.context() as patch:
        if small:
            patch.setattr(scoring, "IMAGE_BATCH", 3)
            patch.setattr(scoring, "ENCODE_BATCH", 5)
            patch.setattr(module, "TILE", TILE)
        encoded = [
            getattr(side, name).numpy()
            for side in encode(network, data, processes=own)
            for name in ("context", "slots", "local", "mask")
        ]
        figures = evaluate(network, data, own)
        weights, (found,) = choose_weights(network, data, processes=own)
    return [encoded, figures, weights, found]


@pytest.mark.parametrize("small", [True, False])
def test_metrics_and_weights_are_those_of_one_process(
    folder: Path, small: bool, alone: Group, pair: Group, trio: Group
) -> None:
    """With whole batches, there is one for all photos, and processes without any."""
    [(encoded, *expected)] = alone.run(measured, folder, small)
    for arrays, *found in [*pair.run(measured, folder, small), *trio.run(measured, folder, small)]:
        assert all(np.array_equal(x, y) for x, y in zip(arrays, encoded, strict=True))
        assert found == expected


def ranked(scores: np.ndarray, image_of: np.ndarray) -> list[Any]:
    """Ranks and the top candidates, and the tiles that this process has seen."""
    own, matrix = join(torch.device("cpu")), torch.from_numpy(scores)
    top, seen = TopK(*scores.shape, 4), []

    def watch(tiles: dict[str, torch.Tensor], rows: slice, columns: slice) -> None:
        seen.append((rows.start, columns.start))
        top.add(tiles["S"], rows, columns)

    ranks = rank(
        lambda rows, columns: {"S": matrix[rows, columns]}, image_of, len(scores), TILE, watch, own
    )["S"]
    top.merge(own)
    answers = ranks.image_to_text, ranks.text_to_image, top.texts.numpy(), top.images.numpy()
    return [[x.tolist() for x in answers], ranks.tied, seen]


@pytest.mark.parametrize("photos", [2, 7, 20])
@pytest.mark.parametrize("values", [2, 1000])
def test_ranks_and_ties_are_those_of_one_process(
    photos: int, values: int, pair: Group, trio: Group
) -> None:
    rng = np.random.default_rng(photos)
    image_of = rng.permutation(np.repeat(np.arange(photos), 2))
    scores = (rng.integers(values, size=(photos, 2 * photos)) / values).astype(np.float32)
    answers, tied, tiles = ranked(scores, image_of)
    for group in (pair, trio):
        parts = group.run(ranked, scores, image_of)
        assert all(part[:2] == [answers, tied] for part in parts)
        assert sorted(tile for part in parts for tile in part[2]) == sorted(tiles)


def evaluated(checkpoint: Path, out: Path) -> dict[str, Any]:
    """The record of a checkpoint with three folds of four photos in place of coco-1k's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scoring, "IMAGE_BATCH", 3)
        patch.setattr(protocols, "FOLDS", 3)
        patch.setattr(protocols, "FOLD_PHOTOS", 4)
        return evaluate_checkpoints(checkpoint, "test", ["full", "coco-1k"], out=out)


def test_records_are_those_of_one_process(
    folder: Path, tmp_path: Path, alone: Group, pair: Group, trio: Group
) -> None:
    best = train(replace(tiny_config(folder, optim={"epochs": 1}), run=tmp_path)).best
    places = [tmp_path / name for name in ("one", "two", "three")]
    for group, place in zip((alone, pair, trio), places, strict=True):
        records = group.run(evaluated, best, place)
        written = json.loads((place / "test.json").read_text())
        for record in records:
            assert record["protocols"] == written["protocols"]
    first, *others = (json.loads((place / "test.json").read_text()) for place in places)
    arrays, *more = (dict(np.load(place / "test.npz")) for place in places)
    for record, own in zip(others, more, strict=True):
        assert record["protocols"] == first["protocols"]
        assert all(np.array_equal(own[name], arrays[name]) for name in arrays)
