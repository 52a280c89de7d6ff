"""Tiny data, and a finished run."""

from pathlib import Path

import pytest

from hgan.training.config import Config
from hgan.training.trainer import train
from tests.fixtures.runs import tiny_run
from tests.fixtures.tiny_model import tiny_config


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tiny captions, features and text encoder; tests leave them as they are."""
    made = tmp_path_factory.mktemp("data")
    tiny_config(made)
    return made


@pytest.fixture(scope="session")
def whole(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Config:
    """Four epochs without a break, with dropout, augmentation, averaging, views; tests leave the
    run as it is."""
    config = tiny_run(folder, tmp_path_factory.mktemp("whole"), optim={"epochs": 4})
    assert config.model.dropout and config.optim.region_drop and config.optim.word_drop
    assert config.optim.ema and config.vision.views == 2
    train(config)
    return config
