"""Mosaics compared with loops over quarters, and a run that trains with them."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hgan.data.batches.types import ImageBatch
from hgan.encoded import Encoded
from hgan.errors import ConfigError
from hgan.training.mosaics import TEMPERATURE, check_grid, make_mosaics, mosaic_loss
from hgan.training.trainer import Trainer, train
from hgan.vision.backbone import grid_boxes
from tests.fixtures.tiny_model import tiny_config


def photos(count: int, grid: int = 2, maps: int | None = None) -> ImageBatch:
    rng = torch.Generator().manual_seed(count)
    return ImageBatch(
        regions=torch.randn(count, grid * grid, 5, generator=rng),
        context=torch.randn(count, 5, generator=rng),
        mask=torch.rand(count, grid * grid, generator=rng) > 0.3,
        boxes=torch.from_numpy(grid_boxes(grid)),
        maps=None if maps is None else torch.randn(count, 3, maps, maps, generator=rng),
    )


@pytest.mark.parametrize("grid", [2, 4, 6])
def test_a_quarter_of_a_mosaic_is_a_photo_at_half_its_size(grid: int) -> None:
    batch = photos(9, grid)  # the ninth photo is left over
    mosaics = make_mosaics(batch)
    assert mosaics.regions.shape == (2, grid * grid, 5) and mosaics.mask.all()
    half = grid // 2
    for m in range(2):
        cells = mosaics.regions[m].view(grid, grid, 5)
        for quarter in range(4):
            photo = batch.regions[4 * m + quarter].view(grid, grid, 5)
            for row in range(half):
                for column in range(half):
                    mean = photo[2 * row : 2 * row + 2, 2 * column : 2 * column + 2].mean((0, 1))
                    y, x = quarter // 2 * half + row, quarter % 2 * half + column
                    torch.testing.assert_close(cells[y, x], mean)
        torch.testing.assert_close(mosaics.context[m], batch.context[4 * m : 4 * m + 4].mean(0))


def test_the_middle_of_an_odd_map_is_a_mean_of_both_sides() -> None:
    batch = photos(4, maps=3)
    assert batch.maps is not None
    maps = make_mosaics(batch).maps
    assert maps is not None and maps.shape == (1, 3, 3, 3)
    torch.testing.assert_close(maps[0, :, 0, 0], batch.maps[0, :, :2, :2].mean((1, 2)))
    torch.testing.assert_close(maps[0, :, 2, 0], batch.maps[2, :, 1:, :2].mean((1, 2)))
    corners = [batch.maps[q, :, -(q // 2 == 0), -(q % 2 == 0)] for q in range(4)]
    torch.testing.assert_close(maps[0, :, 1, 1], torch.stack(corners).mean(0))


def naive_loss(images: Encoded, texts: Encoded, image_of: list[int], side: int) -> float:
    of_captions, of_words = [], []
    for t, photo in enumerate(image_of):
        if photo // 4 >= len(images.local):
            continue
        regions = images.local[photo // 4].double()
        words = [row.double() for row, real in zip(texts.local[t], texts.mask[t]) if real]

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
    count=st.integers(4, 11), grid=st.sampled_from([2, 4]), words=st.integers(1, 4),
    seed=st.integers(0, 99),
)  # fmt: skip
def test_the_loss_equals_loops(count: int, grid: int, words: int, seed: int) -> None:
    rng = torch.Generator().manual_seed(seed)
    image_of = torch.randperm(2 * count, generator=rng) % count
    mask = torch.rand(2 * count, words, generator=rng) > 0.4
    mask[:, 0] = True
    local = torch.randn(2 * count, words, 3, generator=rng) * mask[..., None]
    texts = Encoded(torch.zeros(0), torch.zeros(0), local, mask)
    regions = torch.randn(count // 4, grid * grid, 3, generator=rng)
    images = Encoded(
        torch.zeros(0), torch.zeros(0), regions, torch.ones(regions.shape[:2], dtype=torch.bool)
    )
    found = float(mosaic_loss(images, texts, image_of))
    assert found == pytest.approx(naive_loss(images, texts, image_of.tolist(), grid), rel=1e-4)


@pytest.mark.parametrize(
    "boxes",
    [None, grid_boxes(3), grid_boxes(2)[:3], grid_boxes(2)[::-1], np.zeros((1, 4, 4), np.float32)],
)
def test_regions_that_are_no_even_grid_are_refused(boxes: np.ndarray | None) -> None:
    with pytest.raises(ConfigError, match=r"optim\.mosaics: .*vision\.grid 6"):
        check_grid(boxes)
    check_grid(grid_boxes(6))


def test_a_model_without_the_local_level_cannot_train_with_mosaics(tmp_path: Path) -> None:
    config = tiny_config(tmp_path, model={"levels": ["context"]}, optim={"mosaics": 1.0})
    with pytest.raises(ConfigError, match=r"optim\.mosaics: .*local level"):
        Trainer(config, resume=False)


def test_training_with_mosaics_lowers_their_loss(tmp_path: Path) -> None:
    """The loss on mosaics of validation photos, after training with and without it."""
    found = []
    for weight in (0.0, 1.0):
        config = tiny_config(tmp_path, optim={"mosaics": weight, "epochs": 8})
        config = replace(config, run=tmp_path / f"run{weight}")
        train(config)
        trainer = Trainer(config, resume=True)
        data = trainer.val_data[0]
        network = trainer._evaluated().eval()
        with torch.inference_mode():
            mosaics = network.encode_photos(make_mosaics(data.images(range(len(data.rows)))))
            texts = network.encode_text(data.texts(range(len(data.tokens))))
        image_of = torch.from_numpy(data.captions.image_of)
        found.append(float(mosaic_loss(mosaics, texts, image_of)))
    assert found[1] < 0.8 * found[0]
