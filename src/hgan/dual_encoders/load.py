"""Load dual encoders of Hugging Face, such as CLIP or SigLIP.

A dual encoder gives a photo and a text one vector each, their embeddings. These are those of the
model's own `get_image_features` and `get_text_features`.
"""

from dataclasses import dataclass
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import AutoImageProcessor, AutoModel, PreTrainedModel
from transformers.utils.logging import disable_progress_bar

from hgan.errors import ConfigError, HganError
from hgan.hub import HubModel

disable_progress_bar()  # type: ignore[no-untyped-call]  # of reading weights, which takes seconds


@dataclass(frozen=True)
class Family:
    """A class of dual encoders.

    Attributes:
        title: its name for display.
        pads: whether all texts are padded to the longest that the model reads, because it was
            trained with padding that it does not mask.
    """

    title: str
    pads: bool = False


FAMILIES = {
    "clip": Family("CLIP"),
    "siglip": Family("SigLIP", pads=True),
    "altclip": Family("AltCLIP"),
}
"""Supported classes, by `model_type` of their configuration."""

_TEXT = "text_model", "text_projection"
_VISION = "vision_model", "visual_projection"
_LOGITS = "logit_scale", "logit_bias"
"""Parts of a dual encoder; a class need not have all of them."""


def is_dual_encoder(name: str) -> bool:
    """Whether a model on the hub or in a folder is a supported dual encoder; a model that cannot be
    found is none."""
    try:
        return HubModel.find(name).config.get("model_type") in FAMILIES
    except HganError:
        return False


def family_of(source: HubModel, remedy: str) -> Family:
    """The class of a model, by its `config.json`.

    Args:
        source: the model.
        remedy: what to do if it is of another class, for the error message.

    Raises:
        ConfigError: it is not a supported dual encoder.
        DataError: see `HubModel.config`.
    """
    kind = source.config.get("model_type")
    if kind in FAMILIES:
        return FAMILIES[kind]
    code = "auto_map" in source.config
    raise ConfigError(
        f"{source.source}: is of class {kind or 'unknown'}"
        f"{', whose code is in its repository and is not run' if code else ''}; supported dual "
        f"encoders of photos and texts are "
        f"{', '.join(family.title for family in FAMILIES.values())}; {remedy}"
    )


def load_image_processor(source: HubModel) -> Any:
    """The image processor of a model, as a class of `transformers`.

    Raises:
        ConfigError: the model has none.
    """
    try:
        return AutoImageProcessor.from_pretrained(  # type: ignore[no-untyped-call]
            source.source,
            revision=source.revision,
            trust_remote_code=False,
            local_files_only=source.is_offline,
        )
    except (OSError, ValueError, ImportError, KeyError) as error:
        raise ConfigError(
            f"{source.source}: has no image processor that can be loaded ({_first_line(error)}); "
            "a dual encoder has preprocessor_config.json beside its weights"
        ) from error


def load_model(source: HubModel) -> PreTrainedModel:
    """The model with its weights, frozen, from safetensors only.

    Raises:
        ConfigError: the weights cannot be loaded, some are missing, or the embeddings of photos and
            texts differ in width.
    """
    try:
        model, report = AutoModel.from_pretrained(
            source.source,
            revision=source.revision,
            trust_remote_code=False,
            local_files_only=source.is_offline,
            use_safetensors=True,
            dtype=torch.float32,
            attn_implementation="eager",  # the fused kernels' masks cannot be exported
            output_loading_info=True,
        )
    except (OSError, ValueError, ImportError, RuntimeError, SafetensorError) as error:
        raise ConfigError(
            f"{source.source}: its weights cannot be loaded ({_first_line(error)}); they must be "
            "in safetensors form (pickled weights are not read, because they can run code)"
        ) from error
    if absent := sorted(report["missing_keys"]):
        raise ConfigError(
            f"{source.source}: has no values for {len(absent)} weights, the first is {absent[0]}"
        )
    embedding_width(source.source, model.config)
    return model.eval().requires_grad_(False)


def embedding_width(name: str, config: Any) -> int:
    """P, the width of the embeddings of photos and texts.

    Args:
        name: the model, for error messages.
        config: its configuration.

    Raises:
        ConfigError: those of photos and texts differ in width.
    """
    if projected := getattr(config, "projection_dim", None):
        return int(projected)
    photos, texts = config.vision_config.hidden_size, config.text_config.projection_size
    if photos != texts:
        raise ConfigError(
            f"{name}: its embeddings of photos have {photos} numbers, those of texts {texts}, so "
            "they cannot be compared; its configuration and weights are not those of a dual encoder"
        )
    return int(photos)


def keep_vision(model: PreTrainedModel) -> PreTrainedModel:
    """The same model without its text tower; `get_image_features` still works."""
    return _without(model, _TEXT + _LOGITS)


def keep_text(model: PreTrainedModel) -> PreTrainedModel:
    """The same model without its vision tower; `get_text_features` still works."""
    return _without(model, _VISION + _LOGITS)


def _without(model: PreTrainedModel, parts: tuple[str, ...]) -> PreTrainedModel:
    for name in parts:
        if hasattr(model, name):
            delattr(model, name)
    return model


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0]
