"""The configuration of a bundle: read `config.json` and check it."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hgan.errors import BundleError

FORMAT_VERSION = 1

_FILES = ("image.onnx", "text.onnx", "tokenizer.json")
_WEIGHTS = ("context", "shared", "local")
_WIDTHS = ("context", "slots", "slot", "local")


@dataclass(frozen=True)
class BundleConfig:
    """The fields of `config.json`."""

    name: str
    size: int
    """Side of the square photos that the image tower reads, in pixels."""
    grid: int
    """Regions per side of the grid."""
    boxes: list[list[float]]
    """(R, 4): each region's x0 y0 x1 y1 in 0..1."""
    max_words: int
    """Maximum tokens of a text, including the start and end tokens; longer texts are truncated."""
    weights: dict[str, float]
    """Weights of the levels `context`, `shared` and `local` in S; they sum to one."""
    widths: dict[str, int]
    """`context` D, `slots` K, `slot` D_s and `local` D_l."""
    files: dict[str, str]
    """SHA-256 of each file."""

    @property
    def shape(self) -> tuple[int, ...]:
        """D, K, D_s and D_l."""
        return tuple(self.widths[name] for name in _WIDTHS)


def parse_config(file: Path, content: bytes) -> BundleConfig:
    """Read and check a bundle's configuration.

    Args:
        file: path of the file, for error messages.
        content: bytes of the file.

    Raises:
        BundleError: the configuration is damaged, or of a newer format.
    """
    try:
        values = json.loads(content)
        version = values.pop("format_version")
        if version > FORMAT_VERSION:
            raise BundleError(
                f"{file}: format version {version}, this program reads up to {FORMAT_VERSION}; "
                "upgrade hgan"
            )
        config = BundleConfig(**values)
        if not np.shape(config.boxes)[1:] == (4,):
            raise ValueError("boxes are not rows of four")
        for name, keys in (("weights", _WEIGHTS), ("widths", _WIDTHS), ("files", _FILES)):
            if set(getattr(config, name)) != set(keys):
                raise ValueError(f"{name} must have the fields {', '.join(keys)}")
        if min(config.size, config.max_words - 2, *(w + 1 for w in config.widths.values())) < 1:
            raise ValueError("a size is not positive")
        if min(config.weights.values()) < 0 or abs(sum(config.weights.values()) - 1) > 1e-3:
            raise ValueError("weights are negative or do not sum to one")
        width = config.widths
        sizes = {"context": width["context"], "local": width["local"]}
        sizes["shared"] = width["slots"] * width["slot"]
        if any(weight and not sizes[level] for level, weight in config.weights.items()):
            raise ValueError("a level has a weight but no width")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BundleError(f"{file}: not the configuration of a bundle ({error})") from error
    return config
