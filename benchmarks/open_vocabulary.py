"""Measure a model on photos of things that its training photos do not show.

    python benchmarks/open_vocabulary.py                          # the bundle of hgan
    python benchmarks/open_vocabulary.py runs/mine/seed1/best     # and the difference to it

1. Retrieval on `coco_mini_val`: 119 photos of everyday things from MS-COCO with 5 captions each, on
   which no model is trained. Photos are encoded from their files, and ranked by S. The interval of
   a difference is 95 %, from a paired bootstrap over photos. A model that is trained on MS-COCO
   knows such photos, so its result here says nothing.
2. The six example queries of `make demo` on its twelve photos: whether the first result is the one
   that the query describes. The photos are those of an installed scikit-image
   (`pip install --no-deps scikit-image`), or of a folder (`--samples`).
"""

import argparse
import os
import runpy
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

import hgan
from hgan.data.captions.read import read_captions
from hgan.data.captions.types import Captions
from hgan.evaluation.metrics import metrics
from hgan.evaluation.ranking import rank
from hgan.evaluation.types import DIRECTIONS, Ranks
from hgan.reporting.statistics import paired_difference

DATA = Path(os.environ.get("HGAN_DATA", "data")) / "coco_mini_val"
DEMO: dict[str, Any] = runpy.run_path(str(Path(__file__).parents[1] / "scripts" / "demo.py"))
SHIPPED = "the bundle of hgan"
ANSWERS = {
    "a cat looking at the camera": "chelsea.png",
    "a cup of coffee on a wooden table": "coffee.png",
    "a rocket standing on its launch pad at night": "rocket.jpg",
    "a smiling woman in an orange suit": "astronaut.png",
    "a red motorcycle in a garage": "motorcycle_left.png",
    "a man filming with a camera on a tripod": "camera.png",
}
"""The right photo for each example query of the demo."""


@dataclass(frozen=True)
class Result:
    """Retrieval with one model."""

    ranks: Ranks

    @property
    def final_ranks(self) -> tuple[np.ndarray, np.ndarray]:
        """Ranks of the photos' best captions (N) and of the captions' photos (T)."""
        return self.ranks.image_to_text, self.ranks.text_to_image


def main() -> None:
    """Measure a model, and compare it with the bundle of hgan."""
    chosen = _arguments()
    captions = read_captions(chosen.captions).split(chosen.split)
    with tempfile.TemporaryDirectory() as scratch:
        samples = find_samples(chosen.samples, Path(scratch))  # before encoding, which takes long
        model = hgan.load(chosen.model)
        print(
            f"{len(captions.images)} photos, {len(captions.texts)} captions of "
            f"{chosen.captions.parent.name}, {chosen.split} split"
        )
        found = measure(model, captions, chosen.photos)
        models = {chosen.model or SHIPPED: model}
        print_result(chosen.model or SHIPPED, found)
        if chosen.model is not None:
            models[SHIPPED] = hgan.load()
            theirs = measure(models[SHIPPED], captions, chosen.photos)
            print_result(SHIPPED, theirs)
            change = paired_difference([found], [theirs], captions.image_of)
            print(f"difference: rSum {change.mean:+.1f} [{change.low:+.1f}, {change.high:+.1f}]")
        for name, each in models.items():
            print(f"\nexample queries, {name}:")
            print_answers(search_samples(each, samples))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("model", nargs="?", help="folder of a bundle or a checkpoint; default: the bundle of hgan")
    add("--captions", type=Path, default=DATA / "captions.jsonl")
    add("--photos", type=Path, default=DATA / "images")
    add("--split", default="val")
    add("--samples", type=Path, help="folder of the demo's photos; default: from scikit-image")
    return parser.parse_args()


def measure(model: hgan.Model, captions: Captions, folder: Path) -> Result:
    """Rank all photos and captions of a data set.

    Raises:
        DataError: a photo is missing or damaged.
    """
    photos = model.encode_image([folder / name for name in captions.images])
    texts = model.encode_text(captions.texts)
    scores = torch.from_numpy(model.similarity(photos, texts))  # (N, T)
    ranks = rank(
        lambda rows, columns: {"S": scores[rows, columns]},
        captions.image_of,
        len(captions.images),
    )
    return Result(ranks["S"])


def find_samples(folder: Path | None, scratch: Path) -> list[Path]:
    """The photos of the demo, in a folder or copied from scikit-image.

    Raises:
        HganError: scikit-image is not installed, or photos are missing in the folder.
    """
    folder = folder or DEMO["collect_samples"](scratch)
    paths = [folder / name for name in DEMO["SAMPLES"]]
    if missing := [path.name for path in paths if not path.is_file()]:
        raise hgan.HganError(f"{folder}: has no {', '.join(missing)}")
    return paths


def search_samples(model: hgan.Model, samples: list[Path]) -> dict[str, str]:
    """The first result of each example query, by S as in an index."""
    photos = model.encode_image(samples)
    scores = model.similarity(photos, model.encode_text(list(ANSWERS)))  # (photos, queries)
    best = [samples[row].name for row in scores.argmax(axis=0)]
    return dict(zip(ANSWERS, best, strict=True))


def print_result(name: str, result: Result) -> None:
    """Print the recall of both directions, and rSum."""
    found = metrics(result.ranks)
    ways = [
        f"{title} {' / '.join(f'{value:.1f}' for value in getattr(found, way).recall.values())}"
        for way, title in DIRECTIONS.items()
    ]
    print(f"{name}: R@1 / 5 / 10 {', '.join(ways)}, rSum {found.rsum:.1f}, {found.tied} tied")


def print_answers(found: dict[str, str]) -> None:
    """Print the first result of each query, and how many are right."""
    for query, name in found.items():
        verdict = "right" if name == ANSWERS[query] else f"wrong, not {ANSWERS[query]}"
        print(f"  {query}: {name}, {verdict}")
    right = sum(name == ANSWERS[query] for query, name in found.items())
    print(f"  {right} of {len(ANSWERS)} right")


if __name__ == "__main__":
    try:
        main()
    except hgan.HganError as error:
        raise SystemExit(f"open_vocabulary: {error}") from None
