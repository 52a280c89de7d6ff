"""Runs whose backbone is trained from photos: the same as from stored features where nothing is
drawn, resumed like others, and in the exported bundle."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import hgan
from hgan.cli import main
from hgan.config import VisionConfig
from hgan.data.captions.read import read_captions
from hgan.data.features.types import RegionFeatures
from hgan.errors import ConfigError, DataError
from hgan.evaluation.checkpoints import evaluate_checkpoints
from hgan.export.bundle import export
from hgan.model.io import load_checkpoint
from hgan.model.photos import encode_photos
from hgan.runtime.bundle import Bundle
from hgan.training.config import Config
from hgan.training.trainer import Trainer, train
from hgan.vision.backbone import Backbone, grid_boxes
from hgan.vision.load import backbone_of
from hgan.vision.photos import PhotoFeatures
from tests.fixtures.pixels import KINDS, pixel_config
from tests.fixtures.runs import assert_same_run

pytestmark = pytest.mark.usefixtures("exported_once")

LITE = pytest.param("efficientnet-lite", marks=pytest.mark.slow)  # its export takes half a minute
PRIOR = {"efficientnet-lite": "classes", "vit": "none", "clip": "dual_encoder"}
PLAIN = {"region_drop": 0.0, "word_drop": 0.0}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("pixels") / "data"
    for kind in KINDS:
        pixel_config(made, kind)
    return made


class Memory:
    """Features of plain views in memory as a store would have them, but in float32."""

    def __init__(self, backbone: Backbone, photos: Path, names: list[str]) -> None:
        self.rows, self.skipped = {name: row for row, name in enumerate(names)}, {}
        self.width, self.context_width, self.views = backbone.width, backbone.context_width, 1
        self.boxes: np.ndarray | None = grid_boxes(backbone.grid)
        pixels = [backbone.preprocessing.read(photos / name) for name in names]
        with torch.inference_mode():
            self._seen = backbone.eval()(torch.from_numpy(np.stack(pixels)))

    def read(self, rows: np.ndarray, views: np.ndarray) -> RegionFeatures:
        regions, context, maps = (part.numpy()[rows] for part in self._seen)
        return RegionFeatures(regions, context, np.ones(regions.shape[:2], bool), self.boxes, maps)


def first_scores(
    config: Config, opened: Callable[[Backbone, Path, list[str]], Any]
) -> list[Tensor]:
    """S of the first two batches, the second after a step, from this kind of features."""
    vision = config.vision

    def features(_config: Config, captions: Any, _processes: Any) -> Any:
        return opened(backbone_of(vision), config.data.photos, captions.images)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hgan.training.trainer.run_features", features)
        trainer = Trainer(config, resume=False)
    found = []
    for _, batch in zip(range(2), trainer._batches(0), strict=False):
        network = trainer.model.network.eval()
        images, texts = network.encode_photos(batch.images), network.encode_texts(batch.texts)
        found.append(network.similarity(images, texts).detach())
        trainer.network.train()
        trainer._step(batch)
    return found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "trained"),
    [
        ("efficientnet-lite", 2),
        ("vit", 1),
        ("vit", 2),
        ("clip", 1),
    ],
)
def test_without_augmentation_photos_give_the_scores_of_stored_features(
    kind: str, trained: int, folder: Path, tmp_path: Path
) -> None:
    config = pixel_config(
        folder, kind, PRIOR[kind], vision={"trainable_layers": trained}, optim=PLAIN
    )
    config = replace(config, model=replace(config.model, dropout=0.0), run=tmp_path)
    stored = first_scores(config, Memory)
    read = first_scores(config, lambda *given: PhotoFeatures(*given, views=1))
    assert stored[0].std() > 1e-3
    torch.testing.assert_close(read[0], stored[0], atol=1e-5, rtol=0)
    torch.testing.assert_close(read[1], stored[1], atol=1e-3, rtol=0)  # after a step


@pytest.mark.slow
@pytest.mark.parametrize("kind", [LITE, "vit", "clip"])
def test_all_layers_start_like_the_frozen_backbone(kind: str, folder: Path, tmp_path: Path) -> None:
    scores = []
    for trained in (0, None):
        vision = {"trainable_layers": trained}
        config = pixel_config(folder, kind, PRIOR[kind], vision=vision, optim=PLAIN)
        config = replace(config, model=replace(config.model, dropout=0.0), run=tmp_path)
        scores.append(first_scores(config, lambda *given: PhotoFeatures(*given, views=1))[0])
    torch.testing.assert_close(scores[0], scores[1], atol=1e-5, rtol=0)


@pytest.fixture(scope="module", params=[pytest.param("vit", marks=pytest.mark.slow), "clip", LITE])
def run(
    request: pytest.FixtureRequest, folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Config:
    """Two epochs in new views, with all kinds of augmentation and checkpointing."""
    kind = request.param
    vision = {"trainable_layers": 2, "gradient_checkpointing": True}
    config = pixel_config(folder, kind, PRIOR[kind], vision=vision)
    config = replace(config, run=tmp_path_factory.mktemp("run"))
    train(config)
    return config


def best(config: Config) -> Path:
    return config.run / "seed1" / "best"


@pytest.mark.slow
def test_a_resumed_run_equals_an_uninterrupted_one(run: Config, tmp_path: Path) -> None:
    broken = replace(run, run=tmp_path)
    train(broken, stop_after=1)
    train(broken, resume=True)
    assert_same_run(run, broken)


def test_the_backbone_learns_and_the_prior_does_not(run: Config) -> None:
    network = load_checkpoint(best(run)).network
    start = backbone_of(run.vision).blocks().state_dict()
    moved = [not torch.equal(v, start[k]) for k, v in network.vision.state_dict().items()]
    assert sum(moved) > len(moved) / 3
    photos = [run.data.photos / name for name in read_captions(run.data.captions).images]
    frozen = backbone_of(replace(run.vision, trainable_layers=0)).eval()
    seen = backbone_of(run.vision).eval()
    pixels = torch.from_numpy(np.stack([frozen.preprocessing.read(p) for p in photos[:3]]))
    with torch.inference_mode():
        expected, found = frozen(pixels), seen(pixels)
        trained = network.vision(found.maps)
    # What the prior reads is as it was before training; what else is read is not.
    torch.testing.assert_close(found.context, expected.context, atol=1e-4, rtol=1e-4)
    assert not torch.allclose(trained.context, expected.context, atol=1e-3)


@pytest.mark.slow
def test_the_bundle_has_the_trained_backbone(run: Config, tmp_path: Path) -> None:
    bundle = Bundle.load(export(best(run), tmp_path / "bundle"))
    model = hgan.HGAN.from_pretrained(best(run))
    photos = sorted(run.data.photos.iterdir())[:6]
    found, expected = bundle.encode_image(photos), model.encode_image(photos)
    for name in ("context", "slots", "local"):
        one, other = getattr(found, name), getattr(expected, name)
        np.testing.assert_allclose(one, other, atol=1e-4)
    # They are those of the features of the whole backbone, which the prior reads,
    pixels = torch.from_numpy(np.stack([model.preprocessing.read(photo) for photo in photos]))
    with torch.inference_mode():
        backbone, boxes = backbone_of(run.vision).eval(), torch.from_numpy(model.trained.boxes)
        whole = encode_photos(backbone, model.network, pixels, boxes)
    np.testing.assert_allclose(whole.context, found.context, atol=1e-4)
    # and not those of the frozen one.
    model.network.vision = backbone_of(run.vision).blocks()
    before = model.encode_image(photos)
    assert np.abs(before.local - found.local).max() > 1e-2


@pytest.mark.slow
def test_evaluation_reads_the_photos(run: Config, tmp_path: Path) -> None:
    """The same figures as in validation, also from features and with another folder's name."""
    history = (run.run / "seed1" / "log.csv").read_text().splitlines()
    names = history[0].split(",")
    rows = [dict(zip(names, map(float, line.split(",")), strict=True)) for line in history[1:]]
    record = evaluate_checkpoints(best(run), "val", out=tmp_path)
    found = record["protocols"]["full"]["S"]["rsum"]
    assert found == pytest.approx(max(row["rsum_S"] for row in rows))
    moved = tmp_path / "elsewhere"
    moved.symlink_to(run.data.photos)
    again = evaluate_checkpoints(best(run), "val", captions=run.data.captions, photos=moved)
    assert again["protocols"] == record["protocols"]


@pytest.mark.slow
def test_mosaics_are_made_of_the_photos(folder: Path, tmp_path: Path) -> None:
    vision = {"trainable_layers": 1, "mosaics": 1}
    config = replace(pixel_config(folder, "vit", vision=vision), run=tmp_path)
    trainer = Trainer(config, resume=False)
    first, second = (next(iter(trainer._batches(epoch))) for epoch in (0, 1))
    assert first.mosaics is None and second.mosaics is not None
    assert second.mosaics.maps is not None and len(second.mosaics.maps) == 1
    assert np.isfinite(trainer._step(second))


def test_too_few_photos_for_mosaics(folder: Path, tmp_path: Path) -> None:
    lines = (folder / "captions.jsonl").read_text(encoding="utf-8").splitlines()[9:]
    (tmp_path / "captions.jsonl").write_text("\n".join(lines), encoding="utf-8")
    config = pixel_config(folder, "vit", vision={"views": 1, "mosaics": 1})
    data = replace(
        config.data, captions=tmp_path / "captions.jsonl", features=tmp_path / "features"
    )
    with pytest.raises(DataError, match=r"mosaics, which need four photos .*vision.mosaics to 0"):
        Trainer(replace(config, data=data, run=tmp_path), resume=False)


def test_gradient_checkpointing_is_a_setting(folder: Path, tmp_path: Path) -> None:
    for chosen in (False, True):
        vision = {"trainable_layers": 1, "gradient_checkpointing": chosen}
        config = replace(pixel_config(folder, "vit", vision=vision), run=tmp_path)
        trainer = Trainer(config, resume=False)
        for network in (trainer.model.network, trainer.averaged.module):
            assert network.vision is not None and network.vision.checkpointing == chosen


def test_views_are_new_in_every_epoch(folder: Path, tmp_path: Path) -> None:
    vision = {"trainable_layers": None}
    config = replace(pixel_config(folder, "vit", vision=vision, optim=PLAIN), run=tmp_path)
    trainer = Trainer(config, resume=False)
    seen = {}
    for epoch in range(3):
        for batch in trainer._batches(epoch):
            assert batch.images.maps is not None and batch.images.maps.dtype == torch.uint8
            for photo, pixels in zip(batch.photos.tolist(), batch.images.maps, strict=True):
                seen.setdefault(photo, []).append(pixels)
    for pixels in seen.values():
        assert len(pixels) == 3 and not torch.equal(pixels[0], pixels[1])
        assert not torch.equal(pixels[1], pixels[2])


@pytest.mark.slow
def test_features_of_a_frozen_network_are_not_computed_for_nobody(
    folder: Path, tmp_path: Path
) -> None:
    for prior, wanted in (("none", False), ("dual_encoder", True)):
        config = pixel_config(folder, "clip", prior, vision={"trainable_layers": 1})
        trainer = Trainer(replace(config, run=tmp_path), resume=False)
        batch = next(iter(trainer._batches(0)))
        assert bool(batch.images.context.any()) == wanted


# --- photos that cannot be read, and settings that cannot work


@pytest.mark.slow
def test_photos_that_cannot_be_read_are_left_out_and_listed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for views in (None, 1):
        config = pixel_config(
            tmp_path / str(views), "vit", vision={"views": views}, optim={"epochs": 1}
        )
        (config.data.photos / "03.jpg").write_bytes(b"")
        trainer = Trainer(config, resume=False)
        assert "skipped 03.jpg: " in capsys.readouterr().err
        assert len(trainer.train_data.rows) == 11
        assert "03.jpg" not in trainer.train_data.captions.images
        trainer.run(stop_after=None)


def test_errors_come_before_training(folder: Path, tmp_path: Path) -> None:
    config = replace(pixel_config(folder, "vit"), run=tmp_path)
    gone = replace(config, data=replace(config.data, photos=folder / "nowhere"))
    with pytest.raises(DataError, match=r"nowhere: no such folder; set data\.photos"):
        train(gone)
    many = replace(config, vision=replace(config.vision, trainable_layers=9))
    with pytest.raises(ConfigError, match=r"trainable_layers: 9, but .*vit has 3 layers"):
        train(many)
    assert not list(tmp_path.iterdir())
    features = {"backbone": "precomputed", "trainable_layers": 1}
    with pytest.raises(ConfigError, match="precomputed features have no backbone"):
        train(replace(config, vision=VisionConfig(views=None, **features)))


# --- one command


@pytest.mark.slow
def test_one_command_from_photos_to_a_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`hgan train` alone extracts, trains, and leaves what can be exported and indexed."""
    config = pixel_config(tmp_path / "my", "vit")
    monkeypatch.chdir(tmp_path)
    words = ["train", "--data.captions", "my/captions.jsonl", "--data.photos", "my/photos"]
    words += ["--vision.backbone", "my/vit", "--vision.grid", "2", "--vision.views", "2"]
    words += ["--text.encoder", "my/bert", "--text.trainable_layers", "1"]
    words += ["--optim.epochs", "1", "--optim.batch_images", "4", "--model.width", "16"]
    assert main(words) == 0
    made = capsys.readouterr().out.strip()
    assert made == str(Path("runs/my/seed1/best"))
    manifest = json.loads(Path("features/my/manifest.json").read_text())
    assert manifest["views"] == 2 and manifest["checksums"]
    assert main(["evaluate", "runs/my/seed1", "--split", "test"]) == 0
    assert main(["export", "runs/my/seed1", "bundle"]) == 0
    assert main(["index", "my/photos", "--to", "my.index", "--model", "bundle"]) == 0
    capsys.readouterr()
    assert main(["search", "a red dog", "--index", "my.index", "-k", "3"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 3
    assert config.data.features.name == "features" and not config.data.features.exists()


def test_features_that_are_there_are_not_made_again(folder: Path, tmp_path: Path) -> None:
    config = pixel_config(folder, "vit", vision={"views": 1, "mosaics": 1})
    config = replace(config, data=replace(config.data, features=tmp_path / "features"))
    config = replace(config, run=tmp_path / "run")
    first = Trainer(config, resume=False)
    files = sorted((tmp_path / "features").rglob("*.npy"))
    assert {file.parent.name for file in files} == {"features", "mosaics"}
    before = [file.stat().st_mtime_ns for file in files]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hgan.vision.make.extract", None)  # is not called
        second = Trainer(config, resume=False)
    # The run that extracts the features is the same as the one that finds them.
    pairs = zip(first.network.parameters(), second.network.parameters(), strict=True)
    assert all(torch.equal(*pair) for pair in pairs)
    assert [file.stat().st_mtime_ns for file in files] == before


def test_an_interrupted_extraction_is_continued(folder: Path, tmp_path: Path) -> None:
    config = pixel_config(folder, "vit", vision={"views": 1})
    config = replace(config, data=replace(config.data, features=tmp_path / "features"))
    config = replace(config, run=tmp_path / "run")
    Trainer(config, resume=False)
    manifest = tmp_path / "features" / "manifest.json"
    values = json.loads(manifest.read_text())
    expected = (tmp_path / "features" / "regions.npy").read_bytes()
    manifest.write_text(json.dumps(values | {"checksums": {}, "rows_done": 7}))
    Trainer(config, resume=False)
    assert json.loads(manifest.read_text())["checksums"] == values["checksums"]
    assert (tmp_path / "features" / "regions.npy").read_bytes() == expected
