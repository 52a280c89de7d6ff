"""Settings that need no torch, as dataclasses: data, vision, text encoder, optimiser.

A matcher's and a loss's settings stand in its own file; `hgan.training.config` puts a run together.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import ClassVar, Literal

from hgan.errors import ConfigError

POSITIVE = 1e-9
"""Least value of a setting that must be above zero."""


Bounds = Mapping[str, tuple[float, float]]
"""The least value of a setting, and the first that is too large."""


class Section:
    """A section of a run's settings; a value outside its bounds is refused when it is made.

    Attributes:
        section: the section's key in the YAML file.
        bounds: of its settings.
    """

    section: ClassVar[str]
    bounds: ClassVar[Bounds] = {}

    def __post_init__(self) -> None:
        for name, (low, high) in self.bounds.items():
            value = getattr(self, name)
            if value is not None and not low <= value < high:
                least = "above 0" if low == POSITIVE else f"at least {low:g}"
                below = "" if high == inf else f" and below {high:g}"
                raise ConfigError(f"{self.section}.{name}: {value}, but it must be {least}{below}")


@dataclass
class DataConfig(Section):
    """Where captions, photos and features are."""

    section = "data"

    captions: Path = Path("data/flickr8k/captions.jsonl")
    """Caption file (JSONL, Karpathy JSON or CSV), or a folder in the SCAN format."""
    photos: Path = Path("data/flickr8k/images")
    """Folder that the image names in the caption file are relative to."""
    features: Path = Path("features/flickr8k")
    """Feature store that `hgan extract` writes and training reads, or a folder in the SCAN
    format (then `vision.backbone` is `precomputed`)."""


@dataclass
class VisionConfig(Section):
    """The frozen vision backbone."""

    section = "vision"
    bounds: ClassVar[Bounds] = dict.fromkeys(("size", "grid", "views"), (1, inf))

    backbone: str = "efficientnet-lite2"
    """efficientnet-lite0, 1 or 2 (offline), the name or folder of a Hugging Face model, or
    `precomputed`: features come ready, as bottom-up attention's."""
    size: int | None = None
    """Side of the photo as the backbone reads it; by default the backbone's own."""
    grid: int = 6
    """Regions a side: grid x grid regions a photo."""
    views: int = 6
    """Views extracted of each photo: as it is, mirrored, then random crops."""


@dataclass
class TextConfig(Section):
    """The text encoder."""

    section = "text"
    bounds: ClassVar[Bounds] = {"trainable_layers": (0, inf), "max_words": (3, inf)}

    encoder: str = "minilm"
    """minilm (all-MiniLM-L6-v2, offline), bigru (trained from scratch), or the name or folder of a
    Hugging Face model."""
    vocabulary: Path | None = None
    """Of bigru: a SCAN vocabulary file; by default the words of the training captions."""
    vectors: Path | None = None
    """Of bigru: word vectors to start from, in GloVe's text format."""
    trainable_layers: int | None = 4
    """Transformer layers to fine-tune, counted from the top; 0 freezes all, null trains all. All of
    a bigru is trained."""
    max_words: int = 48
    """Tokens read of a caption, its two special tokens included."""


@dataclass
class OptimConfig(Section):
    """Optimiser, schedule and augmentation."""

    section = "optim"
    bounds: ClassVar[Bounds] = {
        "epochs": (1, inf),
        "batch_images": (2, inf),  # negatives are other photos
        "captions_per_image": (1, inf),
        **dict.fromkeys(("learning_rate", "clip"), (POSITIVE, inf)),
        **dict.fromkeys(("text_rate", "weight_decay", "warmup_steps"), (0, inf)),
        **dict.fromkeys(("region_drop", "word_drop", "ema"), (0, 1)),
    }

    epochs: int = 6
    """Passes over the training photos."""
    batch_images: int = 128
    """Photos in a batch, each with several of its captions."""
    captions_per_image: int = 3
    """Captions drawn for each photo in a batch, without repeating one in an epoch's draw."""
    learning_rate: float = 5e-4
    """Of everything but the text encoder."""
    text_rate: float = 0.4
    """The text encoder's learning rate as a share of the other."""
    weight_decay: float = 1e-4
    """Of AdamW."""
    clip: float = 2.0
    """Largest gradient norm."""
    warmup_steps: int = 20
    """Steps over which the rate rises; then it falls along a cosine to zero."""
    region_drop: float = 0.2
    """Chance that a region is left out."""
    word_drop: float = 0.15
    """Chance that a word is masked or left out."""
    ema: float = 0.98
    """Decay of the averaged weights that are evaluated and saved; 0 switches averaging off."""
    precision: Literal["bf16", "no"] = "bf16"
    """Autocast to bfloat16, where the processor has matrix units for it."""
