"""Explain why a photo matches a sentence: the parts of S by level, word, region and slot.

The explanation is exact: S is a sum (see `hgan.runtime.similarity`), and the parts are its terms.
The parts of the levels sum to S, and the parts of the words sum to S_local. Only the patches of a
dual encoder are approximate: they are no part of S.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from math import tanh
from typing import Any, Self

import numpy as np

from hgan.encoded import LEVELS, Encoded
from hgan.runtime.patches import PatchMap

_FUNCTION_WORDS = """\
a an the this that these those some any each both all its his her their my your our
i you he she it we they them him me us who whom which what whose there here
is are was were be been being am has have had do does did will would can could may might
above below of in on at by for with to from into onto over under up down out off as about around
through between behind beside near next along across against while during before after
and or but nor if than then so not no"""
FUNCTION_WORDS = frozenset(_FUNCTION_WORDS.split())
"""English function words; the other words describe what a photo shows."""

SURE = 0.18, 0.35
"""Minimum contrast, and minimum cosine with its best region, of a word whose place is sure.

Measured with the shipped bundle on Flickr8k's validation split. On mosaics
(benchmarks/pointing.py), 88 % of the content words that are sure point at the right one of four
photos, and 75 % of the others. On single photos, 44 % of the content words of a photo's own
captions are sure, and 6 % of those of another photo's captions."""

# Words such as "tri-colored" and "dog's", which tokenizers split into three.
_COMPOUND = re.compile(r"\b\w++(?:[-'’]\w++)+")


@dataclass(frozen=True)
class Level:
    """One level of similarity."""

    name: str
    weight: float
    similarity: float

    @property
    def part(self) -> float:
        """Contribution of the level to S."""
        return self.weight * self.similarity


@dataclass(frozen=True)
class Word:
    """A word of the sentence as it is written, or a punctuation mark."""

    text: str
    start: int
    """Start of the word in the sentence: the word is `sentence[start:end]`."""
    end: int
    pieces: np.ndarray
    """(p, R) float64: similarity of each of the word's tokens to each region, the cosine times the
    token's weight."""
    weights: np.ndarray
    """(p,) float64: weight of each token in the mean over words; a sentence's weights average 1."""
    part: float
    """Contribution of the word to S_local."""

    @property
    def similarity(self) -> np.ndarray:
        """(R,): similarity to each region, averaged over the word's tokens."""
        return np.asarray(self.pieces.mean(axis=0))

    @property
    def weight(self) -> float:
        """Weight of the word, averaged over its tokens."""
        return float(self.weights.mean())

    @property
    def region(self) -> int:
        """Index of the most similar region."""
        return int(self.similarity.argmax())

    @property
    def best(self) -> float:
        """Similarity to the most similar region."""
        return float(self.similarity.max())

    @property
    def cosines(self) -> np.ndarray:
        """(R,): cosine with each region, averaged over the word's tokens."""
        return np.asarray((self.pieces / np.maximum(self.weights, 1e-9)[:, None]).mean(axis=0))

    @property
    def contrast(self) -> float:
        """Cosine with the most similar region minus the mean of those with all others; 0 if there
        is only one region."""
        *others, best = np.sort(self.cosines).tolist()
        return best - sum(others) / len(others) if others else 0.0

    @property
    def is_sure(self) -> bool:
        """Whether the word has a clear place in the photo; function words have none."""
        contrast, cosine = SURE
        enough = self.contrast >= contrast and float(self.cosines.max()) >= cosine
        return enough and not self.is_function

    @property
    def is_punctuation(self) -> bool:
        """Whether it is a punctuation mark."""
        return not any(character.isalnum() for character in self.text)

    @property
    def is_function(self) -> bool:
        """Whether it is a function word or a punctuation mark."""
        return self.is_punctuation or self.text.lower() in FUNCTION_WORDS


@dataclass(frozen=True)
class Explanation:
    """Why a photo has the similarity S to a sentence."""

    text: str
    levels: list[Level]
    """The levels that the model has, from coarse to fine."""
    slots: list[float]
    """K cosines of the shared slots; their mean is S_shared. Empty without the shared level."""
    words: list[Word]
    """Words of the sentence, without those that the model truncates. Empty without the local
    level."""
    boxes: list[list[float]]
    """(R, 4): each region's x0 y0 x1 y1 in 0..1 of the upright photo; with `patches`, those of the
    patches."""
    probability: float | None = None
    """Probability that photo and sentence match, by a model that was trained to give it (SigLIP);
    None for other models."""
    patches: PatchMap | None = None
    """Where the whole sentence is in the photo, by a dual encoder; None for other models, and for
    bundles of dual encoders without `patches.onnx`."""

    @property
    def is_whole(self) -> bool:
        """Whether the model compares only the whole photo with the whole sentence, as dual encoders
        do."""
        return [level.name for level in self.levels] == ["context"]

    @property
    def score(self) -> float:
        """S, the sum of the levels' parts."""
        return sum(level.part for level in self.levels)

    def as_dict(self) -> dict[str, Any]:
        """Convert the explanation to JSON values."""
        return {
            "text": self.text,
            "score": self.score,
            "levels": {
                level.name: {
                    "weight": level.weight,
                    "similarity": level.similarity,
                    "part": level.part,
                }
                for level in self.levels
            },
            "probability": self.probability,
            "patches": None
            if self.patches is None
            else {
                "source": self.patches.source,
                "region": self.patches.region,
                "similarity": self.patches.similarity.tolist(),
            },
            "slots": self.slots,
            "boxes": self.boxes,
            "words": [
                {
                    "text": word.text,
                    "start": word.start,
                    "end": word.end,
                    "weight": word.weight,
                    "weights": word.weights.tolist(),
                    "part": word.part,
                    "region": word.region,
                    "sure": word.is_sure,
                    "similarity": word.similarity.tolist(),
                    "pieces": word.pieces.tolist(),
                }
                for word in self.words
            ],
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Create an explanation from the result of `as_dict`, such as a response of a service.

        Raises:
            KeyError, TypeError, ValueError: the values are not those of an explanation.
        """
        levels = [
            Level(name, level["weight"], level["similarity"])
            for name, level in values["levels"].items()
        ]
        words = [
            Word(
                word["text"],
                word["start"],
                word["end"],
                np.array(word["pieces"], np.float64),
                np.array(word["weights"], np.float64),
                word["part"],
            )
            for word in values["words"]
        ]
        patches = values.get("patches")
        return cls(
            values["text"],
            levels,
            values["slots"],
            words,
            values["boxes"],
            values.get("probability"),
            patches and PatchMap(patches["source"], np.array(patches["similarity"], np.float64)),
        )


def take_apart(
    photo: Encoded[np.ndarray],
    sentence: Encoded[np.ndarray],
    text: str,
    spans: list[tuple[int, int] | None],
    weights: Mapping[str, float],
    boxes: list[list[float]],
    logits: Mapping[str, float] | None = None,
    patches: PatchMap | None = None,
) -> Explanation:
    """Split the similarity of a photo and a sentence into its parts; see `Model.explain`.

    Args:
        photo: one photo, N = 1.
        sentence: one sentence, N = 1.
        text: the sentence.
        spans: start and end of the word for each row of `sentence.local[0]`.
        weights: weight of each level.
        boxes: (R, 4), boxes of the photo's regions or patches, in 0..1 of the photo.
        logits: `scale` and `bias` of a model that gives the probability of a match.
        patches: similarity of the sentence to each patch, by a dual encoder.
    """
    slots: list[float] = []
    words: list[Word] = []
    if weights["shared"]:
        cosines = _double(sentence.slots[0]) * _double(photo.slots[0])  # (K, D_s)
        slots = cosines.sum(axis=1).tolist()
    if weights["local"]:
        words = _words(text, spans, photo, sentence)
    similarity = {
        "context": float(_double(sentence.context[0]) @ _double(photo.context[0])),
        "shared": sum(slots) / max(len(slots), 1),
        "local": sum(word.part for word in words),
    }
    levels = [Level(name, weights[name], similarity[name]) for name in LEVELS if weights[name]]
    probability = None
    if logits is not None:
        logit = logits["scale"] * sum(level.part for level in levels) + logits["bias"]
        probability = 0.5 + 0.5 * tanh(logit / 2)  # the sigmoid, without overflow
    return Explanation(text, levels, slots, words, boxes, probability, patches)


def _words(
    text: str,
    spans: list[tuple[int, int] | None],
    photo: Encoded[np.ndarray],
    sentence: Encoded[np.ndarray],
) -> list[Word]:
    """Combine tokens into words; `spans` has an item for each row of `sentence.local[0]`."""
    pieces = _double(sentence.local[0])  # (W, D_l), including the start and end tokens
    regions = _double(photo.local[0][photo.mask[0]])  # (R, D_l)
    real = int(sentence.mask[0].sum())
    # The rows of a model with a prior are shorter than one; the weights still average one.
    lengths = np.linalg.norm(pieces, axis=1)  # (W,)
    weights = lengths * real / max(float(lengths.sum()), np.finfo(np.float64).tiny)
    words = []
    for (start, end), rows in _grouped(text, spans, sentence.mask[0]):
        similarity = pieces[rows] @ regions.T  # (p, R)
        part = float(similarity.max(axis=1).sum()) / real
        words.append(Word(text[start:end], start, end, similarity, weights[rows], part))
    return words


def _grouped(
    text: str, spans: list[tuple[int, int] | None], mask: np.ndarray
) -> Iterator[tuple[tuple[int, int], list[int]]]:
    """Start and end of each word in the text, and the rows of its tokens."""
    compounds = [match.span() for match in _COMPOUND.finditer(text)]

    def whole(span: tuple[int, int]) -> tuple[int, int]:
        start, end = span
        return next((c for c in compounds if c[0] <= start and end <= c[1]), span)

    placed = [
        (whole(span), row)
        for row, (span, real) in enumerate(zip(spans, mask, strict=True))
        if real and span is not None
    ]
    for place, group in groupby(placed, key=lambda item: item[0]):
        yield place, [row for _, row in group]


def _double(array: np.ndarray) -> np.ndarray:
    """Convert to float64, so that the printed parts sum to the printed total."""
    return array.astype(np.float64)
