"""The preprocessing of a Hugging Face model as that of hgan, from its image processor."""

from typing import Any, NamedTuple

import numpy as np
from PIL import Image
from transformers.image_processing_utils import BaseImageProcessor

from hgan.errors import ConfigError
from hgan.runtime.preprocessing import Preprocessing

TOLERANCE = 1.0
"""Largest mean difference of pixels in 0..255 to those of the processor; with torchvision, it
resizes photos a little differently from Pillow."""
_SIZES = (97, 61), (45, 120), (400, 333)
"""Widths and heights of photos on which the two are compared."""
_SCALE = 3
"""See `Preprocessing.scale`. The processor resizes the whole photo; this is close to it (see
docs/models.md), and as fast as a scale of 2 for a photo of a phone."""


class Processor(NamedTuple):
    """What an image processor does with a photo."""

    preprocessing: Preprocessing
    """From a photo to pixels in 0..255."""
    mean: tuple[float, ...]
    """Mean of each channel, for pixels in 0..255."""
    std: tuple[float, ...]
    """Standard deviation of each channel, for pixels in 0..255."""


def read_processor(name: str, processor: BaseImageProcessor) -> Processor:
    """Describe an image processor, and check on photos that nothing is missing.

    Args:
        name: the model, for error messages.
        processor: its image processor.

    Raises:
        ConfigError: it does something else than to resize, to crop the middle, and to normalise.
    """
    settings = processor.to_dict()
    try:
        found = Processor(_preprocessing(settings), *normalisation(processor))
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{name}: its image processor {type(processor).__name__} is not supported ({error}); "
            "photos must be resized to a square, or to a shorter side with a square cut out of "
            "the middle, and then normalised"
        ) from error
    for size in _SIZES:
        photo = _sample(*size)
        own = processor(photo, return_tensors="np")["pixel_values"][0]
        expected = own.transpose(1, 2, 0) * found.std + found.mean
        pixels = found.preprocessing.pixels(photo)
        same_shape = pixels.shape == expected.shape
        if not (same_shape and np.abs(expected - pixels).mean() <= TOLERANCE):
            raise ConfigError(
                f"{name}: its image processor {type(processor).__name__} has a step that is not "
                "supported: it gives other pixels than resizing, cropping and normalising do"
            )
    return found


def normalisation(processor: BaseImageProcessor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation for pixels in 0..255; those of the model are for 0..1."""
    settings = processor.to_dict()
    scale = settings["rescale_factor"] if settings.get("do_rescale") else 1.0
    mean, std = [0.0] * 3, [1.0] * 3
    if settings.get("do_normalize"):
        mean, std = settings["image_mean"], settings["image_std"]
    return tuple(m / scale for m in mean), tuple(s / scale for s in std)


def _preprocessing(settings: dict[str, Any]) -> Preprocessing:
    if not settings.get("do_resize"):
        raise ValueError("it does not resize photos")
    resample = Image.Resampling(settings.get("resample", Image.Resampling.BICUBIC))
    kernel: Any = resample.name.lower()
    if "max_num_patches" in settings:
        raise ValueError("it cuts photos of any shape into patches")
    size = {key: value for key, value in settings["size"].items() if value is not None}
    crop = settings["crop_size"] if settings.get("do_center_crop") else None
    if set(size) == {"height", "width"}:
        side = _side(size)
        if crop is not None and _side(crop) != side:
            raise ValueError("it squashes photos, and then crops them")
        return Preprocessing(side, filter=kernel, scale=_SCALE)
    if set(size) == {"shortest_edge"} and crop is not None:
        shorter = int(size["shortest_edge"])
        return Preprocessing(_side(crop), "crop", kernel, shorter, _SCALE)
    raise ValueError(f"it resizes photos to {size}")


def _side(size: dict[str, Any]) -> int:
    if size["height"] != size["width"]:
        raise ValueError(f"{size['height']} x {size['width']} is not a square")
    return int(size["height"])


def _sample(width: int, height: int) -> Image.Image:
    """A smooth photo in which every part looks different."""
    x, y = np.meshgrid(np.linspace(0, 6, width), np.linspace(0, 5, height))
    waves = [np.sin(x + y), np.cos(2 * x - y), np.sin(x * y / 4)]
    return Image.fromarray((127.5 + 120 * np.stack(waves, axis=-1)).astype(np.uint8))
