"""Load the vision backbone that a configuration names."""

from hgan.errors import ConfigError
from hgan.vision.backbone import Backbone
from hgan.vision.efficientnet_lite import VARIANTS, EfficientNetLite


def load_backbone(name: str, grid: int = 6, size: int | None = None) -> Backbone:
    """A backbone with its pretrained weights.

    Args:
        name: efficientnet-lite0, 1 or 2, which need no network, or the name or folder of any
            Hugging Face vision model.
        grid: regions along each side.
        size: side of the photos it reads in pixels, by default the model's own.

    Raises:
        ConfigError: there is no such model, it cannot be loaded, or its sizes do not fit.
    """
    if name in VARIANTS:
        return EfficientNetLite(VARIANTS[name], size, grid)
    if name == "precomputed":
        raise ConfigError(
            "vision.backbone: precomputed features exist already; there is nothing to extract"
        )
    if name.startswith("efficientnet-lite"):  # a typing error: do not search for it on the hub
        raise ConfigError(f"vision.backbone: there is no {name}; choose {', '.join(VARIANTS)}")
    # Imported here since transformers takes seconds to import, and EfficientNet-Lite needs none.
    from hgan.vision.hub import HubBackbone

    return HubBackbone(name, size, grid)
