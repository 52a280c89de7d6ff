"""Export a checkpoint as a bundle: two ONNX networks, tokenizer, configuration and model card."""

from collections.abc import Sequence
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from hgan.data.batches.types import TextBatch
from hgan.encoded import LEVELS
from hgan.errors import ConfigError
from hgan.export.compact import compact
from hgan.export.distill import distill_pretrained
from hgan.files import replace_folder, sha256, write_json
from hgan.model.card import model_card
from hgan.model.hgan import HGAN
from hgan.model.io import TrainedModel, load_checkpoint
from hgan.model.photos import encode_photos
from hgan.model.prior import TEMPLATE
from hgan.progress import console
from hgan.vision.backbone import Backbone
from hgan.vision.load import backbone_of
from hgan.vision.onnx_export import export_onnx

FORMAT_VERSION = 1
TEXTS = 4000
"""Number of texts that are used, evenly spaced, of all that are given."""


class ImageNetwork(nn.Module):
    """Backbone and photo encoder as one network."""

    boxes: Tensor  # (R, 4)

    def __init__(self, backbone: Backbone, network: HGAN, boxes: Tensor) -> None:
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

    def __init__(self, network: HGAN) -> None:
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
        ConfigError: the model is not HGAN with a backbone of `hgan extract`, or has no context
            level, which is needed to search an index.
    """
    model = load_checkpoint(checkpoint)
    if not isinstance(model.network, HGAN) or model.boxes is None:
        raise ConfigError(
            f"{checkpoint}: only HGAN with a backbone of `hgan extract` can be exported; this is "
            f"{model.network.config.name} with {model.vision.backbone}"
        )
    if "context" not in model.network.level_names:
        raise ConfigError(f"{checkpoint}: a bundle needs the context level, to search an index")
    backbone = backbone_of(model.vision)
    if texts and model.network.text.keeps_pretrained:
        sentences = [*texts[:: max(1, len(texts) // TEXTS)], *_class_sentences(backbone)]
        cosine = distill_pretrained(
            model.network.text, model.tokenizer, sentences, model.text.max_words
        )
        console.print(f"pretrained text layers: estimated by a linear map, cosine {cosine:.3f}")

    def write(new: Path) -> None:
        _export_networks(model, backbone, new)
        if compact_weights:
            for name in ("image.onnx", "text.onnx"):
                compact(new / name)
        _save_tokenizer(model.tokenizer, new / "tokenizer.json")
        card = model_card(model.network, model.vision, model.text, model.facts)
        (new / "README.md").write_text(card, encoding="utf-8")
        _write_config(model, backbone, new)

    replace_folder(folder, write)
    return folder


def _class_sentences(backbone: Backbone) -> list[str]:
    """Names of the classes that a backbone recognises, in a sentence and alone, in turns."""
    classifier = backbone.classifier()
    names = [] if classifier is None else [name.split(",")[0] for name in classifier.names]
    return [name if i % 2 else TEMPLATE.format(name) for i, name in enumerate(names)]


def _export_networks(model: TrainedModel, backbone: Backbone, folder: Path) -> None:
    network = model.network.eval()
    assert isinstance(network, HGAN) and model.boxes is not None
    boxes = torch.from_numpy(model.boxes)
    network.image_tower.freeze_pooling(len(boxes))
    network.text_tower.freeze_pooling(model.text.max_words)
    export_onnx(
        ImageNetwork(backbone, network, boxes),
        {"pixels": torch.zeros(2, backbone.size, backbone.size, 3, dtype=torch.uint8)},
        {"pixels": ("batch",)},
        ["context", "slots", "local"],
        folder / "image.onnx",
    )
    ids = torch.randint(1000, 1100, (2, 9))
    export_onnx(
        TextNetwork(network),
        {"ids": ids, "mask": torch.ones_like(ids)},
        {"ids": ("batch", "words"), "mask": ("batch", "words")},
        ["context", "slots", "local", "local_mask"],
        folder / "text.onnx",
    )


def _save_tokenizer(tokenizer: Tokenizer, path: Path) -> None:
    tokenizer.no_truncation()
    tokenizer.no_padding()
    tokenizer.save(str(path))


def _write_config(model: TrainedModel, backbone: Backbone, folder: Path) -> None:
    boxes = model.boxes
    assert boxes is not None and isinstance(model.network, HGAN)
    config = model.network.config
    weights = model.network.weights
    files = ("image.onnx", "text.onnx", "tokenizer.json")
    has = set(config.levels)
    prior = model.network.prior is not None
    local = config.local_width + (config.prior_local_width if prior else 0)
    write_json(
        folder / "config.json",
        {
            "format_version": FORMAT_VERSION,
            "name": f"hgan-{model.vision.backbone}",
            "size": backbone.size,
            "grid": backbone.grid,
            "boxes": boxes.tolist(),
            "max_words": model.text.max_words,
            "weights": {level: weights.get(level, 0.0) for level in LEVELS},
            "widths": {
                "context": config.width + (config.prior_width if prior else 0),
                "slots": config.slots if "shared" in has else 0,
                "slot": config.slot_width if "shared" in has else 0,
                "local": local if "local" in has else 0,
            },
            "files": {name: sha256(folder / name) for name in files},
        },
    )
