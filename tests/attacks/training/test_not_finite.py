"""A loss, a gradient or a feature that is not finite stops a run before a weight is changed."""

import json
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from hgan.cli import main
from hgan.data.captions.read import read_captions
from hgan.errors import DataError, TrainingError
from hgan.training.checkpoint import load_state
from hgan.training.folder import STOPPED, run_folder
from hgan.training.losses.loss import LOSSES
from hgan.training.trainer import train
from tests.fixtures.runs import contents
from tests.fixtures.tiny_model import tiny_config

LOSS = """
from dataclasses import dataclass
from typing import ClassVar
from hgan.training.losses.loss import LOSSES, Loss, LossConfig

@dataclass
class WrongConfig(LossConfig):
    name: str = "wrong"
    what: str = "none"

@LOSSES.register
class Wrong(Loss):
    Config = WrongConfig
    factor: float = 1.0

    def start_epoch(self, epoch):
        self.steps = 0
        self.wrong = self.config.what if epoch == 1 else "none"

    def after_step(self):
        self.steps += 1

    def forward(self, name, scores, image_of):
        value = -scores.mean()
        if self.wrong == "none" or self.steps < 2:
            return value
        if self.wrong == "gradient":  # the square root of zero, whose slope is infinite
            return value + (scores - scores.detach()).abs().sum().sqrt()
        return value * float(self.wrong)

    def chance_level(self, images, texts):
        return 5.0
"""
"""A loss that somebody has written, and that fails in the third step of the second epoch."""


@pytest.mark.usefixtures("forget_plugins")
@pytest.mark.parametrize(
    ("what", "problem"),
    [
        ("nan", "the loss is nan"),
        ("inf", "the loss is -inf"),
        ("gradient", "the norm of the gradient is nan"),
    ],
)
def test_a_loss_that_is_not_finite(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], what: str, problem: str
) -> None:
    (tmp_path / "loss.py").write_text(LOSS)
    settings = tiny_config(data).as_dict() | {"loss": {"name": "wrong", "what": what}}
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(settings))
    words = ["train", "--plugin", str(tmp_path / "loss.py"), "--config", str(tmp_path / "run.yaml")]
    words += ["--run", str(tmp_path / "run"), "--resume"]
    assert main(words) == 2
    folder = tmp_path / "run" / "seed1"
    said = " ".join(capsys.readouterr().err.split())
    assert f"hgan: {folder}: epoch 2, step 3: {problem}. The batch has the photos" in said
    assert "optim.learning_rate" in said and "hgan data check" in said
    assert len(load_state(folder / "last")["history"]) == 1
    assert all(torch.isfinite(x).all() for x in load_state(folder / "last")["network"].values())

    stopped = json.loads((folder / STOPPED).read_text())
    assert (stopped["epoch"], stopped["step"], stopped["problem"]) == (2, 3, problem)
    captions = read_captions(data / "captions.jsonl").split("train")
    assert len(set(stopped["photos"])) == 8 and set(stopped["photos"]) <= set(captions.images)
    assert all(name in said for name in stopped["photos"][:3])
    assert {photo for photo, _ in stopped["captions"].values()} == set(stopped["photos"])
    for position, (photo, text) in stopped["captions"].items():
        assert captions.texts[int(position)] == text
        assert captions.images[captions.image_of[int(position)]] == photo

    before = contents(folder)
    assert main(words) == 2  # again at the same step, and nothing else happens
    assert contents(folder) == before
    assert LOSSES.find("wrong")


def test_a_learning_rate_that_is_too_high(data: Path, tmp_path: Path) -> None:
    """Weights overflow in the first epoch: there is no checkpoint, rather than a bad one."""
    config = tiny_config(data, optim={"learning_rate": 1e30})
    with pytest.raises(TrainingError, match=r"epoch 1, step \d: the .* is (nan|inf)"):
        train(replace(config, run=tmp_path))
    names = {path.name for path in run_folder(replace(config, run=tmp_path)).iterdir()}
    assert names == {"config.json", "lock", STOPPED}


def test_weights_that_overflow_in_the_last_step(data: Path, tmp_path: Path) -> None:
    """The loss was finite in each step; validation finds it."""
    optim = {"learning_rate": 1e30, "batch_images": 32, "warmup_steps": 0, "epochs": 1}
    config = replace(tiny_config(data, optim=optim), run=tmp_path)
    with pytest.raises(DataError, match=r"scores of photos .* contain NaN or infinity; check"):
        train(config)
    assert not (run_folder(config) / "best").exists()


def spoil(folder: Path, name: str, row: int) -> None:
    """Write a NaN into a store, with its checksum, as another program might."""
    file, manifest = folder / f"{name}.npy", folder / "manifest.json"
    array = np.load(file)
    array[row, ..., 0] = np.nan
    np.save(file, array)
    values = json.loads(manifest.read_text())
    del values["checksums"]["manifest"]
    values["checksums"][name] = zlib.crc32(file.read_bytes())
    manifest.write_text(json.dumps(values))


@pytest.mark.parametrize("name", ["regions", "context"])
@pytest.mark.parametrize("row", [5, 40], ids=["train", "val"])
def test_features_that_are_not_finite(tmp_path: Path, name: str, row: int) -> None:
    config = tiny_config(tmp_path)
    spoil(config.data.features, name, row)
    words = rf"features/{name}\.npy: features of 0{row:02}\.jpg are not finite .*extract again"
    with pytest.raises(DataError, match=words):
        train(config)
    assert not (run_folder(config) / "best").exists()
