"""Evaluation of a model, by level and for S, equals the whole matrix; the choice of weights."""

import numpy as np
import pytest
import torch

from hgan.data.batches.dataset import Dataset
from hgan.data.captions.read import read_captions
from hgan.data.features.store import FeatureStore
from hgan.errors import ConfigError, DataError
from hgan.evaluation.evaluate import choose_weights, evaluate
from hgan.evaluation.metrics import metrics
from hgan.evaluation.scoring import encode
from hgan.evaluation.types import Metrics, Ranks
from hgan.model.io import TrainedModel
from hgan.model.matcher import combine
from hgan.training.config import Config
from tests.fixtures.tiny_model import tiny_config, tiny_dataset, tiny_model


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    return tiny_config(tmp_path_factory.mktemp("data"))


@pytest.fixture
def model(config: Config) -> TrainedModel:
    made = tiny_model(config)
    made.network.eval()
    made.network.set_weights({"context": 0.2, "shared": 0.3, "local": 0.5})
    return made


@pytest.fixture
def data(config: Config, model: TrainedModel) -> Dataset:
    return tiny_dataset(config, model, "val")


def by_hand(scores: torch.Tensor, image_of: np.ndarray) -> Metrics:
    matrix = scores.numpy()
    own = image_of[None] == np.arange(len(matrix))[:, None]
    best = np.where(own, matrix, -np.inf).max(1, keepdims=True)
    right = matrix[image_of, np.arange(len(image_of))]
    to_text = ((matrix >= best) & ~own).sum(1)
    to_image = ((matrix >= right) & ~own).sum(0)
    return metrics(Ranks(to_text, to_image, 0))


def matrices(model: TrainedModel, data: Dataset) -> dict[str, torch.Tensor]:
    """Each level's whole matrix, every photo and caption encoded alone."""
    network = model.network
    with torch.inference_mode():
        images = [network.encode_image(data.images([i])) for i in range(len(data.rows))]
        texts = [network.encode_text(data.texts([t])) for t in range(len(data.tokens))]
        rows = [[network.levels(i, t) for t in texts] for i in images]
    return {
        name: torch.tensor([[float(pair[name]) for pair in row] for row in rows])
        for name in network.config.levels
    }


def test_every_level_and_s_equal_the_whole_matrix(model: TrainedModel, data: Dataset) -> None:
    levels = matrices(model, data)
    found = evaluate(model.network, data)
    assert list(found) == ["context", "shared", "local", "S"]
    levels["S"] = combine(levels, model.network.weights)
    for name, scores in levels.items():
        expected = by_hand(scores, data.captions.image_of)
        assert found[name].rsum == pytest.approx(expected.rsum)
        assert found[name].text_to_image == expected.text_to_image
        assert found[name].image_to_text == expected.image_to_text


def test_chosen_weights_sum_to_one_and_are_the_best_of_the_grid(
    model: TrainedModel, data: Dataset
) -> None:
    weights, (found,) = choose_weights(model.network, data)
    assert sum(weights.values()) == pytest.approx(1.0)
    assert min(weights.values()) > 0 and list(weights) == ["context", "shared", "local"]
    levels = matrices(model, data)
    for one in ((0.1, 0.1, 0.8), (0.8, 0.1, 0.1), (0.3, 0.3, 0.4)):
        tried = combine(levels, dict(zip(levels, one, strict=True)))
        assert by_hand(tried, data.captions.image_of).rsum <= found["S"].rsum + 1e-6
    model.network.set_weights(weights)
    again = evaluate(model.network, data)
    assert again["S"].rsum == pytest.approx(found["S"].rsum)
    assert {n: again[n] for n in levels} == {n: found[n] for n in levels}


@pytest.mark.parametrize("split", ["test", "train"])
def test_weights_are_never_chosen_on_test(split: str, config: Config, model: TrainedModel) -> None:
    data = tiny_dataset(config, model, split)
    with pytest.raises(ConfigError, match=f"but these photos are in split {split}"):
        choose_weights(model.network, data)


def test_weights_are_not_chosen_on_a_file_that_holds_test_photos_too(
    config: Config, model: TrainedModel
) -> None:
    store = FeatureStore(config.data.features)
    everything = Dataset(read_captions(config.data.captions), store, model.tokenizer, 16)
    with pytest.raises(ConfigError, match="in split test, train, val, not val"):
        choose_weights(model.network, everything)


def test_one_level_has_the_weight_one_and_no_s(config: Config) -> None:
    settings = tiny_config(
        config.data.captions.parent,
        model={"levels": ["context"], "mfar": False, "image_graph": False, "text_graph": False},
    )
    model = tiny_model(settings)
    data = tiny_dataset(settings, model, "val")
    weights, (found,) = choose_weights(model.network.eval(), data)
    assert weights == {"context": 1.0} and list(found) == ["context"]
    assert found == evaluate(model.network, data)


def test_scores_have_all_their_digits_under_autocast(model: TrainedModel, data: Dataset) -> None:
    """In bfloat16, 256 values between a half and one, most photos would be tied with others."""
    with torch.autocast("cpu", torch.bfloat16):
        found = evaluate(model.network, data)
        _, (chosen,) = choose_weights(model.network, data)
    for level in (*found.values(), *chosen.values()):
        assert level.tied == 0


def test_evaluation_needs_no_gradient_and_leaves_the_model_as_it_was(
    model: TrainedModel, data: Dataset
) -> None:
    before = {name: tensor.clone() for name, tensor in model.network.state_dict().items()}
    choose_weights(model.network, data)
    for name, tensor in model.network.state_dict().items():
        assert torch.equal(tensor, before[name])
    images, _ = encode(model.network, data)
    assert not images.context.requires_grad


def test_weights_that_are_not_finite_are_an_error(model: TrainedModel, data: Dataset) -> None:
    with torch.no_grad():
        model.network.image_tower.context_whole.bias[0] = float("nan")
    with pytest.raises(DataError, match="context scores"):
        evaluate(model.network, data)


def test_optional_levels_can_have_small_weights_and_none(
    model: TrainedModel, data: Dataset
) -> None:
    model.network.optional_levels = frozenset({"shared", "local"})
    scores = matrices(model, data)
    small = [0.0, 0.01, 0.02, 0.05, *(step / 10 for step in range(1, 10))]
    grid = [(round(1 - s - t, 6), s, t) for s in small for t in small if s + t <= 0.9 + 1e-9]
    found = [
        by_hand(combine(scores, dict(zip(scores, parts, strict=True))), data.captions.image_of)
        for parts in grid
    ]
    weights, [chosen] = choose_weights(model.network, data)
    assert list(weights) == ["context", "shared", "local"]
    assert sum(weights.values()) == pytest.approx(1) and tuple(weights.values()) in grid
    assert chosen["S"].rsum == pytest.approx(max(each.rsum for each in found))


@pytest.mark.parametrize("worthless", ["shared", "local"])
def test_an_optional_level_that_is_worth_nothing_is_left_out(
    model: TrainedModel, data: Dataset, monkeypatch: pytest.MonkeyPatch, worthless: str
) -> None:
    """Scores that rank the wrong pairs highest, and context scores that are perfect."""
    right = torch.from_numpy(
        (data.captions.image_of[None] == np.arange(len(data.rows))[:, None]).astype(np.float32)
    )
    made = {name: 0.01 * right for name in model.network.level_names} | {worthless: -right}

    def levels(self: object, rows: slice, columns: slice) -> dict[str, torch.Tensor]:
        return {name: matrix[rows, columns] for name, matrix in made.items()}

    monkeypatch.setattr("hgan.evaluation.scoring.Member.levels", levels)
    model.network.optional_levels = frozenset({"shared", "local"})
    weights, [chosen] = choose_weights(model.network, data)
    assert weights == {"context": 1.0, "shared": 0.0, "local": 0.0} and chosen["S"].rsum == 600
    model.network.optional_levels = frozenset()
    weights, [chosen] = choose_weights(model.network, data)
    assert weights[worthless] >= 0.1 and chosen["S"].rsum < 600


def test_of_equal_weights_the_most_is_left_to_the_level_that_is_not_optional(
    model: TrainedModel, data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    same = torch.from_numpy(
        (data.captions.image_of[None] == np.arange(len(data.rows))[:, None]).astype(np.float32)
    )

    def levels(self: object, rows: slice, columns: slice) -> dict[str, torch.Tensor]:
        return {name: same[rows, columns] for name in model.network.level_names}

    monkeypatch.setattr("hgan.evaluation.scoring.Member.levels", levels)
    weights, _ = choose_weights(model.network, data)
    assert weights == {"context": 0.1, "shared": 0.1, "local": 0.8}  # the first, as ever
    model.network.optional_levels = frozenset({"shared", "local"})
    weights, _ = choose_weights(model.network, data)
    assert weights == {"context": 1.0, "shared": 0.0, "local": 0.0}
