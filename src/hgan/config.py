"""Settings that do not need torch, as dataclasses: data, vision, text encoder, optimiser.

The settings of a matcher or a loss are in its own file; `hgan.training.config` combines all
settings of a run.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import ClassVar, Literal

from hgan.errors import ConfigError

POSITIVE = 1e-9
"""Lower bound of settings that must be above zero."""


Bounds = Mapping[str, tuple[float, float]]
"""Lower bound (inclusive) and upper bound (exclusive) of each setting."""


class Section:
    """A section of a run's settings; a value out of bounds raises `ConfigError`.

    Attributes:
        section: the section's key in the YAML file.
        bounds: bounds of its settings.
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
    """Folder of the photos; image names in the caption file are relative to it."""
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
    `precomputed` for existing features, such as those of bottom-up attention."""
    size: int | None = None
    """Side of the square photo that the backbone reads, in pixels; by default the backbone's
    standard size."""
    grid: int = 6
    """Regions per side: each photo has grid x grid regions."""
    views: int = 6
    """Views extracted from each photo: the original, the mirrored photo, then random crops."""


@dataclass
class TextConfig(Section):
    """The text encoder."""

    section = "text"
    bounds: ClassVar[Bounds] = {"trainable_layers": (0, inf), "max_words": (3, inf)}

    encoder: str = "minilm"
    """minilm (all-MiniLM-L6-v2, offline), bigru (trained from scratch), or the name or folder of a
    Hugging Face model."""
    vocabulary: Path | None = None
    """SCAN vocabulary file for bigru; by default the words of the training captions."""
    vectors: Path | None = None
    """Initial word vectors for bigru, in GloVe's text format."""
    trainable_layers: int | None = 4
    """Transformer layers to fine-tune, counted from the top; 0 freezes all, null trains all. A
    bigru is always trained completely."""
    max_words: int = 48
    """Maximum number of tokens of a caption, including its two special tokens."""


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
    """Photos per batch, each with `captions_per_image` captions."""
    captions_per_image: int = 3
    """Captions sampled per photo in each epoch, without repetition."""
    learning_rate: float = 5e-4
    """Learning rate of all parameters except those of the text encoder."""
    text_rate: float = 0.4
    """Learning rate of the text encoder, relative to `learning_rate`."""
    weight_decay: float = 1e-4
    """Weight decay of AdamW."""
    clip: float = 2.0
    """Maximum gradient norm."""
    warmup_steps: int = 20
    """Steps during which the learning rate increases; then it decays to zero along a cosine."""
    region_drop: float = 0.2
    """Probability that a region is dropped."""
    word_drop: float = 0.15
    """Probability that a word is masked or dropped."""
    ema: float = 0.98
    """Decay of the averaged weights that are evaluated and saved; 0 disables averaging."""
    precision: Literal["bf16", "no"] = "bf16"
    """`bf16`: autocast to bfloat16 if the processor has matrix units for it; `no`: float32."""
