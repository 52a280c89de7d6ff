"""Backbones from Hugging Face vision models: ViT, DINOv2, CLIP, SigLIP, ConvNeXt, Swin, ..."""

import inspect
import math

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoImageProcessor, AutoModel, PreTrainedModel
from transformers.image_processing_utils import BaseImageProcessor

from hgan.dual_encoders.processor import normalisation
from hgan.errors import ConfigError
from hgan.hub import OUT_OF_REACH, is_out_of_reach
from hgan.vision.backbone import Blocks, GridPool
from hgan.vision.transformer import LayeredBackbone, Top, patch_map


class HubBackbone(LayeredBackbone):
    """A backbone whose feature map is the last hidden state of a vision model, or of the vision
    tower of a dual encoder.

    Weights are only loaded from safetensors, and code in the repository of a model is not run.

    Args:
        name: a name on the Hugging Face hub, or a folder written by `save_pretrained`.
        size: side of the input photos in pixels; by default, that of the model's preprocessing.
        grid: number of regions along each side; the feature map is averaged over each region.
        trainable_layers: number of last layers that a matcher trains, None for all.

    Raises:
        ConfigError: the model cannot be loaded, is not a vision model, does not support the size,
            or does not have so many layers.
    """

    def __init__(
        self,
        name: str,
        size: int | None = None,
        grid: int = 6,
        trainable_layers: int | None = 0,
    ) -> None:
        processor, net = _load(name)
        super().__init__(*normalisation(processor))
        self.net = net
        self.name = name
        self.grid = grid
        self.size = size or _default_size(processor, net)
        self._options = _options(net, self.size)
        self.width = self._probe()
        self.use_layers(net, self._options, trainable_layers)

    def feature_map(self, pixels: Tensor) -> Tensor:
        """Compute a feature map (B, D_v, h, w) from normalised pixels (B, 3, size, size)."""
        return _feature_map(self.net, pixels, self._options)

    def top(self, norm: nn.Module) -> nn.Module:
        """From the tokens after the last layer to `Regions`."""
        return Top(norm, self.size // int(self.net.config.patch_size), self.grid)

    def everything(self) -> Blocks:
        """The whole network, from photos to regions."""
        whole = FeatureMap(self.net, self._options)
        return Blocks(nn.Sequential(self.normalise, whole), GridPool(self.grid))

    @torch.inference_mode()
    def _probe(self) -> int:
        """Run the model once, so that an unsuitable model fails here; return the feature width."""
        try:
            shape = self.feature_map(torch.zeros(1, 3, self.size, self.size)).shape
        except (RuntimeError, ValueError, TypeError, AttributeError) as error:
            raise ConfigError(
                f"vision: {self.name} cannot compute a feature map of {self.size} x {self.size} "
                f"pixels ({error}); try another vision.size, or another model"
            ) from error
        return shape[1]


class FeatureMap(nn.Module):
    """A whole vision model, from normalised pixels to its feature map."""

    def __init__(self, net: PreTrainedModel, options: dict[str, bool]) -> None:
        super().__init__()
        self.net, self._options = net, options

    def forward(self, pixels: Tensor) -> Tensor:
        """Compute a feature map (B, D_v, h, w) from normalised pixels (B, 3, size, size)."""
        return _feature_map(self.net, pixels, self._options)


def _feature_map(net: PreTrainedModel, pixels: Tensor, options: dict[str, bool]) -> Tensor:
    state: Tensor = net(pixel_values=pixels, **options).last_hidden_state
    if state.dim() == 4:  # convolutional network: (B, D_v, h, w)
        return state
    return patch_map(state, _side(net, pixels.shape[-1], state.shape[1]))


def _load(name: str) -> tuple[BaseImageProcessor, PreTrainedModel]:
    cached = is_out_of_reach(name)
    options = {"trust_remote_code": False, "local_files_only": cached}
    try:
        config = AutoConfig.from_pretrained(name, **options)
        processor: BaseImageProcessor = AutoImageProcessor.from_pretrained(name, **options)  # type: ignore[no-untyped-call]
        net, report = AutoModel.from_pretrained(
            name,
            **options,
            config=config,
            use_safetensors=True,
            dtype=torch.float32,
            output_loading_info=True,
        )
    except (OSError, ValueError, ImportError) as error:
        if cached:
            raise ConfigError(
                f"vision.backbone: {name}: {OUT_OF_REACH}; or use efficientnet-lite0, 1 or 2, "
                "which need no network"
            ) from error
        raise ConfigError(
            f"vision.backbone: {name} cannot be loaded ({_first_line(error)}); it must be the name "
            "or the folder of a Hugging Face vision model with safetensors weights, or "
            "efficientnet-lite0, 1 or 2"
        ) from error
    # Checkpoints often have no weights for poolers, which are not used here.
    absent = [key for key in report["missing_keys"] if "pooler" not in key]
    if absent:
        raise ConfigError(
            f"vision.backbone: {name} has no values for {len(absent)} weights, the first is "
            f"{sorted(absent)[0]}"
        )
    tower = getattr(net, "vision_model", net)
    return processor, tower.eval().requires_grad_(False)


def _default_size(processor: BaseImageProcessor, net: PreTrainedModel) -> int:
    """Side of the square photos after the model's own preprocessing."""
    settings = processor.to_dict()
    found = settings.get("crop_size" if settings.get("do_center_crop") else "size") or {}
    for key in ("height", "shortest_edge"):
        if found.get(key):
            return int(found[key])
    return int(getattr(net.config, "image_size", 224))


def _options(net: PreTrainedModel, size: int) -> dict[str, bool]:
    """Options for interpolating position embeddings if the size differs from the model's own."""
    name = "interpolate_pos_encoding"
    own = getattr(net.config, "image_size", size)
    return {name: True} if own != size and name in inspect.signature(net.forward).parameters else {}


def _side(net: PreTrainedModel, size: int, tokens: int) -> int:
    """Number of patches along each side; the tokens can also contain a class token and
    registers."""
    patch = getattr(net.config, "patch_size", None)
    if hasattr(net.config, "depths") or not isinstance(patch, int):
        return math.isqrt(tokens)  # such models merge patches and have no other tokens
    return size // patch


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0]
