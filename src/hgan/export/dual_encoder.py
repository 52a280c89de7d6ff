"""Export a dual encoder of Hugging Face, such as CLIP or SigLIP, as a bundle.

A dual encoder has only the context level: a photo and a text are one vector each, and S is their
cosine. The vectors are those of the model's own `get_image_features` and `get_text_features`, and
photos and texts are prepared as by its own image processor and tokenizer.
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from hgan.dual_encoders.load import embedding_width, family_of, load_image_processor, load_model
from hgan.dual_encoders.processor import Processor, read_processor
from hgan.dual_encoders.tokenizer import read_tokenizer
from hgan.export.card import dual_encoder_card, read_card
from hgan.export.patches import encode_with_states, patch_network
from hgan.export.write import BundleParts, PatchParts, write_bundle
from hgan.hub import HubModel
from hgan.model.card import languages_of
from hgan.model.encoding import make_encoded
from hgan.model.layers import unit
from hgan.runtime.patches import PatchGrid


class ImageTower(nn.Module):
    """The image tower of a dual encoder, with normalisation of pixels before it."""

    mean: Tensor  # (1, 3, 1, 1)
    std: Tensor  # (1, 3, 1, 1)

    def __init__(self, model: PreTrainedModel, processor: Processor) -> None:
        super().__init__()
        self.model = model
        self.register_buffer("mean", torch.tensor(processor.mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(processor.std).view(1, 3, 1, 1))

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Encode photos (N, size, size, 3) uint8 as context (N, D), and slots and local of width
        zero; the last output are the states (N, T, W) for the vectors of patches."""
        values = (pixels.permute(0, 3, 1, 2).float() - self.mean) / self.std
        embedding, states = encode_with_states(self.model, values)
        encoded = make_encoded(context=unit(embedding))
        return encoded.context, encoded.slots, encoded.local, states


class TextTower(nn.Module):
    """The text tower of a dual encoder."""

    def __init__(self, model: PreTrainedModel, masked: bool) -> None:
        super().__init__()
        self.model, self.masked = model, masked

    def forward(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Encode ids and mask (N, W) int64 as context (N, D), and slots, local and local_mask of
        width zero."""
        attended = mask if self.masked else None
        found = self.model.get_text_features(  # type: ignore[operator]
            input_ids=ids, attention_mask=attended
        )
        encoded = make_encoded(context=unit(found.pooler_output))
        return encoded.context, encoded.slots, encoded.local, encoded.mask


def export_dual_encoder(source: HubModel, folder: Path, compact_weights: bool = False) -> Path:
    """Export a dual encoder as a bundle, which the runtime reads without torch.

    If the process is killed, the folder contains the old or the new bundle.

    Args:
        source: the model, on the Hugging Face hub or in a folder that `save_pretrained` wrote.
        folder: folder of the bundle; it is created, or replaced if it exists.
        compact_weights: store weights as int8 and float16; computation is in float32.

    Raises:
        DataError: the hub cannot be reached, or files of the model are missing.
        ConfigError: the model is of another class, its weights are pickled, or its preprocessing
            or tokenizer is not supported.
    """
    family = family_of(source, "`hgan export` also takes checkpoints of `hgan train`")
    processor = read_processor(source.source, load_image_processor(source))
    model = load_model(source)
    tokenizer = read_tokenizer(source, model.config, family.pads)
    card = read_card(source)
    patches = _patch_grid(model, family.title, processor.preprocessing.size)
    width = embedding_width(source.source, model.config)
    parts = BundleParts(
        name=source.name,
        image=ImageTower(model, processor),
        text=TextTower(model, tokenizer.masked),
        tokenizer=tokenizer.tokenizer,
        card=dual_encoder_card(source, card, processor.preprocessing, patches),
        preprocessing=processor.preprocessing,
        max_words=tokenizer.max_words,
        weights={"context": 1.0, "shared": 0.0, "local": 0.0},
        widths={"context": width, "slots": 0, "slot": 0, "local": 0},
        languages=languages_of(card),
        logits=_logits(model),
        patches=PatchParts(patch_network(model), patches),
    )
    write_bundle(parts, folder, compact_weights)
    return folder


def _patch_grid(model: PreTrainedModel, title: str, size: int) -> PatchGrid:
    pixels = int(model.config.vision_config.patch_size)
    return PatchGrid(title, size // pixels, pixels)


def _logits(model: PreTrainedModel) -> dict[str, float] | None:
    """Scale and bias of a model that was trained to give the probability of a match."""
    bias = getattr(model, "logit_bias", None)
    if bias is None:
        return None
    scale: Any = model.logit_scale
    return {"scale": float(scale.exp()), "bias": float(bias)}
