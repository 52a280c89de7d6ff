"""The name of a device: what is allowed, what is installed, and the order of `auto`."""

import pytest

from hgan.errors import ConfigError
from hgan.runtime import device


@pytest.fixture
def installed(monkeypatch):
    """Set which execution providers ONNX Runtime is built with."""

    def install(*kinds):
        names = [device.PROVIDERS[kind] for kind in kinds]
        monkeypatch.setattr(device, "installed_providers", lambda: names)

    return install


def test_auto_is_the_default(monkeypatch):
    monkeypatch.delenv(device.VARIABLE, raising=False)
    assert device.named_device() == "auto"
    monkeypatch.setenv(device.VARIABLE, " ")
    assert device.named_device() == "auto"


@pytest.mark.parametrize("name", ["CUDA", "cuda:1", "cpu"])
def test_a_device_is_named(name, monkeypatch, installed):
    installed("cuda", "cpu")
    monkeypatch.setenv(device.VARIABLE, name)
    assert device.named_device() == name.lower()


@pytest.mark.parametrize("name", ["gpu", "cuda:", "cuda:one", "auto:1", "mps"])
def test_other_names_are_refused(name, monkeypatch, installed):
    installed("cuda", "cpu")
    monkeypatch.setenv(device.VARIABLE, name)
    with pytest.raises(ConfigError, match=f"HGAN_DEVICE: {name}, but it must be auto, cuda"):
        device.named_device()


def test_what_is_not_installed_is_refused_with_the_line_that_installs_it(monkeypatch, installed):
    installed("cpu")
    monkeypatch.setenv(device.VARIABLE, "cuda")
    with pytest.raises(ConfigError, match="pip install onnxruntime-gpu"):
        device.named_device()
    monkeypatch.setenv(device.VARIABLE, "coreml")
    with pytest.raises(ConfigError, match="only its build for macOS"):
        device.named_device()


def test_auto_tries_a_gpu_and_then_the_processor(installed):
    installed("tensorrt", "cuda", "openvino", "cpu")
    assert device.candidates("auto") == ["cuda", "cpu"]
    installed("openvino", "cpu")
    assert device.candidates("auto") == ["cpu"]
    assert device.candidates("openvino") == ["openvino"]


def test_the_number_of_a_device_is_an_option_of_its_provider():
    assert device.provider_of("cuda:1") == ("CUDAExecutionProvider", {"device_id": "1"})
    assert device.provider_of("cpu") == ("CPUExecutionProvider", {})
