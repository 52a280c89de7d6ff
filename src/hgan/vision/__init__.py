"""Photos to region features, by backbones that need no training."""

from typing import TYPE_CHECKING

from hgan.errors import ConfigError

if TYPE_CHECKING:
    from hgan.vision.backbone import Backbone

_LITE = {"efficientnet-lite0": 0, "efficientnet-lite1": 1, "efficientnet-lite2": 2}
"""Backbones whose weights come as Python packages, and their variants."""


def load_backbone(name: str, grid: int = 6, size: int | None = None) -> "Backbone":
    """A backbone with its pretrained weights.

    Args:
        name: efficientnet-lite0, 1 or 2, which need no network, or the name or folder of any
            Hugging Face vision model.
        grid: regions a side.
        size: side of the photos it reads, by default the model's own.

    Raises:
        ConfigError: there is no such model, it cannot be had, or its sizes do not fit.
    """
    if name in _LITE:
        from hgan.vision.efficientnet_lite import EfficientNetLite

        return EfficientNetLite(_LITE[name], size, grid)
    if name == "precomputed":
        raise ConfigError("vision.backbone: precomputed features come ready; nothing to extract")
    if name.startswith("efficientnet-lite"):  # spare a typing error the search on the hub
        raise ConfigError(f"vision.backbone: there is no {name}; there are {', '.join(_LITE)}")
    from hgan.vision.hub import HubBackbone

    return HubBackbone(name, size, grid)
