"""HGAN on a dual encoder from photos to search: extract, train, evaluate, export, index."""

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import hgan
from hgan.cli import main
from hgan.data.batches.dataset import Dataset
from hgan.data.captions.read import read_captions
from hgan.evaluation.evaluate import evaluate
from hgan.export.bundle import export
from hgan.model.io import TrainedModel, load_checkpoint
from hgan.runtime.bundle import Bundle
from hgan.training.config import Config
from hgan.training.trainer import train
from hgan.vision.features import features_of
from tests.fixtures.dual_encoders import TEXTS, own_features
from tests.fixtures.dual_hgan import GRID, dual_config, extract_features
from tests.fixtures.scenes import draw_scene

NAMES = ["clip", *(pytest.param(name, marks=pytest.mark.slow) for name in ("siglip", "altclip"))]


@pytest.fixture(scope="module", params=NAMES)
def config(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Config:
    made = dual_config(tmp_path_factory.mktemp("data") / "dual", request.param)
    extract_features(made)
    return made


@pytest.fixture(scope="module")
def best(config: Config) -> Path:
    return train(config).best


@pytest.fixture(scope="module")
def bundle(best: Path) -> Bundle:
    return Bundle.load(export(best, best.parent / "bundle"))


def photos() -> list[Image.Image]:
    sizes = [(120, 90), (50, 200), (32, 32), (36, 40)]
    return [draw_scene(number).resize(size) for number, size in enumerate(sizes)]


def untrained(config: Config) -> TrainedModel:
    store = features_of(config.vision, config.data.features)
    torch.manual_seed(0)
    return TrainedModel.create(
        config.model, config.vision, config.text, store.width, store.boxes, (), store.context_width
    )


@pytest.mark.slow
def test_a_bundle_before_training_is_the_dual_encoder(config: Config, tmp_path: Path) -> None:
    untrained(config).save_pretrained(tmp_path / "start")
    bundle = Bundle.load(export(tmp_path / "start", tmp_path / "bundle"))
    images, texts = own_features(Path(config.vision.backbone), photos(), TEXTS)
    found = hgan.similarity(bundle.encode_image(photos()), bundle.encode_text(TEXTS))
    np.testing.assert_allclose(found, images @ texts.T, atol=1e-4)
    for text, row in zip(TEXTS, texts, strict=True):  # without padding to longer ones
        np.testing.assert_allclose(bundle.encode_text(text).context[0], row, atol=1e-4)


def test_training_says_what_was_known_before(
    config: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = untrained(config)
    captions = read_captions(config.data.captions).split("val")
    store = features_of(config.vision, config.data.features)
    data = Dataset(captions, store, model.tokenizer, config.text.max_words)
    rsum = evaluate(model.network.eval(), data)["S"].rsum
    words = ["train", *arguments(config), "--run", str(tmp_path / "run")]
    assert main(words) == 0
    told = " ".join(capsys.readouterr().err.split())
    assert f"before training val rSum S {rsum:.1f} (the prior's)" in told
    with (tmp_path / "run" / "seed1" / "log.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 1


def arguments(config: Config) -> list[str]:
    """The settings as options of the command line."""
    words = []
    for section, values in config.as_dict().items():
        if isinstance(values, dict):
            for key, value in values.items():
                if value is not None and not isinstance(value, list):
                    words += [f"--{section}.{key}", str(value).lower() if value in (True, False)
                              and isinstance(value, bool) else str(value)]  # fmt: skip
    return words


@pytest.mark.slow
def test_the_bundle_gives_the_checkpoints_s(best: Path, bundle: Bundle) -> None:
    model = hgan.load(best)
    photo_rows, text_rows = model.encode_image(photos()), model.encode_text(TEXTS)
    exported = bundle.encode_image(photos()), bundle.encode_text(TEXTS)
    expected = hgan.similarity(photo_rows, text_rows, levels=True)
    found = hgan.similarity(*exported, levels=True)
    np.testing.assert_allclose(found.total, expected.total, atol=1e-4)
    for name, scores in found.levels.items():
        np.testing.assert_allclose(scores, expected.levels[name], atol=1e-4)
    assert bundle.preprocessing == model.preprocessing
    start = own_features(load_checkpoint(best).vision.backbone, photos(), TEXTS)
    assert np.abs(found.levels["context"] - start[0] @ start[1].T).max() > 1e-3, "it has learned"


@pytest.mark.slow
def test_evaluation_of_bundle_and_checkpoint_agree(config: Config, best: Path) -> None:
    """The checkpoint on features in float16, the bundle on the photos themselves."""
    model = load_checkpoint(best)
    captions = read_captions(config.data.captions).split("test")
    store = features_of(config.vision, config.data.features)
    data = Dataset(captions, store, model.tokenizer, config.text.max_words)
    network = model.network
    with torch.inference_mode():
        expected = network.similarity(
            network.encode_photos(data.images(range(8))),
            network.encode_text(data.texts(range(len(captions.texts)))),
        )
    loaded = hgan.load(best)
    files = [config.data.photos / name for name in captions.images]
    found = hgan.similarity(loaded.encode_image(files), loaded.encode_text(captions.texts))
    np.testing.assert_allclose(found, expected.numpy(), atol=5e-3)
    assert evaluate(network, data)["S"].rsum > 0


@pytest.mark.slow
def test_a_search_gives_s(config: Config, bundle: Bundle, tmp_path: Path) -> None:
    hgan.index_folder(config.data.photos, tmp_path / "index", bundle)
    text = "two cats on a red car"
    with hgan.open_index(tmp_path / "index") as index:
        found = index.search(text, k=5)
    files = sorted(config.data.photos.iterdir())
    scores = hgan.similarity(bundle.encode_image(files), bundle.encode_text(text))[:, 0]
    best_five = np.sort(scores)[::-1][:5]
    np.testing.assert_allclose([hit.score for hit in found], best_five, atol=2e-3)


@pytest.mark.slow
def test_an_explanation_places_regions_in_the_photo(bundle: Bundle) -> None:
    """A photo that is twice as wide as high: regions are in its middle, if the model crops."""
    photo = draw_scene(1).resize((200, 100))
    found = bundle.explain(photo, "a dog on the beach")
    assert len(found.boxes) == GRID**2
    assert sum(level.part for level in found.levels) == pytest.approx(found.score)
    left, right = found.boxes[0][0], found.boxes[-1][2]
    if bundle.preprocessing.fit == "squash":
        assert (left, right) == pytest.approx((0, 1))
        return
    shorter, size = bundle.preprocessing.shorter_side or 0, bundle.preprocessing.size
    share = size / (2 * shorter)  # of the photo's width, which is resized to 2 * shorter
    assert (left, right) == pytest.approx((0.5 - share / 2, 0.5 + share / 2), abs=1e-6)
    assert found.boxes[0][1] == pytest.approx((1 - size / shorter) / 2, abs=1e-6)
