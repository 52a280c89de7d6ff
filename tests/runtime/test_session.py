"""Image towers on devices: one that cannot be used, or whose vectors are wrong, is not used."""

import numpy as np
import pytest

from hgan.errors import BundleError, ConfigError
from hgan.runtime import device, session
from hgan.runtime.bundle import DEVICE_IMAGE_BATCH, IMAGE_BATCH, Bundle, default_bundle

VECTORS = ["context", "slots", "local"]
OTHERS = [
    kind
    for kind, provider in device.PROVIDERS.items()
    if kind != device.CPU and provider in device.installed_providers()
]


@pytest.fixture
def tower():
    return default_bundle() / "image.onnx"


@pytest.fixture
def sample():
    return Bundle.load().preprocessing.sample()[None]


class Wrong:
    """A session of a device that computes something else."""

    def __init__(self, right, change):
        self._right, self._change = right, change

    def run(self, names, inputs):
        return [self._change(array.copy()) for array in self._right.run(names, inputs)]


def use(monkeypatch, change):
    """Let `cuda` be installed, with results that are changed."""
    cpu = session.open_session

    def opened(path, spin, device="cpu"):
        right = cpu(path, spin)
        return right if device == "cpu" else Wrong(right, change)

    monkeypatch.setattr(session, "open_session", opened)
    monkeypatch.setattr(session, "candidates", lambda name: ["cuda", "cpu"][: 1 + (name == "auto")])


def with_nan(array):
    array.flat[0] = np.nan
    return array


def rotated(array):
    return np.roll(array, 1, axis=-1)


def as_half(array):
    return array.astype(np.float16).astype(np.float32)


def test_a_device_with_rounding_is_used(monkeypatch, tower, sample):
    use(monkeypatch, as_half)
    assert session.open_on_device(tower, "auto", sample, VECTORS)[1] == "cuda"


@pytest.mark.parametrize("change", [with_nan, rotated, np.zeros_like])
def test_wrong_vectors_are_not_used(change, monkeypatch, tower, sample, caplog):
    use(monkeypatch, change)
    opened, name = session.open_on_device(tower, "auto", sample, VECTORS)
    assert name == "cpu"
    assert opened.get_providers() == ["CPUExecutionProvider"]
    assert "not those of the processor" in caplog.text
    with pytest.raises(ConfigError, match=r"cuda cannot be used .*not those of the processor"):
        session.open_on_device(tower, "cuda", sample, VECTORS)


def test_a_device_without_a_driver_is_an_error_only_if_it_is_named(
    monkeypatch, tower, sample, caplog
):
    """ONNX Runtime goes on with the processor; this one is not built for CUDA at all."""
    monkeypatch.setattr(
        session, "candidates", lambda name: ["cuda", "cpu"] if name == "auto" else [name]
    )
    assert session.open_on_device(tower, "auto", sample, VECTORS)[1] == "cpu"
    assert "cuda cannot be used" in caplog.text
    with pytest.raises(ConfigError, match="set it to auto or cpu"):
        session.open_on_device(tower, "cuda", sample, VECTORS)


def test_a_file_that_is_no_model(tmp_path, sample):
    (tmp_path / "image.onnx").write_bytes(b"no model")
    with pytest.raises(BundleError, match="not a model"):
        session.open_on_device(tmp_path / "image.onnx", "auto", sample, VECTORS)


@pytest.mark.skipif(not OTHERS, reason="this ONNX Runtime is built for the processor only")
@pytest.mark.parametrize("name", OTHERS)
def test_installed_devices_compute_the_same(name, monkeypatch, sample):
    monkeypatch.setenv(device.VARIABLE, "cpu")
    expected = Bundle.load().encode_images(sample)
    monkeypatch.setenv(device.VARIABLE, name)
    bundle = Bundle.load()
    try:
        used = bundle.device
    except ConfigError:
        pytest.skip(f"{name} is installed, but cannot be used here")
    assert used == name
    assert bundle.image_batch == DEVICE_IMAGE_BATCH
    found = bundle.encode_images(sample)
    for vectors in VECTORS:
        one, other = getattr(found, vectors), getattr(expected, vectors)
        assert session.lowest_cosine(one, other) > session.LEAST_COSINE


def test_cosines():
    one = np.array([[3.0, 4.0], [0.0, 0.0], [1.0, 0.0]])
    assert session.lowest_cosine(one, 2 * one) == pytest.approx(1)
    other = one.copy()
    other[2] = [1.0, 1.0]
    assert session.lowest_cosine(one, other) == pytest.approx(0.5**0.5)
    other[1] = [1.0, 0.0]  # beside zeros
    assert session.lowest_cosine(one, other) == 0
    assert np.isnan(session.lowest_cosine(one, np.full_like(one, np.nan)))
    assert session.lowest_cosine(one[:0], one[:0]) == 1


class Small:
    """A session of a device whose memory is enough for two photos."""

    def __init__(self, tower, message="Failed to allocate memory for requested buffer"):
        self._tower, self._message = tower, message
        self.sizes = []

    def get_outputs(self):
        return self._tower.get_outputs()

    def run(self, names, inputs):
        self.sizes.append(len(inputs["pixels"]))
        if self.sizes[-1] > 2:
            raise RuntimeError(self._message)
        return self._tower.run(names, inputs)


def test_a_batch_that_is_too_large_for_the_device_is_divided():
    bundle, expected = Bundle.load(), Bundle.load()
    pixels = np.random.default_rng(0).integers(0, 256, (5, bundle.size, bundle.size, 3), np.uint8)
    small = Small(bundle._image_tower)
    bundle._image_session = (small, "cuda")
    found = bundle.encode_images(pixels)
    assert small.sizes == [5, 2, 3, 1, 2]
    np.testing.assert_allclose(found.context, expected.encode_images(pixels).context, atol=1e-5)
    bundle._image_session = (Small(bundle._image_tower._tower, "another error"), "cuda")
    with pytest.raises(BundleError, match="another error"):
        bundle.encode_images(pixels)


def test_batches_are_small_on_the_processor(monkeypatch):
    monkeypatch.setenv(device.VARIABLE, "cpu")
    assert Bundle.load().image_batch == IMAGE_BATCH
