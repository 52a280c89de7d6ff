"""A run's settings from Python: files, then overrides; every mistake is a `ConfigError`."""

from pathlib import Path
from typing import Any

import pytest

from hgan.errors import ConfigError
from hgan.model.baselines.scan import SCANConfig
from hgan.model.hgan import HGANConfig
from hgan.training.config import Config, load_config
from hgan.training.losses.hinge import HingeConfig
from hgan.training.settings import other_settings


def test_overrides_stand_above_files_and_files_above_defaults(tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text("model: {name: scan, width: 96}\noptim: {epochs: 3, clip: 1}\nseed: 7\n")
    overrides = {"optim.epochs": 5, "loss.name": "hinge", "model.aggregation": "lse"}
    config = load_config([file], overrides | {"run": tmp_path, "text.trainable_layers": None})
    assert config.model == SCANConfig(width=96, aggregation="lse")
    assert config.loss == HingeConfig()
    assert (config.optim.epochs, config.optim.clip, config.seed) == (5, 1.0, 7)
    assert config.text.trainable_layers is None and config.run == tmp_path
    assert load_config() == Config()
    levels = load_config(overrides={"model.levels": ["context", "local"]}).model
    assert levels == HGANConfig(levels=["context", "local"])


@pytest.mark.parametrize(
    ("text", "overrides", "message"),
    [
        (None, {}, "run.yaml"),
        ("model: [", {}, "run.yaml|parsing"),
        ("optim: {epoch: 3}", {}, "epoch"),
        ("", {"optim.epochs": "many"}, "many"),
        ("", {"optim.epochs": 0}, "optim.epochs: 0, but it must be at least 1"),
        ("", {"model.nothing": 1}, "model.nothing is not a setting of hgan"),
        ("", {"loss.kind": "hinge"}, "loss.kind was renamed to loss.name"),
    ],
)
def test_mistakes(
    text: str | None, overrides: dict[str, Any], message: str, tmp_path: Path
) -> None:
    file = tmp_path / "run.yaml"
    if text is not None:
        file.write_text(text or "seed: 1")
    with pytest.raises(ConfigError, match=message):
        load_config([file], overrides)


def test_what_differs_is_named_with_both_values() -> None:
    asked = load_config(overrides={"model.width": 64, "optim.clip": 1.5})
    assert other_settings(asked.as_dict(), asked) == []
    assert other_settings(Config().as_dict(), asked) == [
        "model.width: 512 in the folder, 64 in the config",
        "optim.clip: 2.0 in the folder, 1.5 in the config",
    ]
    scan = load_config(overrides={"model.name": "scan"})
    old = asked.as_dict()
    old["vision"]["trained_blocks"] = old["vision"].pop("trainable_layers")
    assert other_settings(old, asked) == []
    assert other_settings(Config().as_dict(), scan) == [
        "model.name: hgan in the folder, scan in the config"
    ]


def test_a_run_and_its_features_are_named_after_the_folder_of_the_captions() -> None:
    names = {
        "my/pets/captions.jsonl": "pets",
        "data/f30k_precomp": "f30k_precomp",
        "birds.csv": "birds",
        "data/flickr8k/captions.jsonl": "flickr8k",
    }
    for file, name in names.items():
        config = load_config(overrides={"data.captions": file})
        assert config.run == Path("runs") / name
        assert config.data.features == Path("features") / name
    assert load_config().run == Path("runs/flickr8k")
    given = load_config(overrides={"data.captions": "my/a.csv", "run": "x", "data.features": "y"})
    assert (given.run, given.data.features) == (Path("x"), Path("y"))
