"""Several real processes have the loss and the gradients of one, or are refused."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hgan.data.batches.dataset import Dataset
from hgan.errors import ConfigError
from hgan.launch import join
from hgan.training import trainer as trainer_module
from hgan.training.config import Config
from hgan.training.distributed import BUCKET, average_gradients, epoch_seed
from hgan.training.trainer import Trainer
from tests.fixtures.gradients import (
    NORMALISED,
    assert_same_gradients,
    cases,
    gradients,
    gradients_config,
)
from tests.fixtures.processes import Group
from tests.fixtures.tiny_model import tiny_config
from tests.training.test_mosaics import write_mosaics

pytestmark = pytest.mark.slow  # several processes work together


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("data")
    tiny_config(made)
    return made


@pytest.mark.parametrize(("kind", "loss"), cases())
def test_gradients_of_two_and_three_processes(
    folder: Path, kind: str, loss: str, pair: Group, trio: Group
) -> None:
    config = gradients_config(folder, kind, loss)
    expected = gradients(config)
    for found in [*pair.run(gradients, config), *trio.run(gradients, config)]:
        assert_same_gradients(found, expected)


@pytest.mark.parametrize("chunk", [1, 2])
def test_gradients_of_chunks_in_several_processes(
    folder: Path, chunk: int, pair: Group, trio: Group
) -> None:
    """Eight photos: two processes have as many chunks, three do not."""
    config = gradients_config(folder, "hgan", "infonce")
    expected = gradients(config)
    for group in (pair, trio):
        for found in group.run(gradients, config, chunk_images=chunk):
            assert_same_gradients(found, expected)


@pytest.mark.parametrize("chunk", [None, 1])
def test_gradients_with_mosaics(tmp_path: Path, chunk: int | None, pair: Group) -> None:
    """Twelve photos are three mosaics, so that one process has two of them."""
    optim = {"epochs": 2, "batch_images": 12}
    config = tiny_config(tmp_path, model={"dropout": 0.0}, vision={"mosaics": 2}, optim=optim)
    config = replace(config, run=tmp_path / "none")
    write_mosaics(tmp_path, 2)
    with_mosaics = gradients(config)
    without = gradients(replace(config, vision=replace(config.vision, mosaics=0)))
    assert abs(with_mosaics[0] - without[0]) > 0.01
    for found in pair.run(gradients, config, chunk_images=chunk):
        assert_same_gradients(found, with_mosaics)


def first_values(config: Config) -> list[list[float]]:
    """The first value of each of the process's mosaics, by batch."""
    batches = Trainer(config, resume=False)._batches(config.optim.epochs - 1)
    return [batch.mosaics.regions[:, 0, 0].tolist() for batch in batches]


def test_each_mosaic_is_read_by_one_process(tmp_path: Path, pair: Group) -> None:
    optim = {"epochs": 2, "batch_images": 12}
    config = tiny_config(tmp_path, vision={"mosaics": 2}, optim=optim)
    write_mosaics(tmp_path, 2)
    whole = first_values(config)
    assert [len(batch) for batch in whole] == [3, 3]
    first, second = pair.run(first_values, config)
    assert [one + other for one, other in zip(first, second, strict=True)] == whole


@pytest.mark.parametrize("text", [{"trainable_layers": 0}, {"encoder": "bigru"}], ids=str)
def test_gradients_with_a_cache_and_with_a_recurrent_encoder(
    folder: Path, text: dict[str, Any], pair: Group
) -> None:
    config = gradients_config(folder, "hgan", "infonce")
    config = replace(config, text=replace(config.text, **text))
    expected = gradients(config)
    for found in pair.run(gradients, config, chunk_images=2):
        assert_same_gradients(found, expected)


def shares(config: Config) -> list[tuple[list[int], list[float], list[list[int]]]]:
    """Of each batch of an epoch: the whole batch's photos, the own photos' first values, and the
    own captions' tokens."""
    trainer = Trainer(config, resume=False)
    return [
        (
            batch.photos.tolist(),
            batch.images.regions[:, 0, 0].tolist(),
            [i[m.bool()].tolist() for t in batch.texts for i, m in zip(t.ids, t.mask, strict=True)],
        )
        for batch in trainer._batches(0)
    ]


def test_shares_have_no_overlap_and_no_loss(folder: Path, pair: Group, trio: Group) -> None:
    """Also with augmentation: photos, views, dropped words are those of one process."""
    config = replace(tiny_config(folder), run=folder / "none")
    assert config.optim.word_drop
    whole = shares(config)
    for group in (pair, trio):
        for expected, *parts in zip(whole, *group.run(shares, config), strict=True):
            assert all(photos == expected[0] for photos, _, _ in parts)
            assert [x for _, own, _ in parts for x in own] == expected[1]
            captions = [words for _, _, own in parts for words in own]
            assert sorted(captions) == sorted(expected[2])
            counts = [len(own) for _, _, own in parts]
            assert max(counts) - min(counts) <= 1


def dropped(config: Config) -> list[list[bool]]:
    trainer = Trainer(config, resume=False)
    return [row for batch in trainer._batches(0) for row in batch.images.mask.tolist()]


def test_dropped_regions_are_those_of_one_process(folder: Path, trio: Group) -> None:
    config = replace(tiny_config(folder, optim={"batch_images": 32}), run=folder / "none")
    whole = dropped(config)
    assert any(not all(row) for row in whole)
    assert [row for part in trio.run(dropped, config) for row in part] == whole


def some_gradients() -> list[list[float] | None]:
    own = join(torch.device("cpu"))
    parameters = [torch.nn.Parameter(torch.zeros(2, dtype=kind)) for kind in KINDS_OF_NUMBERS]
    parameters += [torch.nn.Parameter(torch.zeros(2)) for _ in range(2)]
    for parameter in parameters[:3]:
        parameter.grad = torch.full_like(parameter, own.rank + 1)
    if own.rank == 1:
        parameters[3].grad = torch.tensor([1.0, 3.0])
    frozen = torch.nn.Parameter(torch.zeros(2), requires_grad=False)
    average_gradients(own, [*parameters, frozen])
    return [None if p.grad is None else p.grad.tolist() for p in parameters]


KINDS_OF_NUMBERS = (torch.float32, torch.float64, torch.float32)


def test_gradients_are_averaged_where_any_process_has_one(pair: Group) -> None:
    expected = [[1.5, 1.5], [1.5, 1.5], [1.5, 1.5], [0.5, 1.5], None]
    assert pair.run(some_gradients) == [expected, expected]


def large_gradients() -> float:
    own = join(torch.device("cpu"))
    parameters = [torch.nn.Parameter(torch.zeros(BUCKET // 2 + 1)) for _ in range(3)]
    for i, parameter in enumerate(parameters):
        parameter.grad = torch.full_like(parameter, float(i + own.rank))
    average_gradients(own, parameters)
    return max(float((p.grad - (i + 0.5)).abs().max()) for i, p in enumerate(parameters))


def test_gradients_that_do_not_fit_in_one_bucket(pair: Group) -> None:
    assert pair.run(large_gradients) == [0.0, 0.0]


def test_processes_and_epochs_have_random_numbers_of_their_own() -> None:
    seeds = {
        epoch_seed(seed, epoch, rank) for seed in (1, 2) for epoch in (0, 1) for rank in (0, 1)
    }
    assert len(seeds) == 8 and epoch_seed(1, 0, 1) == epoch_seed(1, 0, 1)
    assert epoch_seed(1, 0, 1) < 2**32 and isinstance(epoch_seed(1, 0, 1), int)


def weights(config: Config) -> list[float]:
    """Sums of the weights after the start, of which the last process has drawn others."""
    own = join(torch.device("cpu"))
    with pytest.MonkeyPatch.context() as patch:
        if own.rank == own.count - 1:
            patch.setattr(trainer_module, "set_seed", lambda seed: torch.manual_seed(seed + 1))
        trainer = Trainer(config, resume=False)
    modules = trainer.network, trainer.averaged.module, trainer.criterion
    return [float(p.double().sum()) for module in modules for p in module.parameters()]


def test_all_start_with_the_weights_of_the_first(folder: Path, trio: Group) -> None:
    first, *others = trio.run(weights, tiny_config(folder))
    assert all(sums == first for sums in others)


def refusal(config: Config) -> str:
    """What is said before work starts."""
    try:
        Trainer(config, resume=False)
    except ConfigError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("kind", NORMALISED)
def test_batch_norm_is_refused(folder: Path, kind: str, pair: Group) -> None:
    for said in pair.run(refusal, gradients_config(folder, kind, "infonce")):
        assert "has batch norm (" in said and "train with one process" in said


def test_more_processes_than_photos_of_a_batch(folder: Path, trio: Group) -> None:
    config = tiny_config(folder, optim={"batch_images": 2})
    for said in trio.run(refusal, config):
        assert said.startswith("3 processes, but a batch has 2 photos; start at most 2 processes")


def test_more_processes_than_mosaics_of_a_batch(tmp_path: Path, trio: Group) -> None:
    config = tiny_config(tmp_path, vision={"mosaics": 2})
    write_mosaics(tmp_path, 2)
    for said in trio.run(refusal, config):
        assert said.startswith("3 processes, but a batch has 2 mosaics; start at most 2 processes")


def test_more_batches_in_a_step_than_in_an_epoch(folder: Path) -> None:
    said = refusal(tiny_config(folder, optim={"accumulate": 5}))
    assert said.startswith("optim.accumulate: 5, but an epoch has fewer batches of 8 photos")


def ranked(config: Config, other: dict[str, Any]) -> str:
    """The last process has other settings."""
    own = join(torch.device("cpu"))
    if own.rank == own.count - 1:
        config = replace(config, optim=replace(config.optim, **other))
    return refusal(config)


def test_settings_that_differ_are_refused_by_all(folder: Path, trio: Group) -> None:
    changes = {"learning_rate": 0.3, "chunk_images": 2}
    for said in trio.run(ranked, tiny_config(folder), changes):
        assert "optim.learning_rate: 0.3 in process 2, 0.005 in process 0" in said
        assert "optim.chunk_images: 2 in process 2, not set in process 0" in said
        assert said.endswith("start all processes with the same command, files and versions")


def other_data(config: Config, what: str) -> str:
    """The last process has other data in the same places."""
    own = join(torch.device("cpu"))
    original = trainer_module.run_datasets

    def changed(*arguments: Any) -> tuple[Dataset, list[Dataset]]:
        data, val = original(*arguments)
        if what == "captions":
            data.captions.texts[3] = "another caption"
        if what == "tokens":
            data.tokens[5] = data.tokens[5].flip(0)
        if what == "features":
            data.rows = np.roll(data.rows, 1)
        return data, val

    with pytest.MonkeyPatch.context() as patch:
        if own.rank == own.count - 1:
            patch.setattr(trainer_module, "run_datasets", changed)
        return refusal(config)


@pytest.mark.parametrize("what", ["captions", "tokens", "features"])
def test_data_that_differ_are_refused_by_all(folder: Path, what: str, pair: Group) -> None:
    for said in pair.run(other_data, tiny_config(folder), what):
        assert f"processes of one run differ ({what} of train: " in said
        assert "copy data.captions, data.features and the weights of text.encoder" in said
