"""The configuration of a bundle: read `config.json` and check it."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hgan.errors import BundleError
from hgan.files import parse_json
from hgan.runtime.patches import PatchGrid
from hgan.runtime.preprocessing import Preprocessing
from hgan.runtime.ranges import check_integer, check_number, check_text

FORMAT_VERSION = 2
"""Version 1 has neither `preprocessing` nor `languages`: photos are squashed to a square."""

MAX_WIDTH = 65_536
"""Maximum width of a dense vector, which is that of the engine of the index."""
MAX_GRID, MAX_REGIONS, MAX_WORDS, MAX_LANGUAGES = 256, 65_536, 10_000, 500
"""Maximum values of the fields; larger ones are a mistake, and would need too much memory."""

_FILES = ("image.onnx", "text.onnx", "tokenizer.json")
_OPTIONAL = ("image.onnx.data", "text.onnx.data", "patches.onnx")
"""Weights of networks that are too large for one file; and the network of `patches`."""
_WEIGHTS = ("context", "shared", "local")
_WIDTHS = ("context", "slots", "slot", "local")


@dataclass(frozen=True)
class BundleConfig:
    """The fields of `config.json`."""

    name: str
    size: int
    """Side of the square photos that the image tower reads, in pixels; also in `preprocessing`."""
    grid: int
    """Regions per side of the grid."""
    boxes: list[list[float]]
    """(R, 4): each region's x0 y0 x1 y1 in 0..1 of the square that the image tower reads."""
    max_words: int
    """Maximum tokens of a text, including the start and end tokens; longer texts are truncated."""
    weights: dict[str, float]
    """Weights of the levels `context`, `shared` and `local` in S; they sum to one."""
    widths: dict[str, int]
    """`context` D, `slots` K, `slot` D_s and `local` D_l."""
    files: dict[str, str]
    """SHA-256 of each file; the weights of a large network are in a file of their own."""
    preprocessing: Preprocessing
    """How a photo becomes that square."""
    languages: tuple[str, ...] = ()
    """Languages of queries by the model card, such as `en`; empty if it does not say."""
    logits: dict[str, float] | None = None
    """`scale` and `bias` of a model with a context level alone that was trained to give the
    probability that a photo and a text match: the sigmoid of scale * S + bias."""
    patches: PatchGrid | None = None
    """The patches whose vectors `patches.onnx` gives, for explanations; None without that file."""

    def __post_init__(self) -> None:
        """Check all fields.

        Raises:
            ValueError: a field has a wrong type, or is out of range.
        """
        check_text("name", self.name, 500)
        check_integer("grid", self.grid, 1, MAX_GRID)
        check_integer("max_words", self.max_words, 3, MAX_WORDS)
        _check_boxes(self.boxes)
        _check_keys("weights", self.weights, _WEIGHTS)
        for name, weight in self.weights.items():
            check_number(f"weights.{name}", weight, 0, 1)
        if abs(sum(self.weights.values()) - 1) > 1e-3:
            raise ValueError(f"weights must sum to one, not {sum(self.weights.values())}")
        _check_keys("widths", self.widths, _WIDTHS)
        for name, value in self.widths.items():
            check_integer(f"widths.{name}", value, 0, MAX_WIDTH)
        width = self.widths
        shared = width["slots"] * width["slot"]
        check_integer("context + slots * slot", width["context"] + shared, 0, MAX_WIDTH)
        sizes = {"context": width["context"], "shared": shared, "local": width["local"]}
        if any(weight and not sizes[level] for level, weight in self.weights.items()):
            raise ValueError("a level has a weight but no width")
        _check_keys("files", self.files, _FILES, _OPTIONAL)
        for name, digest in self.files.items():
            if type(digest) is not str or not re.fullmatch("[0-9a-f]{64}", digest):
                raise ValueError(f"files.{name} must be a SHA-256 of 64 hexadecimal digits")
        if ("patches.onnx" in self.files) != (self.patches is not None):
            raise ValueError("patches and the file patches.onnx need each other")
        if self.patches and self.patches.side * self.patches.pixels > self.size:
            raise ValueError("patches must be inside the square of size x size pixels")
        if len(self.languages) > MAX_LANGUAGES:
            raise ValueError(f"languages must be at most {MAX_LANGUAGES}")
        for language in self.languages:
            check_text("languages", language, 40)
        if self.logits is not None:
            _check_keys("logits", self.logits, ("scale", "bias"))
            for name, number in self.logits.items():
                check_number(f"logits.{name}", number, -1e6, 1e6)

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
        values = parse_json(content)
        version = values.pop("format_version")
        check_integer("format_version", version, 1, 10**6)
        if version > FORMAT_VERSION:
            raise BundleError(
                f"{file}: format version {version}, this program reads up to {FORMAT_VERSION}; "
                "upgrade hgan"
            )
        preprocessing = Preprocessing(values["size"], **values.pop("preprocessing", {}))
        languages = tuple(values.pop("languages", ()))
        found = values.pop("patches", None)
        patches = None if found is None else PatchGrid(**found)
        return BundleConfig(
            **values, preprocessing=preprocessing, languages=languages, patches=patches
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BundleError(
            f"{file}: not the configuration of a bundle ({error}); get the bundle again"
        ) from error


def _check_keys(
    name: str, values: Any, keys: tuple[str, ...], optional: tuple[str, ...] = ()
) -> None:
    if not isinstance(values, dict) or not set(keys) <= set(values) <= {*keys, *optional}:
        raise ValueError(f"{name} must have the fields {', '.join(keys)}")


def _check_boxes(boxes: Any) -> None:
    if not isinstance(boxes, list) or not 1 <= len(boxes) <= MAX_REGIONS:
        raise ValueError(f"boxes must be a list of 1 to {MAX_REGIONS} regions")
    for row, box in enumerate(boxes):
        if not isinstance(box, list) or len(box) != 4:
            raise ValueError(f"boxes[{row}] must be four numbers")
        for number in box:
            check_number(f"boxes[{row}]", number, -0.001, 1.001)  # rounding errors of a grid
