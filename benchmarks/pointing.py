"""Measure whether explanations point at the right place, on mosaics of four photos.

    python benchmarks/pointing.py                                    # the bundle of hgan
    python benchmarks/pointing.py runs/mine/seed1/best --baseline    # and the difference to it
    python benchmarks/pointing.py bundles/mine --split val --picture pointing.png
    python benchmarks/pointing.py --captions data/coco_mini_val/captions.jsonl \\
        --photos data/coco_mini_val/images --split val

Photos of one split are drawn in random order. Four of them, each resized to a square of 224 pixels,
are the quarters of a mosaic, which the model reads as one photo. Every caption of the four photos
is asked: its best region must be in the quarter of its photo. By chance it is in 25 %.

- By whole captions: the best region has the highest sum of weight x cosine over all words of the
  caption, including function words.
- By content words: each word of a caption that is not in `hgan.runtime.explain.FUNCTION_WORDS`
  ("the", "of") is asked alone, as in a heat map of `hgan explain`. A word such as "dog" is asked
  also if another photo of the mosaic shows a dog, so 100 % is out of reach.
- By sure words: the content words that have a heat map, because their place is clear
  (`hgan.runtime.explain.SURE`), and what share of the content words they are.

Words, weights and regions are those of `hgan.explain`. A region is in the quarter that contains its
centre. The intervals are 95 %, from a bootstrap over mosaics; models are compared on the same
mosaics. Choose nothing by the result on test; `--split val` is for that.
"""

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

import hgan
from hgan.data.captions.read import read_captions
from hgan.data.captions.types import Captions
from hgan.encoded import Encoded
from hgan.errors import ConfigError
from hgan.progress import progress
from hgan.render.heatmap import heat_panel
from hgan.render.text import draw_text
from hgan.runtime.explain import Explanation, Word, take_apart
from hgan.runtime.images import read_photo
from hgan.vision.mosaics import make_mosaic as tile

DATA = Path(os.environ.get("HGAN_DATA", "data")) / "flickr8k"
SIDE = 224
"""Side of a photo in a mosaic, in pixels."""
SHIPPED = "the bundle of hgan"
NUMBER = 250
RESAMPLES = 2000
KINDS = ("whole captions", "content words", "sure words")

# Sizes of the picture in pixels.
ROWS = 4
_PANEL, _GAP, _TITLE = 330, 20, 34
_PAPER, _INK, _RIGHT, _WRONG = (250, 250, 248), (28, 28, 30), (0, 122, 61), (190, 30, 30)


@dataclass(frozen=True)
class Mosaic:
    """Four photos as one."""

    image: Image.Image
    captions: list[tuple[str, int]]
    """Captions of the four photos, each with the quarter (0 to 3, row by row) of its photo."""


@dataclass(frozen=True)
class Pointing:
    """How often a model has pointed at the right quarter, for each kind of question."""

    hits: np.ndarray
    """(M, 3) float64: number of right answers for each mosaic."""
    asked: np.ndarray
    """(M, 3) float64: number of questions for each mosaic."""

    def shares(self, times: np.ndarray | None = None) -> np.ndarray:
        """Right answers in per cent, (3,); or (S, 3) if `times` (S, M) says how often each mosaic
        is drawn in each of S samples."""
        if times is None:
            times = np.ones(len(self.hits))
        return np.asarray(100 * (times @ self.hits) / (times @ self.asked))


def main() -> None:
    """Measure a model, and compare it with the bundle of hgan."""
    chosen = _arguments()
    captions = read_captions(chosen.captions).split(chosen.split)
    groups = draw_groups(len(captions.images), chosen.number, chosen.seed)
    mosaics = [make_mosaic(captions, group, chosen.photos) for group in groups]
    times = draw_times(len(mosaics), chosen.seed)
    model = hgan.load(chosen.model)
    found = measure(model, mosaics)
    print(
        f"{len(mosaics)} mosaics of {chosen.captions.parent.name}, {chosen.split} split, "
        f"seed {chosen.seed}; chance 25 %"
    )
    _print_shares(chosen.model or SHIPPED, found, times)
    if chosen.baseline:
        theirs = measure(hgan.load(), mosaics)
        _print_shares(SHIPPED, theirs, times)
        _print("difference", found.shares() - theirs.shares(),
               found.shares(times) - theirs.shares(times), sign="+")  # fmt: skip
    if chosen.picture:
        draw_sheet(model, mosaics[:ROWS]).save(chosen.picture)
        print(f"picture: {chosen.picture}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("model", nargs="?", help="folder of a bundle or a checkpoint; default: the bundle of hgan")
    add("--captions", type=Path, default=DATA / "captions.jsonl")
    add("--photos", type=Path, default=DATA / "images")
    add("--split", default="test")
    add("--number", type=int, help=f"number of mosaics, which share no photo; default: {NUMBER}, "
        "or as many as the photos allow")  # fmt: skip
    add("--seed", type=int, default=0)
    add("--baseline", action="store_true", help="also measure the bundle of hgan, and compare")
    add("--picture", type=Path, metavar="PNG", help="also draw some mosaics with heat maps")
    return parser.parse_args()


def draw_groups(photos: int, number: int | None, seed: int) -> np.ndarray:
    """Positions (M, 4) of the photos of each mosaic: each photo is in at most one.

    Args:
        photos: number of photos.
        number: number of mosaics, M; by default `NUMBER`, or as many as the photos allow.
        seed: random seed.

    Raises:
        ConfigError: there are not enough photos.
    """
    number = max(min(NUMBER, photos // 4), 1) if number is None else number
    if not 1 <= number <= photos // 4:
        raise ConfigError(
            f"{number} mosaics: {photos:,} photos are enough for {photos // 4}; a mosaic has four"
        )
    return np.random.default_rng(seed).permutation(photos)[: 4 * number].reshape(number, 4)


def draw_times(number: int, seed: int) -> np.ndarray:
    """How often each mosaic is drawn in each bootstrap sample, (S, M) float64."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(number, np.full(number, 1 / number), RESAMPLES).astype(np.float64)


def make_mosaic(captions: Captions, photos: Sequence[int] | np.ndarray, folder: Path) -> Mosaic:
    """The mosaic of four photos, given by their positions in the captions.

    Raises:
        DataError: a photo is missing or damaged.
    """
    own = captions.of_image()
    files = [folder / captions.images[photo] for photo in photos]
    image = tile([read_photo(file, hint=SIDE) for file in files], SIDE)
    asked: list[tuple[str, int]] = []
    for quarter, photo in enumerate(photos):
        asked += [(captions.texts[text], quarter) for text in own[photo]]
    return Mosaic(image, asked)


def measure(model: hgan.Model, mosaics: Sequence[Mosaic]) -> Pointing:
    """Ask a model all captions of all mosaics.

    Raises:
        ConfigError: the model cannot explain its similarity by words.
    """
    if not (model.weights or {}).get("local"):
        raise ConfigError(f"{model.name}: has no local level, so no word points at a region")
    hits, asked = np.zeros((2, len(mosaics), len(KINDS)))
    quarters = quarters_of(model.boxes)
    with progress(model.name, total=len(mosaics), unit="mosaics") as bar:
        for row, mosaic in enumerate(mosaics):
            for found, quarter in explain_all(model, mosaic):
                content = [word for word in found.words if not word.is_function]
                sure = [word for word in content if word.is_sure]
                for kind, words in enumerate(([whole_caption(found)], content, sure)):
                    asked[row, kind] += len(words)
                    hits[row, kind] += sum(quarters[word.region] == quarter for word in words)
            bar.advance()
    return Pointing(hits, asked)


def explain_all(model: hgan.Model, mosaic: Mosaic) -> list[tuple[Explanation, int]]:
    """The result of `model.explain` for each caption, with the quarter of the caption's photo.

    Unlike `model.explain`, it encodes the mosaic only once.
    """
    assert model.weights is not None
    image: Encoded[np.ndarray] = model.encode_image(mosaic.image)
    return [
        (
            take_apart(
                image,
                model.encode_texts([text]),
                text,
                model.words(text),
                model.weights,
                model.boxes,
            ),
            quarter,
        )
        for text, quarter in mosaic.captions
    ]


def whole_caption(explanation: Explanation) -> Word:
    """All words of a caption as one, so that its best region is that of the whole caption."""
    words = explanation.words
    return Word(
        explanation.text,
        0,
        len(explanation.text),
        np.concatenate([word.pieces for word in words]),
        np.concatenate([word.weights for word in words]),
        sum(word.part for word in words),
    )


def quarters_of(boxes: Sequence[Sequence[float]]) -> np.ndarray:
    """The quarter of each region (R,), 0 to 3 row by row; -1 if its centre is on the border."""
    box = np.asarray(boxes, np.float64)  # (R, 4)
    centre = (box[:, :2] + box[:, 2:]) / 2
    right, below = (centre > 0.5).T
    border = np.isclose(centre, 0.5, atol=1e-5).any(axis=1)
    return np.where(border, -1, 2 * below + right)


def _print_shares(name: str, found: Pointing, times: np.ndarray) -> None:
    _print(name, found.shares(), found.shares(times))
    _, content, sure = found.asked.sum(axis=0)
    print(f"{name}: {100 * sure / content:.1f} % of the content words are sure")


def _print(name: str, values: np.ndarray, samples: np.ndarray, sign: str = "") -> None:
    """Print values (3,) with the intervals of their samples (S, 3)."""
    low, high = np.quantile(samples, [0.025, 0.975], axis=0)
    parts = [
        f"{kind} {values[i]:{sign}.1f} % [{low[i]:{sign}.1f}, {high[i]:{sign}.1f}]"
        for i, kind in enumerate(KINDS)
    ]
    print(f"{name}: {', '.join(parts)}")


def draw_sheet(model: hgan.Model, mosaics: Sequence[Mosaic]) -> Image.Image:
    """A row for each mosaic: the mosaic with the quarter that a caption describes, the heat map of
    the caption, and that of its content word with the highest similarity."""
    width = 3 * _PANEL + 4 * _GAP
    sheet = Image.new("RGB", (width, len(mosaics) * (_PANEL + 2 * _TITLE + _GAP) + _GAP), _PAPER)
    quarters = quarters_of(model.boxes)
    for row, mosaic in enumerate(mosaics):
        explained = explain_all(model, mosaic)
        # The first caption of another quarter in each row.
        found, quarter = next(pair for pair in explained if pair[1] == row % 4)
        content = [word for word in found.words if not word.is_function] or found.words
        word = max(content, key=lambda word: word.best)
        top = _GAP + row * (_PANEL + 2 * _TITLE + _GAP)
        draw_text(sheet, (_GAP, top + 24), found.text, 20, _INK, width - 2 * _GAP)
        panel = mosaic.image.resize((_PANEL, _PANEL), Image.Resampling.BICUBIC)
        _frame_quarter(panel, quarter)
        pictures = [(panel, "the photo of the caption", _INK)]
        for asked, name in ((whole_caption(found), "whole caption"), (word, word.text)):
            plain = mosaic.image.resize((_PANEL, _PANEL), Image.Resampling.BICUBIC)
            heat = heat_panel(plain, asked, found.boxes, float(np.ptp(asked.similarity)))
            right = quarters[asked.region] == quarter
            pictures.append((heat, f"{name}: {'right' if right else 'wrong'}",
                             _RIGHT if right else _WRONG))  # fmt: skip
        for column, (picture, title, ink) in enumerate(pictures):
            left = _GAP + column * (_PANEL + _GAP)
            sheet.paste(picture, (left, top + _TITLE))
            draw_text(sheet, (left, top + _TITLE + _PANEL + 22), title, 17, ink, _PANEL)
    return sheet


def _frame_quarter(panel: Image.Image, quarter: int) -> None:
    half = panel.width // 2
    left, top = quarter % 2 * half, quarter // 2 * half
    ImageDraw.Draw(panel).rectangle(
        (left, top, left + half - 1, top + half - 1), outline=_RIGHT, width=5
    )


if __name__ == "__main__":
    try:
        main()
    except hgan.HganError as error:
        raise SystemExit(f"pointing: {error}") from None
