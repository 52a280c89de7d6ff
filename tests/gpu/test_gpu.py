"""The same results on a GPU as on the processor, within rounding; skipped without a GPU.

Run by `scripts/gpu_check.sh`. Tolerances: float32 matrix products on a GPU differ from those of a
processor in the last digits, and bf16 has 8 bits of precision.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hgan.config import VisionConfig
from hgan.evaluation.checkpoints import evaluate_checkpoints
from hgan.runtime import device
from hgan.runtime.bundle import Bundle
from hgan.runtime.session import lowest_cosine
from hgan.training.config import Config
from hgan.training.trainer import Trainer, train
from hgan.vision.extract import backbone_run
from hgan.vision.load import backbone_of
from tests.fixtures.pixels import pixel_config
from tests.fixtures.tiny_model import tiny_config

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no GPU"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("data")
    tiny_config(made)
    return made


def plain(folder: Path, run: Path, **optim: Any) -> Config:
    """Settings without random numbers in the encoders, which differ between devices."""
    fixed = {"epochs": 1, "region_drop": 0.0, "word_drop": 0.0, "precision": "no"}
    config = tiny_config(folder, optim=fixed | optim, model={"dropout": 0.0})
    return replace(config, run=run)


def first_losses(config: Config, name: str, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Losses of the first five steps on a device."""
    monkeypatch.setenv(device.VARIABLE, name)
    trainer = Trainer(config, resume=False)
    assert trainer.accelerator.device.type == name
    batches = trainer._batches(0)
    return [trainer._step(batch) for batch, _ in zip(batches, range(5), strict=False)]


@pytest.mark.parametrize("precision, tolerance", [("no", 1e-2), ("bf16", 0.1)])
def test_training(
    precision: str,
    tolerance: float,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    expected = first_losses(plain(folder, tmp_path / "cpu"), "cpu", monkeypatch)
    config = plain(folder, tmp_path / "gpu", precision=precision)
    assert first_losses(config, "cuda", monkeypatch) == pytest.approx(expected, abs=tolerance)


def test_compiled_training(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = first_losses(plain(folder, tmp_path / "one"), "cuda", monkeypatch)
    config = plain(folder, tmp_path / "two", compile=True)
    assert first_losses(config, "cuda", monkeypatch) == pytest.approx(expected, abs=1e-2)


def test_a_whole_run_and_its_evaluation(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(device.VARIABLE, "cuda")
    config = replace(tiny_config(folder, optim={"epochs": 2}), run=tmp_path)
    best = train(config).best
    found = evaluate_checkpoints(best, "val", out=tmp_path / "gpu")
    monkeypatch.setenv(device.VARIABLE, "cpu")
    expected = evaluate_checkpoints(best, "val", out=tmp_path / "cpu")
    one, other = (record["protocols"]["full"]["S"]["rsum"] for record in (found, expected))
    assert one == pytest.approx(other, abs=5.0)  # near ties of a few photos


def test_extraction() -> None:
    backbone = backbone_of(VisionConfig(grid=3, trainable_layers=2))
    pixels = np.random.default_rng(0).integers(
        0, 256, (3, backbone.size, backbone.size, 3), np.uint8
    )
    expected = backbone_run(backbone, torch.device("cpu"))(pixels)
    found = backbone_run(backbone, torch.device("cuda"))(pixels)
    for one, other in zip(found, expected, strict=True):
        assert lowest_cosine(one.reshape(3, -1), other.reshape(3, -1)) > 0.9999


def test_training_from_photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The frozen layers run in another thread than the step."""
    optim = {"region_drop": 0.0, "word_drop": 0.0}
    vision = {"trainable_layers": 1, "gradient_checkpointing": True}
    made = pixel_config(tmp_path / "data", "clip", "dual_encoder", vision=vision, optim=optim)
    made = replace(made, model=replace(made.model, dropout=0.0))
    losses = []
    for name in ("cpu", "cuda"):
        monkeypatch.setenv(device.VARIABLE, name)
        trainer = Trainer(replace(made, run=tmp_path / name), resume=False)
        losses.append([trainer._step(batch) for batch in trainer._batches(0)])
    assert losses[1] == pytest.approx(losses[0], abs=2e-2)


@pytest.mark.skipif(
    device.PROVIDERS["cuda"] not in device.installed_providers(),
    reason="this ONNX Runtime is not built for GPUs",
)
def test_a_bundle(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = Bundle.load().preprocessing.sample()[None].repeat(70, axis=0)
    expected = Bundle.load().encode_images(pixels)
    monkeypatch.setenv(device.VARIABLE, "cuda")
    bundle = Bundle.load()
    assert bundle.device == "cuda"
    found = bundle.encode_images(pixels, bundle.image_batch)
    for name in ("context", "slots", "local"):
        assert lowest_cosine(getattr(found, name), getattr(expected, name)) > 0.999
