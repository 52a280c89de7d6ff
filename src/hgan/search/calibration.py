"""Relevance: whether a photo is what a text asks for, or only the nearest that the collection has.

S orders the photos of one query. It does not say whether the best of them is any good: a rare word
in a long sentence has a low S for the right photo, and "spaceship" has a higher one for the photo
of a kite. What tells the two apart is not S, but how S compares:

- with *background texts*, common phrases and captions that the model learned from. A text far from
  all of them is one that the model knows little about; and for a photo that shows what the text
  says, few background texts score higher than the text.
- with *other photos of the collection*: whether the best stand out.

`quantities` measures both as 13 numbers x. Relevance is a logistic regression on them, their
squares and their products,

    z = b + w x + x A x,    relevance = 1 / (1 + exp(-z)),

fitted by `hgan calibrate` on validation photos, on queries that have an answer among them and on
queries that have none (see `hgan.export.calibrate`). z is then shifted and scaled so that the two
thresholds are fixed numbers: at `FAIR`, 95 % of the right hits are kept; at `STRONG`, 95 % of the
queries without an answer are left out. So relevance is comparable between queries, collections and
models; it is not a probability.

The calibration of a bundle is the file `calibration.npz` in its folder. It is not part of the
bundle's id, because it changes no vector: an index can be searched with a newer calibration.
"""

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, Self

import numpy as np

from hgan.errors import BundleError
from hgan.files import atomic_write

FILE = "calibration.npz"
FAIR, STRONG = 0.5, 0.9
"""Relevance from which on a hit is fair, and strong; below, it is weak."""
Grade = Literal["strong", "fair", "weak"]

NEAREST = 3
"""Number of nearest background texts that represent all."""
BEST = 100
"""Number of photos with the highest S that a hit is compared with."""
SAMPLE = 256
"""Number of photos that represent a collection."""
QUANTITIES = (
    "phrases near the text", "phrases on average", "captions near the text",
    "captions on average", "above phrases", "above captions", "beyond the best phrases",
    "beyond the best captions", "collection's mean", "collection's deviation",
    "above the collection", "above the best photos", "length of the text",
)  # fmt: skip
CLIP = 4.0
"""Largest deviation of a quantity from its mean, in standard deviations."""
_LIMIT = 64 * 2**20
_UNREADABLE = (
    OSError, ValueError, KeyError, TypeError, EOFError, MemoryError, zipfile.BadZipFile,
)  # fmt: skip
"""What numpy raises for files that are damaged, or made to look as large as no array is."""


def grade(relevance: float) -> Grade:
    """The word for a relevance."""
    return "strong" if relevance >= STRONG else "fair" if relevance >= FAIR else "weak"


class Background(NamedTuple):
    """Context vectors of texts that represent what a model learned from."""

    phrases: np.ndarray
    """(P, D) float32: common phrases of one to three words."""
    captions: np.ndarray
    """(C, D) float32: captions."""


class Candidates(NamedTuple):
    """The photos to judge for one text, and what they are compared with."""

    photos: np.ndarray
    """(H, D): context vectors of the photos."""
    scores: np.ndarray
    """(H,): their S."""
    best: float
    """Mean S of the `BEST` photos with the highest S."""
    sample: np.ndarray
    """(n, D): context vectors of up to `SAMPLE` photos of the collection."""


def quantities(
    text: np.ndarray, words: int, candidates: Candidates, background: Background
) -> np.ndarray:
    """The `QUANTITIES` (H, 13) of photos for a text, float32.

    Args:
        text: (D,) the context vector of the text.
        words: number of its tokens.
        candidates: the photos.
        background: the background texts.
    """
    scores = candidates.photos @ text  # (H,)
    near, above, beyond = [], [], []
    for texts in background:
        to_text = np.sort(texts @ text)  # (B,)
        near += [to_text[-NEAREST:].mean(), to_text.mean()]
        to_photos = np.sort(candidates.photos @ texts.T, axis=1)  # (H, B)
        above.append((scores - to_photos.mean(1)) / _positive(to_photos.std(1)))
        beyond.append(scores - to_photos[:, -min(NEAREST, to_photos.shape[1])])
    usual = candidates.sample @ text  # (n,)
    mean, deviation = usual.mean(), usual.std()
    columns = [
        *near, *above, *beyond, mean, deviation, (scores - mean) / _positive(deviation),
        candidates.scores - candidates.best, np.log1p(words),
    ]  # fmt: skip
    return np.stack(np.broadcast_arrays(*columns), axis=1).astype(np.float32)


def _positive(deviation: np.ndarray) -> np.ndarray:
    return np.maximum(deviation, 1e-6)


class Regression(NamedTuple):
    """The regression; n is the number of `QUANTITIES`."""

    mean: np.ndarray
    """(n,): mean of each quantity."""
    scale: np.ndarray
    """(n,): standard deviation of each quantity."""
    offset: np.ndarray
    """(): b."""
    linear: np.ndarray
    """(n,): w."""
    products: np.ndarray
    """(n, n): A."""

    def z(self, measured: np.ndarray) -> np.ndarray:
        """z (H,) of photos with these quantities (H, n)."""
        x = np.clip((measured - self.mean) / self.scale, -CLIP, CLIP)
        z: np.ndarray = self.offset + x @ self.linear
        return z + np.einsum("hi,ij,hj->h", x, self.products, x)

    def relevance(self, measured: np.ndarray) -> np.ndarray:
        """Relevance (H,), from 0 to 1, of photos with these quantities (H, n)."""
        relevance: np.ndarray = 1 / (1 + np.exp(-np.clip(self.z(measured), -30, 30)))
        return relevance


@dataclass(frozen=True, eq=False)
class Calibration:
    """What is needed to judge the hits of a bundle."""

    bundle: str
    """Id of the bundle."""
    background: Background
    regression: Regression
    vocabulary: tuple[str, ...]
    """The words of the captions that the model learned from, most frequent first, and of names of
    things."""

    def save(self, folder: Path) -> None:
        """Write the file into the folder of the bundle."""
        half = {name: array.astype(np.float16) for name, array in self.background._asdict().items()}
        texts = {"bundle": self.bundle, "vocabulary": " ".join(self.vocabulary)}
        with atomic_write(folder / FILE) as file:
            np.savez(file, **half, **self.regression._asdict(), **texts)  # type: ignore[arg-type]

    @classmethod
    def load(cls, folder: Path, bundle: str, width: int) -> Self | None:
        """Read the file in the folder of a bundle; None if there is none, or if it is of another
        bundle.

        Args:
            folder: the folder.
            bundle: id of the bundle.
            width: D, width of its context vectors.

        Raises:
            BundleError: the file is damaged.
        """
        path = folder / FILE
        if not path.is_file():
            return None
        try:
            arrays = _checked(_read(path), width)
        except _UNREADABLE as error:
            raise BundleError(
                f"{path}: not a calibration ({error}); remove it, or write it again with "
                "`hgan calibrate`"
            ) from error
        if str(arrays["bundle"]) != bundle:
            return None
        background = Background(*(arrays[name] for name in Background._fields))
        regression = Regression(*(arrays[name] for name in Regression._fields))
        return cls(bundle, background, regression, tuple(str(arrays["vocabulary"]).split()))


def _read(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a file of limited size, with numbers in float32."""
    with zipfile.ZipFile(path) as file:
        if sum(entry.file_size for entry in file.infolist()) > _LIMIT:
            raise ValueError(f"larger than {_LIMIT} bytes")
    with np.load(path, allow_pickle=False) as arrays:
        found = {name: arrays[name] for name in arrays.files}
    return {
        name: array.astype(np.float32) if array.dtype.kind == "f" else array
        for name, array in found.items()
    }


def _checked(arrays: dict[str, np.ndarray], width: int) -> dict[str, np.ndarray]:
    """The arrays; raises `ValueError` unless all shapes fit, and all numbers are finite."""
    n = len(QUANTITIES)
    numbers: Mapping[str, tuple[int | None, ...]] = {
        "phrases": (None, width), "captions": (None, width), "mean": (n,), "scale": (n,),
        "offset": (), "linear": (n,), "products": (n, n),
    }  # fmt: skip
    for name, shape in {**numbers, "vocabulary": (), "bundle": ()}.items():
        array, kind = arrays[name], "f" if name in numbers else "U"
        fits = len(shape) == array.ndim and all(
            size in (None, found) for size, found in zip(shape, array.shape, strict=True)
        )
        if array.dtype.kind != kind or not fits or not array.size:
            raise ValueError(f"{name} is {array.dtype} {array.shape}")
        if kind == "f" and not np.isfinite(array).all():
            raise ValueError(f"{name} has numbers that are not finite")
    if not (arrays["scale"] > 0).all():
        raise ValueError("scale is not positive")
    return arrays
