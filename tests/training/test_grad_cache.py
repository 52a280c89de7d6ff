"""Gradient caching: in chunks, with little memory, the gradients are those of the whole batch."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from hgan.data.batches.types import ImageBatch
from hgan.model.encoding import concatenate
from hgan.model.matcher import combine
from hgan.training.folder import run_folder
from hgan.training.losses.loss import objective
from hgan.training.trainer import Trainer, train
from tests.fixtures.gradients import (
    NORMALISED,
    assert_same_gradients,
    cases,
    gradients,
    gradients_config,
)
from tests.fixtures.tiny_model import tiny_config


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("data")
    tiny_config(made)
    return made


@pytest.mark.parametrize(("kind", "loss"), cases())
def test_chunks_have_the_gradients_of_the_whole_batch(folder: Path, kind: str, loss: str) -> None:
    config = gradients_config(folder, kind, loss)
    assert_same_gradients(gradients(config, chunk_images=3), gradients(config))


@pytest.mark.parametrize("chunk", [1, 2, 5, 7, 8, 100])
def test_any_size_of_chunks(folder: Path, chunk: int) -> None:
    config = gradients_config(folder, "hgan", "infonce")
    assert_same_gradients(gradients(config, chunk_images=chunk), gradients(config))


def test_the_random_numbers_of_both_passes_are_the_same(folder: Path) -> None:
    """The naive twin encodes the same chunks with the same random numbers, and keeps everything."""
    config = tiny_config(folder, optim={"chunk_images": 3}, model={"dropout": 0.5})
    trainer = Trainer(replace(config, run=folder / "none"), resume=False)
    network, criterion = trainer.model.network, trainer.criterion
    network.train()
    batch = next(trainer._batches(0))
    parameters = {n: p for n, p in network.named_parameters() if p.requires_grad}

    def grads(loss: Tensor) -> dict[str, Tensor]:
        found = torch.autograd.grad(loss, list(parameters.values()), allow_unused=True)
        return {n: g for n, g in zip(parameters, found, strict=True) if g is not None}

    torch.manual_seed(7)
    photos = [network.encode_photos(part) for part in batch.images.split(3)]
    texts = [network.encode_text(part) for batch in batch.texts for part in batch.split(6)]
    images, captions = concatenate(photos), concatenate(texts)
    assert len(photos) == 3 and len(texts) > 3
    levels = network.levels(images, captions)
    total = combine(levels, network.weights)
    expected = objective(criterion, levels, total, batch.image_of)
    expected_gradients = grads(expected)

    torch.manual_seed(7)
    trainer.optimizer.zero_grad(set_to_none=True)
    found = trainer.loss_of(batch)
    after = torch.get_rng_state()
    torch.rand(3)  # what comes between the passes does not matter
    found.backward()
    assert found.item() == pytest.approx(expected.item(), rel=1e-6)
    for name, gradient in expected_gradients.items():
        torch.testing.assert_close(parameters[name].grad, gradient, atol=1e-5, rtol=1e-4)
    torch.set_rng_state(after)
    assert not torch.equal(torch.rand(3), torch.rand(3))
    other = trainer.loss_of(batch)
    assert other.item() != found.item()  # there is dropout


def test_photos_are_encoded_in_chunks_and_twice(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny_config(folder, optim={"chunk_images": 3})
    trainer = Trainer(replace(config, run=folder / "none"), resume=False)
    network = trainer.model.network
    sizes: list[tuple[int, bool]] = []
    original = network.encode_image

    def counted(batch: ImageBatch) -> Any:
        sizes.append((len(batch.mask), backward))
        return original(batch)

    monkeypatch.setattr(network, "encode_image", counted)
    backward = False
    loss = trainer.loss_of(next(trainer._batches(0)))
    backward = True
    loss.backward()
    assert sorted(sizes) == sorted((size, again) for size in (3, 3, 2) for again in (False, True))


def kept(folder: Path, chunk: int | None) -> int:
    """Size of what the graph of a loss keeps for the backward pass, in bytes."""
    config = tiny_config(folder, optim={"chunk_images": chunk, "batch_images": 32})
    trainer = Trainer(replace(config, run=folder / "none"), resume=False)
    weights = {p.untyped_storage().data_ptr() for p in trainer.model.network.parameters()}
    found: dict[int, Tensor] = {}

    def pack(x: Tensor) -> Tensor:
        if x.untyped_storage().data_ptr() not in weights:
            found[x.untyped_storage().data_ptr()] = x
        return x

    batch = next(trainer._batches(0))
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        loss = trainer.loss_of(batch)
    assert loss.requires_grad
    return sum(x.untyped_storage().nbytes() for x in found.values())


def test_chunks_keep_little_for_the_backward_pass(folder: Path) -> None:
    assert kept(folder, 2) < 0.15 * kept(folder, None)


@pytest.mark.parametrize("kind", NORMALISED)
def test_batch_norm_is_refused(folder: Path, kind: str) -> None:
    config = gradients_config(folder, kind, "infonce")
    chunked = replace(config, optim=replace(config.optim, chunk_images=4))
    with pytest.raises(Exception, match=r"has batch norm .*train with one process and without"):
        Trainer(chunked, resume=False)
    whole = replace(config, optim=replace(config.optim, chunk_images=8))
    Trainer(whole, resume=False)


@pytest.mark.slow
def test_a_run_can_be_continued_with_other_chunks(folder: Path, tmp_path: Path) -> None:
    """They are a matter of memory, not of results."""
    config = replace(tiny_config(folder), run=tmp_path)
    train(config, stop_after=1)
    other = replace(config, optim=replace(config.optim, chunk_images=2))
    assert train(other, resume=True).epoch > 0
    assert len((run_folder(config) / "log.csv").read_text().splitlines()) == 3
