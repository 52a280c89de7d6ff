"""The device of torch, by name."""

import pytest
import torch

from hgan.errors import ConfigError
from hgan.runtime.device import VARIABLE
from hgan.torch_device import torch_device


@pytest.fixture
def gpus(monkeypatch):
    def have(count):
        monkeypatch.setattr(torch.cuda, "device_count", lambda: count)

    return have


@pytest.mark.parametrize("name, count, expected", [
    (None, 0, "cpu"), ("auto", 2, "cuda"), ("cpu", 2, "cpu"), ("cuda", 1, "cuda"),
    ("CUDA:1", 2, "cuda:1"),
])  # fmt: skip
def test_names(name, count, expected, monkeypatch, gpus):
    gpus(count)
    if name is None:
        monkeypatch.delenv(VARIABLE, raising=False)
    else:
        monkeypatch.setenv(VARIABLE, name)
    assert torch_device() == torch.device(expected)


@pytest.mark.parametrize("name, count, message", [
    ("gpu", 1, "must be auto, cpu, cuda or mps"),
    ("openvino", 1, "must be auto, cpu, cuda or mps"),
    ("cuda", 0, "finds no such device; install a build of torch"),
    ("cuda:2", 2, "there are 2, counted from cuda:0"),
    ("cuda:x", 2, "must be auto"),
])  # fmt: skip
def test_what_cannot_be_used_is_refused(name, count, message, monkeypatch, gpus):
    gpus(count)
    monkeypatch.setenv(VARIABLE, name)
    with pytest.raises(ConfigError, match=message):
        torch_device()
