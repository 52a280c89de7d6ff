"""Data and a finished run, for attacks on training."""

from dataclasses import replace
from pathlib import Path

import pytest

from hgan.training.config import Config
from hgan.training.trainer import train
from tests.fixtures.tiny_model import tiny_config


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tiny captions, features and text encoder."""
    folder = tmp_path_factory.mktemp("data")
    tiny_config(folder)
    return folder


@pytest.fixture(scope="module")
def two(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Config:
    """Two epochs without a break, each better than the one before, so that both are saved."""
    config = replace(tiny_config(data), run=tmp_path_factory.mktemp("two"))
    assert train(config).epoch == 2
    return config
