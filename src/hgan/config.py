"""Settings that need no torch, as dataclasses: data, vision, text encoder, optimiser.

The settings of each matcher and loss are in its own file; `hgan.training.config` combines all
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
"""For each setting, its smallest allowed value, and the value that it must be below."""


class Section:
    """Base class for a section of the settings of a run; checks the bounds of its values.

    Attributes:
        section: key of the section in the YAML file.
        bounds: bounds of its settings.

    Raises:
        ConfigError: a value is outside its bounds.
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


OLD_KEYS = {"kind": "name", "trained_blocks": "trainable_layers"}
"""Keys of settings in files that older versions wrote, and their new names."""


@dataclass
class DataConfig(Section):
    """Paths of captions, photos and features."""

    section = "data"

    captions: Path = Path("data/flickr8k/captions.jsonl")
    """Caption file (JSON Lines, Karpathy's JSON or CSV), or a folder in SCAN's format."""
    photos: Path = Path("data/flickr8k/images")
    """Folder of the photos; image names in the caption file are relative to it."""
    features: Path = Path()
    """Feature store, which `hgan extract` writes, or `hgan train` if it is missing; by default in
    `features`, with the name of the folder of the captions. Or a folder in SCAN's format (then set
    `vision.backbone` to `precomputed`)."""
    open_captions: Path | None = None
    """Caption file of a second validation set with other photos, whose split val counts as much as
    the own one in the choice of checkpoint and level weights, so that it is not made by photos of
    one kind alone."""
    open_features: Path | None = None
    """Feature store of the second validation set."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.features == Path():
            self.features = Path("features") / self.name
        if (self.open_captions is None) != (self.open_features is None):
            raise ConfigError(
                "data.open_captions and data.open_features belong together; set both, or neither"
            )

    @property
    def name(self) -> str:
        """Name of the data set: that of the captions' folder, or of a file in no folder."""
        file = self.captions
        return file.name if not file.suffix else file.parent.name or file.stem


@dataclass
class VisionConfig(Section):
    """The vision backbone."""

    section = "vision"
    bounds: ClassVar[Bounds] = {
        **dict.fromkeys(("size", "grid", "views"), (1, inf)),
        **dict.fromkeys(("trainable_layers", "mosaics"), (0, inf)),
    }

    backbone: str = "efficientnet-lite2"
    """efficientnet-lite0, 1 or 2 (work offline), the name or folder of a Hugging Face model, or
    `precomputed` for existing features, such as those of bottom-up attention."""
    size: int | None = None
    """Side of the backbone's input photos in pixels; by default that of its own preprocessing."""
    grid: int = 6
    """Number of regions along each side of a photo, which has grid x grid regions."""
    views: int | None = 6
    """Number of views of each photo, whose features are stored: the original, mirrored, and random
    crops. With null, photos are read in every epoch, each in a new view: a random crop, possibly
    mirrored, in other colours (`optim.colour`)."""
    dual_encoder: bool = False
    """Use the backbone as a dual encoder, such as CLIP: the context of a photo is its embedding,
    and photos are prepared by the model's own image processor."""
    trainable_layers: int | None = 0
    """Number of the backbone's last layers that are trained too: blocks of EfficientNet-Lite,
    layers of a transformer. 0 freezes all; null trains everything, and needs `views: null`."""
    gradient_checkpointing: bool = False
    """Compute the values within trained layers again in the backward pass instead of keeping them:
    less memory, more time."""
    mosaics: int = 0
    """Number of mosaics of four photos that each photo to train on is in, for a loss by which words
    and captions learn to point at their photo; 0 for none. Epochs use them in turn. They train the
    local level of HGAN; other models do not use them."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.dual_encoder and self.size is not None:
            raise ConfigError(
                "vision.size: cannot be set for a dual encoder, which has its own preprocessing"
            )
        if self.trainable_layers is None and self.views is not None:
            raise ConfigError(
                "vision.trainable_layers: null trains the whole backbone, so that no features can "
                "be stored; set vision.views to null too, to read the photos in every epoch"
            )

    @property
    def trains(self) -> bool:
        """Whether layers of the backbone are trained."""
        return self.trainable_layers != 0


@dataclass
class TextConfig(Section):
    """The text encoder."""

    section = "text"
    bounds: ClassVar[Bounds] = {"trainable_layers": (0, inf), "max_words": (3, inf)}

    encoder: str = "minilm"
    """minilm (all-MiniLM-L6-v2, works offline), bigru (trained from scratch), or the name or folder
    of a Hugging Face model; of a dual encoder such as CLIP, the text tower."""
    vocabulary: Path | None = None
    """Vocabulary file of SCAN for bigru; by default, the words of the training captions."""
    vectors: Path | None = None
    """File with initial word vectors for bigru, in GloVe's text format."""
    trainable_layers: int | None = 4
    """Number of transformer layers to fine-tune, from the top; 0 freezes all, null trains all. A
    bigru is always trained completely."""
    max_words: int = 48
    """Maximum number of tokens of a caption, including special tokens; the rest is truncated."""


@dataclass
class OptimConfig(Section):
    """Optimiser, schedule and augmentation."""

    section = "optim"
    bounds: ClassVar[Bounds] = {
        "epochs": (1, inf),
        "batch_images": (2, inf),  # negatives are other photos
        **dict.fromkeys(("chunk_images", "accumulate"), (1, inf)),
        "captions_per_image": (1, inf),
        **dict.fromkeys(("learning_rate", "clip"), (POSITIVE, inf)),
        **dict.fromkeys(("text_rate", "vision_rate", "weight_decay", "warmup_steps"), (0, inf)),
        **dict.fromkeys(("region_drop", "word_drop", "colour", "ema", "decay_at"), (0, 1)),
    }

    epochs: int = 6
    """Number of epochs, passes over the training photos."""
    batch_images: int = 128
    """Number of photos in a batch."""
    captions_per_image: int = 3
    """Number of captions for each photo in a batch, drawn without replacement."""
    chunk_images: int | None = None
    """Number of photos that a process encodes at once (gradient caching), for batches that do not
    fit in memory; gradients are the same, and a step takes about a quarter longer. null: all."""
    accumulate: int = 1
    """Number of batches for each step of the optimiser, which takes the mean of their gradients.
    Unlike with larger batches, negatives are only those of a photo's own batch."""
    learning_rate: float = 5e-4
    """Learning rate of all parameters except the text encoder."""
    text_rate: float = 0.4
    """Learning rate of the text encoder, as a multiple of `learning_rate`."""
    vision_rate: float = 0.2
    """Learning rate of the backbone's trained layers, as a multiple of `learning_rate`."""
    weight_decay: float = 1e-4
    """Weight decay of AdamW."""
    clip: float = 2.0
    """Maximum gradient norm for gradient clipping."""
    warmup_steps: int = 20
    """Number of steps of linear warm-up; after it, the rate decays to zero with a cosine."""
    decay_at: float = 0.0
    """Part of the run after which the rates are a tenth, in place of the cosine, as in the papers
    of the baselines; 0 for the cosine."""
    region_drop: float = 0.2
    """Probability that a region is dropped (augmentation)."""
    colour: float = 0.2
    """Largest change of brightness, contrast and saturation of a photo, as a share (augmentation);
    only for new views, with `vision.views: null`."""
    word_drop: float = 0.15
    """Probability that a word is masked, replaced or dropped (augmentation)."""
    whole_words: bool = False
    """Draw once for all pieces of a word, not for each piece."""
    ema: float = 0.98
    """Decay of the moving average of the weights, which is evaluated and saved; 0 disables it."""
    compile: bool = False
    """Compile the encoders by `torch.compile`, which takes a minute or more at the start. On a
    processor, it needs a C++ compiler."""
    precision: Literal["bf16", "no"] = "bf16"
    """Autocast to bfloat16 (bf16) if the hardware has matrix units for it, or never (no)."""
