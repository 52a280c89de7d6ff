"""Each item of a split is encoded once; score tiles of a model or of an ensemble; their cost."""

import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from hgan.data.batches.dataset import Dataset
from hgan.data.captions.types import Captions
from hgan.data.features.store import FeatureStore
from hgan.encoded import final_level
from hgan.evaluation import scoring as module
from hgan.evaluation.cost import measure_cost
from hgan.evaluation.evaluate import evaluate
from hgan.evaluation.ranking import TILE
from hgan.evaluation.scoring import Member, Scores, encode
from hgan.model.io import TrainedModel
from hgan.model.matcher import combine
from hgan.training.config import Config
from tests.fixtures.tiny_model import tiny_config, tiny_dataset, tiny_model


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    return tiny_config(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def model(config: Config) -> TrainedModel:
    made = tiny_model(config)
    made.network.eval()
    return made


@pytest.fixture(scope="module")
def data(config: Config, model: TrainedModel) -> Dataset:
    return tiny_dataset(config, model, "val")


def member(model: TrainedModel, data: Dataset) -> Member:
    return Member(model.network, *encode(model.network, data))


def test_small_chunks_change_nothing(
    model: TrainedModel, data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = evaluate(model.network, data)
    monkeypatch.setattr(module, "IMAGE_BATCH", 3)
    monkeypatch.setattr(module, "ENCODE_BATCH", 5)
    assert evaluate(model.network, data) == expected


@pytest.mark.parametrize("trainable", [0, 1, None])
@pytest.mark.parametrize("keeps_pretrained", [False, True])
def test_exact_states_change_nothing(
    config: Config, trainable: int | None, keeps_pretrained: bool
) -> None:
    """Bit for bit, with captions that read the same."""
    fresh = tiny_model(replace(config, text=replace(config.text, trainable_layers=trainable)))
    text = fresh.network.eval().text
    if keeps_pretrained:
        text.keep_pretrained(trainable)
    data = tiny_dataset(config, fresh, "val")
    data.tokens[0] = data.tokens[9]
    _, expected = encode(fresh.network, data)
    data.cache_frozen_states(text, torch.float32)
    assert (data.frozen_cache is None) == (trainable is None)
    assert (data.pretrained_cache is None) == (not keeps_pretrained)
    _, found = encode(fresh.network, data)
    for name in ("context", "slots", "local", "mask"):
        assert torch.equal(getattr(found, name), getattr(expected, name))


def test_captions_come_back_in_their_order(model: TrainedModel, data: Dataset) -> None:
    _, texts = encode(model.network, data)
    with torch.inference_mode():
        for t in (0, 7, len(data.tokens) - 1):
            alone = model.network.encode_text(data.texts([t]))
            torch.testing.assert_close(texts.context[t : t + 1], alone.context)


def test_captions_that_read_the_same_tie_to_the_last_bit_and_are_reported(
    config: Config, model: TrainedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four photos share a caption; they are ties whatever batches the captions fall into."""
    monkeypatch.setattr(module, "ENCODE_BATCH", 2)
    photos = [f"{i:03}.jpg" for i in range(6)]
    texts = ["a red dog in the snow"] * 4 + ["a blue cat", "white bird at a street", "the grass"]
    captions = Captions(photos, texts, np.array([0, 1, 2, 3, 4, 5, 5]), ["val"] * 6)
    data = Dataset(captions, FeatureStore(config.data.features), model.tokenizer, 16)
    _, encoded = encode(model.network, data)
    for array in (encoded.context, encoded.slots, encoded.local):
        assert all(torch.equal(array[0], array[t]) for t in (1, 2, 3))
    assert not torch.equal(encoded.context[0], encoded.context[4])
    for level in evaluate(model.network, data).values():
        assert level.tied == 4  # photos 0 to 3: the others' caption scores as their own


def test_a_part_scores_as_the_whole_does(model: TrainedModel, data: Dataset) -> None:
    scores = Scores([member(model, data)])
    everything = scores(slice(0, len(data.rows)), slice(0, len(data.tokens)))
    columns = torch.tensor([5, 1, 8])
    part = scores.part(slice(2, 7), columns)(slice(1, 4), slice(0, 2))
    for name, tile in part.items():
        torch.testing.assert_close(tile, everything[name][3:6][:, columns[:2]])


def test_an_ensemble_is_the_mean_of_its_models_final_scores(
    config: Config, model: TrainedModel, data: Dataset
) -> None:
    """One of three levels, one of a single level: only their final scores can be averaged."""
    alone = {"levels": ["context"], "mfar": False, "image_graph": False, "text_graph": False}
    single = tiny_model(replace(config, model=replace(config.model, **alone)), seed=1)
    single.network.eval()
    one, other = member(model, data), member(single, data)
    tile = slice(1, 9), slice(0, 14)
    found = Scores([one, other])(*tile)
    first, second = Scores([one])(*tile), Scores([other])(*tile)
    assert list(found) == ["S"] and list(second) == ["context"]
    by_hand = combine({n: first[n] for n in model.network.level_names}, model.network.weights)
    torch.testing.assert_close(found["S"], (by_hand + second["context"]) / 2)
    assert not torch.allclose(found["S"], first["S"], atol=1e-3)


def test_the_size_of_an_encoded_photo(model: TrainedModel, data: Dataset) -> None:
    scores = Scores([member(model, data)])
    width = 24 + 2 * 8 + 4 * 8  # context, two slots, four regions
    assert scores.bytes_per_image == 2 * width
    assert Scores(scores.members * 2).bytes_per_image == 4 * width


def test_cost_is_measured_on_full_tiles_of_a_small_split(
    model: TrainedModel, data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = Scores([member(model, data)])
    tiles: list[dict[str, torch.Tensor]] = []
    compare = Scores.__call__

    def slowly(self: Scores, rows: slice, columns: slice) -> dict[str, torch.Tensor]:
        tiles.append(compare(self, rows, columns))
        time.sleep(0.3 if len(tiles) == 1 else 0.1)
        return tiles[-1]

    monkeypatch.setattr(Scores, "__call__", slowly)
    cost = measure_cost(scores)
    photos, texts = scores.shape
    assert photos < TILE[0] and texts < TILE[1]
    tile = tiles[0]["S"]
    assert tile.shape == TILE and cost["pairs"] == (len(tiles) - 1) * tile.numel() >= 100_000
    torch.testing.assert_close(tile[:photos, :texts], tile[photos : 2 * photos, texts : 2 * texts])
    assert 0.1 < 1e-6 * cost["microseconds_per_pair"] * tile.numel() < 0.25  # not the first one
    assert cost["bytes_per_image"] == scores.bytes_per_image


def test_the_final_score() -> None:
    assert final_level(["context", "S"]) == "S"
    assert final_level(iter(["local"])) == "local"
