"""Mosaics compared with loops over quarters, and a run that trains with them."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hgan.data.captions.read import read_captions
from hgan.data.features.mosaics import FOLDER, mosaic_ids, quarters
from hgan.data.features.store import FeatureStore, FeatureWriter
from hgan.encoded import Encoded
from hgan.errors import ConfigError, DataError
from hgan.model.io import load_checkpoint
from hgan.training.mosaics import TEMPERATURE, check_mosaics, mosaic_loss
from hgan.training.trainer import Trainer, train
from hgan.vision.backbone import grid_boxes
from tests.fixtures.tiny_model import tiny_config


def naive_loss(images: Encoded, texts: Encoded, image_of: list[int], side: int) -> float:
    of_captions, of_words = [], []
    for t, photo in enumerate(image_of):
        regions = images.local[photo // 4].double()
        words = [
            row.double() for row, real in zip(texts.local[t], texts.mask[t], strict=True) if real
        ]

        def entropy(scores: list[float], target: int = photo % 4) -> float:
            best = [-math.inf] * 4
            for r, score in enumerate(scores):
                quarter = 2 * (r // side >= side // 2) + (r % side >= side // 2)
                best[quarter] = max(best[quarter], score / TEMPERATURE)
            return math.log(sum(map(math.exp, best))) - best[target]

        each = [[float(word @ region) for region in regions] for word in words]
        of_words += [entropy(scores) for scores in each]
        of_captions.append(entropy(np.mean(each, axis=0).tolist()))
    return (sum(of_captions) / len(of_captions) + sum(of_words) / len(of_words)) / 2


@given(
    mosaics=st.integers(1, 3), grid=st.sampled_from([2, 4]), words=st.integers(1, 4),
    seed=st.integers(0, 99),
)  # fmt: skip
def test_the_loss_equals_loops(mosaics: int, grid: int, words: int, seed: int) -> None:
    rng = torch.Generator().manual_seed(seed)
    count = 8 * mosaics  # two captions of each photo
    image_of = torch.randperm(count, generator=rng) // 2
    mask = torch.rand(count, words, generator=rng) > 0.4
    mask[:, 0] = True
    local = torch.randn(count, words, 3, generator=rng) * mask[..., None]
    regions = torch.randn(mosaics, grid * grid, 3, generator=rng)
    real = torch.ones(regions.shape[:2], dtype=torch.bool)
    nothing = torch.zeros(0)
    images = Encoded(nothing, nothing, regions, real)
    texts = Encoded(nothing, nothing, local, mask)
    found = float(mosaic_loss(images, texts, image_of))
    assert found == pytest.approx(naive_loss(images, texts, image_of.tolist(), grid), rel=1e-4)


@pytest.mark.parametrize(
    ("boxes", "batch", "problem"),
    [
        (None, 8, "regions that are the cells of a grid"),
        (grid_boxes(3), 8, "an even number of rows"),
        (grid_boxes(2)[:3], 8, "an even number of rows"),
        (grid_boxes(2)[::-1], 8, "regions that are the cells of a grid"),
        (grid_boxes(2), 6, "a multiple of 4, not 6"),
    ],
)
def test_settings_that_do_not_fit_mosaics_are_refused(
    boxes: np.ndarray | None, batch: int, problem: str
) -> None:
    with pytest.raises(
        ConfigError, match=rf"vision\.mosaics: .*{problem}.* set vision\.mosaics to 0"
    ):
        check_mosaics(boxes, batch)
    check_mosaics(grid_boxes(6), 8)


def test_a_model_without_the_local_level_does_not_use_them(tmp_path: Path) -> None:
    config = tiny_config(tmp_path, model={"levels": ["context"]}, vision={"mosaics": 1})
    trainer = Trainer(config, resume=False)
    last = config.optim.epochs - 1
    assert next(trainer._batches(last)).mosaics is None


def write_mosaics(folder: Path, sets: int) -> None:
    """Mosaics of the tiny photos to train on: a quarter is the mean of a photo's 2 x 2 regions."""
    store = FeatureStore(folder / "features")
    ids = mosaic_ids(read_captions(folder / "captions.jsonl").split("train").images, sets)
    rows = np.array([[store.rows[name] for name in quarters(key)] for key in ids])  # (M, 4)
    regions = np.asarray(store.regions, np.float32)[rows, 0].mean(2)[:, None]  # (M, 1, 4, D)
    manifest = replace(store.manifest, views=1, ids=ids, checksums={}, rows_done=0, skipped={})
    with FeatureWriter(folder / "features" / FOLDER, manifest) as writer:
        writer.write(regions, regions.mean(2), {})
        writer.finish()


def test_photos_of_a_mosaic_are_together_in_a_batch(tmp_path: Path) -> None:
    config = tiny_config(tmp_path, vision={"mosaics": 2}, optim={"epochs": 6, "region_drop": 0.0})
    write_mosaics(tmp_path, 2)
    trainer = Trainer(config, resume=False)
    store = trainer.train_data.store
    drawn = []
    assert all(batch.mosaics is None for epoch in range(3) for batch in trainer._batches(epoch))
    for epoch in range(3, 6):  # the second half
        batches = list(trainer._batches(epoch))
        drawn.append(torch.cat([batch.mosaics.regions for batch in batches]))
        for batch in batches:
            assert batch.mosaics is not None and batch.mosaics.regions.shape == (2, 4, 16)
            # Views of a photo differ in the noise and in the order of the regions alone.
            photos = batch.images.regions.mean(1).view(2, 4, 16)
            torch.testing.assert_close(batch.mosaics.regions, photos, atol=0.3, rtol=0)
    in_order = [sorted(regions.flatten(1).tolist()) for regions in drawn]
    assert in_order[0] == in_order[2] != in_order[1]  # the sets take turns
    assert store.views == 2


def test_missing_mosaics_and_those_of_other_photos_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    config = tiny_config(tmp_path, vision={"mosaics": 1})
    with pytest.raises(ConfigError, match=r"vision\.backbone: tiny: .*cannot be reached"):
        Trainer(config, resume=False)  # they would be made
    write_mosaics(tmp_path, 1)
    Trainer(config, resume=False)
    lines = (tmp_path / "captions.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    (tmp_path / "captions.jsonl").write_text("".join(lines[4:]), encoding="utf-8")
    with pytest.raises(DataError, match="mosaics of other photos than those to train on"):
        Trainer(replace(config, run=tmp_path / "other"), resume=False)


@pytest.mark.parametrize(("photos", "sets"), [(3, 2), (4, 1), (11, 3)])
def test_each_photo_is_in_one_mosaic_of_a_set(photos: int, sets: int) -> None:
    names = [f"folder/{i}.jpg" for i in range(photos)]
    ids = mosaic_ids(names, sets)
    assert ids == mosaic_ids(names, sets)
    count = photos // 4
    assert len(ids) == sets * count
    for number in range(sets):
        used = [name for key in ids[number * count :][:count] for name in quarters(key)]
        assert len(used) == len(set(used)) == 4 * count and set(used) <= set(names)


@pytest.mark.slow
def test_training_with_mosaics_lowers_their_loss(tmp_path: Path) -> None:
    """The loss on the mosaics after training with and without it."""
    config = tiny_config(tmp_path, vision={"mosaics": 1}, optim={"epochs": 8})
    write_mosaics(tmp_path, 1)
    batches = list(Trainer(replace(config, run=tmp_path / "read"), resume=False)._batches(4))
    found = []
    for sets in (0, 1):
        vision = replace(config.vision, mosaics=sets)
        best = train(replace(config, vision=vision, run=tmp_path / f"run{sets}")).best
        network = load_checkpoint(best).network.eval()
        losses = []
        with torch.inference_mode():
            for batch in batches:
                assert batch.mosaics is not None
                mosaics, texts = (
                    network.encode_photos(batch.mosaics),
                    network.encode_texts(batch.texts),
                )
                losses.append(mosaic_loss(mosaics, texts, batch.image_of))
        found.append(float(torch.stack(losses).mean()))
    assert found[1] < 0.8 * found[0]
