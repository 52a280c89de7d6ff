"""Views of a photo for augmentation: the original, mirrored, random crops, and other colours."""

import random

import numpy as np
from PIL import Image, ImageEnhance, ImageOps


def view(photo: Image.Image, number: int, key: str) -> Image.Image:
    """A view of a photo: 0 is the original, 1 is mirrored, others are random crops with 50 to 100 %
    of the area.

    Crops depend only on the number and the key, so that they are reproducible.
    """
    if number == 0:
        return photo
    if number == 1:
        return ImageOps.mirror(photo)
    rng = random.Random(f"{key} {number}")
    area = rng.uniform(0.5, 1.0)
    ratio = rng.uniform(0.8, 1.25)
    width = min(1.0, (area * ratio) ** 0.5) * photo.width
    height = min(1.0, (area / ratio) ** 0.5) * photo.height
    left = rng.uniform(0, photo.width - width)
    top = rng.uniform(0, photo.height - height)
    crop = photo.crop((round(left), round(top), round(left + width), round(top + height)))
    return ImageOps.mirror(crop) if rng.random() < 0.5 else crop


def recolour(pixels: np.ndarray, strength: float, key: str) -> np.ndarray:
    """Change brightness, contrast and saturation of a view at random, depending only on the key.

    Args:
        pixels: (size, size, 3) uint8.
        strength: largest change of each of them, as a share; 0 changes nothing.
        key: the photo and the number of the view.
    """
    rng, photo = random.Random(f"colour {key}"), Image.fromarray(pixels)
    for kind in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        photo = kind(photo).enhance(1 + strength * rng.uniform(-1, 1))
    return np.asarray(photo)
