"""Export a checkpoint as a bundle: backbone and photo encoder as one network, texts as another."""

from collections.abc import Sequence
from pathlib import Path

import torch
from huggingface_hub import ModelCard
from torch import Tensor, nn

from hgan.data.batches.types import TextBatch
from hgan.encoded import LEVELS
from hgan.errors import ConfigError
from hgan.export.distill import distill_pretrained
from hgan.export.write import BundleParts, write_bundle
from hgan.model.baselines.mean_pooling import Mean
from hgan.model.card import languages_of, model_card
from hgan.model.hgan import HGAN
from hgan.model.io import TrainedModel, load_checkpoint
from hgan.model.photos import backbone_for, encode_photos
from hgan.model.prior import TEMPLATE
from hgan.progress import console
from hgan.vision.backbone import Backbone

TEXTS = 4000
"""Number of texts that are used, evenly spaced, of all that are given."""

Exportable = HGAN | Mean
"""Matchers whose levels the runtime can compare: inner products of contexts, slots and rows."""


class ImageNetwork(nn.Module):
    """Backbone and photo encoder as one network."""

    boxes: Tensor  # (R, 4)

    def __init__(self, backbone: Backbone, network: Exportable, boxes: Tensor) -> None:
        super().__init__()
        self.backbone, self.network = backbone, network
        self.register_buffer("boxes", boxes)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Encode photos (N, size, size, 3) uint8 as context (N, D), slots (N, K, D_s) and local
        (N, R, D_l)."""
        encoded = encode_photos(self.backbone, self.network, pixels, self.boxes)
        return encoded.context, encoded.slots, encoded.local


class TextNetwork(nn.Module):
    """The text encoder with its tower as one network."""

    def __init__(self, network: Exportable) -> None:
        super().__init__()
        self.network = network

    def forward(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Encode ids and mask (N, W) int64 as context (N, D), slots (N, K, D_s), local (N, W, D_l)
        and local_mask (N, W)."""
        encoded = self.network.encode_text(TextBatch(ids, mask))
        return encoded.context, encoded.slots, encoded.local, encoded.mask


def export(
    checkpoint: Path, folder: Path, compact_weights: bool = False, texts: Sequence[str] = ()
) -> Path:
    """Export a checkpoint as a bundle, which the runtime reads without torch.

    If the process is killed, the folder contains the old or the new bundle.

    Args:
        checkpoint: folder of a trained model, such as `runs/flickr8k/seed1/best`.
        folder: folder of the bundle; it is created, or replaced if it exists.
        compact_weights: store weights as int8 and float16; computation is in float32.
        texts: captions, best those of the training photos. With them, the pretrained text layers
            that a semantic prior needs are replaced by a linear map of the trained ones, see
            `hgan.export.distill`; the bundle then encodes a text as fast as one without prior.
            A model without pretrained layers does not need them.

    Raises:
        DataError: the checkpoint is missing or damaged.
        ConfigError: the model is neither HGAN, VSE++, VSE-infinity nor mean pooling, has no
            backbone of `hgan extract`, other regions than its settings say, or no context level,
            which is needed to search an index, or it is a baseline with a prior.
    """
    model = load_checkpoint(checkpoint)
    network = model.network.eval()
    if not isinstance(network, Exportable) or model.boxes is None:
        raise ConfigError(
            f"{checkpoint}: only HGAN, VSE++, VSE-infinity and mean pooling with a backbone of "
            "`hgan extract` can be exported, because an index compares vectors; this is "
            f"{network.config.name} with {model.vision.backbone}"
        )
    if "context" not in network.level_names:
        raise ConfigError(f"{checkpoint}: a bundle needs the context level, to search an index")
    if other := sorted(set(network.level_names) - set(LEVELS)):
        raise ConfigError(
            f"{checkpoint}: a bundle has no place for the levels {', '.join(other)}; train "
            f"{network.config.name} with model.prior none, or export HGAN"
        )
    backbone = backbone_for(network, model.vision)
    if len(model.boxes) != backbone.grid**2:
        raise ConfigError(
            f"{checkpoint}: was trained on {len(model.boxes)} regions a photo, but its settings "
            f"say vision.grid {backbone.grid}, which gives {backbone.grid**2}; train it again with "
            "the settings of its features"
        )
    if texts and network.text.keeps_pretrained:
        sentences = [*texts[:: max(1, len(texts) // TEXTS)], *_class_sentences(backbone)]
        cosine = distill_pretrained(network.text, model.tokenizer, sentences, model.text.max_words)
        console.print(f"pretrained text layers: estimated by a linear map, cosine {cosine:.3f}")
    network.freeze_pooling(len(model.boxes), model.text.max_words)
    write_bundle(_parts(model, network, backbone), folder, compact_weights)
    return folder


def _class_sentences(backbone: Backbone) -> list[str]:
    """Names of the classes that a backbone recognises, in a sentence and alone, in turns."""
    classifier = backbone.classifier()
    names = [] if classifier is None else [name.split(",")[0] for name in classifier.names]
    return [name if i % 2 else TEMPLATE.format(name) for i, name in enumerate(names)]


def _parts(model: TrainedModel, network: Exportable, backbone: Backbone) -> BundleParts:
    assert model.boxes is not None
    card = model_card(network, model.vision, model.text, model.facts)
    weights = network.weights
    model.tokenizer.no_truncation()
    model.tokenizer.no_padding()
    return BundleParts(
        name=f"{network.config.name}-{model.vision.backbone}",
        image=ImageNetwork(backbone, network, torch.from_numpy(model.boxes)),
        text=TextNetwork(network),
        tokenizer=model.tokenizer,
        card=card,
        preprocessing=backbone.preprocessing,
        max_words=model.text.max_words,
        weights={level: weights.get(level, 0.0) for level in LEVELS},
        widths=network.widths,
        grid=backbone.grid,
        boxes=model.boxes.tolist(),
        languages=languages_of(ModelCard(card)),
    )
