"""Measure the retrieval accuracy of bundles, for example before and after compacting.

    hgan export runs/flickr8k_long/seed1/best bundles/plain
    hgan export runs/flickr8k_long/seed1/best bundles/compact --compact
    python benchmarks/bundle.py bundles/plain bundles/compact

Encodes the photos and captions of a split with only the runtime (from JPEG files, without feature
store or torch model), ranks them by the exact S, and prints recall, rSum, the difference to the
first bundle, and the size of each bundle. Without arguments, it measures the bundle shipped with
hgan.
"""

import argparse
import os
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from hgan.data.captions.read import read_captions
from hgan.encoded import Encoded
from hgan.evaluation.metrics import metrics
from hgan.evaluation.ranking import rank
from hgan.evaluation.types import Metrics
from hgan.model.encoding import take
from hgan.model.hgan import SIMILARITY
from hgan.model.matcher import combine
from hgan.progress import progress
from hgan.runtime.bundle import IMAGE_BATCH, Bundle
from hgan.runtime.stream import stream

DATA = Path(os.environ.get("HGAN_DATA", "data")) / "flickr8k"


def measure(bundle: Bundle, captions: Path, photos: Path, split: str) -> Metrics:
    """Encode a split with a bundle, rank it by S, and return the metrics."""
    chosen = read_captions(captions).split(split)
    parts = []
    with progress(bundle.folder.name, total=len(chosen.images), unit="photos") as bar:
        loading = stream(
            [photos / name for name in chosen.images],
            bundle.preprocessing.read,
            IMAGE_BATCH,
        )
        for batch in loading:
            if batch.failed:
                raise batch.failed[0][1]
            parts.append(bundle.encode_images(batch.arrays))
            bar.advance(len(batch.items))
    fields = zip(*map(_fields, parts), strict=True)
    images = Encoded(*(torch.from_numpy(np.concatenate(field)) for field in fields))
    texts = Encoded(*map(torch.from_numpy, _fields(bundle.encode_texts(chosen.texts))))
    weights = {name: value for name, value in bundle.config.weights.items() if value}

    def score(rows: slice, columns: slice) -> dict[str, torch.Tensor]:
        photo_tile, text_tile = take(images, rows), take(texts, columns)
        levels = {name: SIMILARITY[name](photo_tile, text_tile) for name in weights}
        return {"S": combine(levels, weights)}

    return metrics(rank(score, chosen.image_of, len(chosen.images))["S"])


def _fields(encoded: Encoded[np.ndarray]) -> tuple[np.ndarray, ...]:
    return encoded.context, encoded.slots, encoded.local, encoded.mask


def main() -> None:
    """Measure each bundle and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bundles", nargs="*", type=Path, help="default: the bundle of hgan")
    parser.add_argument("--captions", type=Path, default=DATA / "captions.jsonl")
    parser.add_argument("--photos", type=Path, default=DATA / "images")
    parser.add_argument("--split", default="test")
    chosen = parser.parse_args()
    columns = ("bundle", "MB", "i2t R@1 / 5 / 10", "t2i R@1 / 5 / 10", "rSum", "difference")
    table = Table(*columns, title=f"{chosen.captions.parent.name}, {chosen.split} split")
    first = None
    for folder in chosen.bundles or [None]:
        bundle = Bundle.load(folder)
        found = measure(bundle, chosen.captions, chosen.photos, chosen.split)
        first = found.rsum if first is None else first
        size = sum(file.stat().st_size for file in bundle.folder.iterdir()) / 1e6
        recalls = [
            " / ".join(f"{value:.1f}" for value in way.recall.values())
            for way in (found.image_to_text, found.text_to_image)
        ]
        difference = f"{found.rsum - first:+.2f}"
        table.add_row(
            str(bundle.folder.name), f"{size:.1f}", *recalls, f"{found.rsum:.2f}", difference
        )
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
