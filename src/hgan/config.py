"""Every setting of a training run, as dataclasses: a YAML file and the command line fill them."""

from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import Literal

from hgan.errors import ConfigError

ModelName = Literal["hgan", "vse++", "vse_infinity", "scan", "sgraf"]
Level = Literal["context", "shared", "local"]
LEVELS: tuple[Level, ...] = ("context", "shared", "local")


@dataclass
class DataConfig:
    """Where captions, photos and features are."""

    captions: Path = Path("data/flickr8k/captions.jsonl")
    """Caption file (JSONL, Karpathy JSON or CSV), or a folder in the SCAN format."""
    photos: Path = Path("data/flickr8k/images")
    """Folder that the image names in the caption file are relative to."""
    features: Path = Path("features/flickr8k")
    """Feature store that `hgan extract` writes and training reads, or a folder in the SCAN
    format (then `vision.backbone` is `precomputed`)."""


@dataclass
class VisionConfig:
    """The frozen vision backbone."""

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
class TextConfig:
    """The text encoder."""

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
class ModelConfig:
    """The matcher. Of HGAN, each part can be switched off, so that an ablation shows its worth."""

    name: ModelName = "hgan"
    """HGAN, or a method to compare it with: VSE++ (mean pooling), VSE-infinity (generalised
    pooling), SCAN (cross attention), SGRAF (reasoning over similarities)."""
    levels: list[Level] = field(default_factory=lambda: list(LEVELS))
    """Levels of similarity the model has."""
    image_graph: bool = True
    """Feature graph over the photo's regions and its context."""
    text_graph: bool = True
    """Feature graph over the caption's words and its context."""
    mfar: bool = True
    """Multi-granularity feature aggregation and rearrangement; the shared level needs it."""
    width: int = 512
    """D, width of the context level."""
    node_width: int = 256
    """Width of the graph's nodes."""
    graph_layers: int = 2
    """Graph convolution layers."""
    slots: int = 4
    """K, slots of the shared space."""
    slot_width: int = 128
    """D_s, width of a slot."""
    local_width: int = 128
    """D_l, width of a region or word at the local level."""
    dropout: float = 0.2
    """On backbone features before each projection."""
    attention: Literal["t2i", "i2t"] = "t2i"
    """Of SCAN: words attend to regions, or regions to words."""
    aggregation: Literal["mean", "lse"] = "mean"
    """Of SCAN: how the attended similarities of a pair become one."""
    reasoning: Literal["sgr", "saf"] = "sgr"
    """Of SGRAF: similarity graph reasoning, or similarity attention filtration."""
    similarity_width: int = 256
    """Of SGRAF: width of a similarity vector."""

    def __post_init__(self) -> None:
        if self.name != "hgan":
            return
        if not self.levels or len(set(self.levels)) != len(self.levels):
            raise ConfigError(f"model.levels: {self.levels} must name one to three levels, once")
        if "shared" in self.levels and not self.mfar:
            raise ConfigError("model.levels: the shared level is made by MFAR, which is off")


@dataclass
class LossConfig:
    """What training minimises, on each level and on their weighted sum."""

    kind: Literal["infonce", "hinge"] = "infonce"
    """Symmetric InfoNCE with learned temperatures, or the hinge on the hardest negative."""
    margin: float = 0.2
    """Of the hinge."""
    warmup_epochs: int = 1
    """Epochs in which the hinge takes the mean of all negatives, not the hardest."""
    temperature: float = 0.05
    """Where InfoNCE's learned temperatures start."""
    smoothing: float = 0.0
    """Share of InfoNCE's target that is spread over the negatives."""


@dataclass
class OptimConfig:
    """Optimiser, schedule and augmentation."""

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


@dataclass
class Config:
    """A whole run."""

    data: DataConfig = field(default_factory=DataConfig)
    vision: VisionConfig = field(default_factory=VisionConfig)
    text: TextConfig = field(default_factory=TextConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    seed: int = 1
    """Of weights, batches and augmentation."""
    run: Path = Path("runs/flickr8k")
    """Folder of the run; the seed is appended."""

    def __post_init__(self) -> None:
        """Refuse numbers that would end a run hours later, or quietly spoil it."""
        for section, bounds in _BOUNDS.items():
            for name, (low, high) in bounds.items():
                value = getattr(getattr(self, section), name)
                if value is not None and not low <= value < high:
                    least = "above 0" if low == _POSITIVE else f"at least {low:g}"
                    below = "" if high == inf else f" and below {high:g}"
                    raise ConfigError(f"{section}.{name}: {value}, but it must be {least}{below}")


_POSITIVE = 1e-9
_BOUNDS: dict[str, dict[str, tuple[float, float]]] = {
    "vision": dict.fromkeys(("size", "grid", "views"), (1, inf)),
    "text": {"trainable_layers": (0, inf), "max_words": (3, inf)},
    "model": {
        **dict.fromkeys(("width", "node_width", "graph_layers", "slots"), (1, inf)),
        **dict.fromkeys(("slot_width", "local_width", "similarity_width"), (1, inf)),
        "dropout": (0, 1),
    },
    "loss": {
        "margin": (0, inf),
        "warmup_epochs": (0, inf),
        "temperature": (0.01, inf),
        "smoothing": (0, 1),
    },
    "optim": {
        "epochs": (1, inf),
        "batch_images": (2, inf),  # negatives are other photos
        "captions_per_image": (1, inf),
        **dict.fromkeys(("learning_rate", "clip"), (_POSITIVE, inf)),
        **dict.fromkeys(("text_rate", "weight_decay", "warmup_steps"), (0, inf)),
        **dict.fromkeys(("region_drop", "word_drop", "ema"), (0, 1)),
    },
}
"""Least value of a setting, and the first that is too large."""
