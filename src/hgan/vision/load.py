"""Load a vision backbone by name."""

from efficientnet_lite_pytorch import EfficientNet

from hgan.config import VisionConfig
from hgan.data.features.types import PRECOMPUTED
from hgan.errors import ConfigError
from hgan.vision.backbone import Backbone
from hgan.vision.efficientnet_lite import VARIANTS, EfficientNetLite


def load_backbone(
    name: str,
    grid: int = 6,
    size: int | None = None,
    trainable_layers: int | None = 0,
    dual_encoder: bool = False,
) -> Backbone:
    """Load a backbone with pretrained weights.

    Args:
        name: efficientnet-lite0, 1 or 2, which work offline, or the name or folder of any Hugging
            Face vision model.
        grid: number of regions along each side.
        size: side of the input photos in pixels; by default, that of the model.
        trainable_layers: number of last layers that a matcher trains, None for all.
        dual_encoder: use the model as a dual encoder, see `hgan.vision.dual_encoder`.

    Raises:
        ConfigError: there is no such model, it cannot be loaded, it does not support the size, or
            it does not have so many layers.
    """
    if dual_encoder and (name in VARIANTS or name == PRECOMPUTED):
        raise ConfigError(
            f"vision.dual_encoder: {name} is not a dual encoder; set it to false, or "
            "vision.backbone to a model such as openai/clip-vit-base-patch32"
        )
    if name in VARIANTS:
        return EfficientNetLite(VARIANTS[name], size, grid, trainable_layers)
    if name.startswith("efficientnet-lite"):  # a typing error; it is not searched on the hub
        raise ConfigError(f"vision.backbone: there is no {name}; choose {', '.join(VARIANTS)}")
    if name == PRECOMPUTED:
        if trainable_layers != 0:
            raise ConfigError(
                "vision.trainable_layers: precomputed features have no backbone that can be "
                "trained; set it to 0"
            )
        raise ConfigError(
            "vision.backbone: precomputed features already exist; there is nothing to extract"
        )
    # Imported here, since transformers takes seconds to import and EfficientNet-Lite does not need
    # it.
    if dual_encoder:
        from hgan.vision.dual_encoder import DualEncoderBackbone

        return DualEncoderBackbone(name, grid, trainable_layers)
    from hgan.vision.hub import HubBackbone

    return HubBackbone(name, size, grid, trainable_layers)


def default_size(name: str) -> int | None:
    """Side of a backbone's input photos where `vision.size` is not set; None for those of Hugging
    Face models, which are not read."""
    if name not in VARIANTS:
        return None
    return int(EfficientNet.get_image_size(name))


def has_classifier(name: str) -> bool:
    """Whether a backbone has a classifier; those of Hugging Face models are not read."""
    return name in VARIANTS


def backbone_of(config: VisionConfig) -> Backbone:
    """The backbone of a configuration; errors are those of `load_backbone`."""
    return load_backbone(
        config.backbone, config.grid, config.size, config.trainable_layers, config.dual_encoder
    )
