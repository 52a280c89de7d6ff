"""Measure the speed of feature extraction, including decoding.

    python benchmarks/extraction.py                    # 200 photos of Flickr8k in $HGAN_DATA
    python benchmarks/extraction.py --photos ~/Pictures --count 1000

Three methods process the same photos in turn, in one process:

    hgan           `hgan.vision.extract`: decode in threads, run ONNX Runtime, write the store
    eager torch    decode and run the backbone in PyTorch, batch after batch, as most code does
    backbone only  ONNX Runtime on decoded pixels, which is the upper limit of the speed

The export of the backbone, which takes a few seconds once per run, is not included. Targets: at
least 4 times the speed of eager torch, and at least 80 % of the speed of the backbone only.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from hgan.runtime.formats import PHOTO
from hgan.runtime.images import open_photo
from hgan.runtime.preprocessing import Preprocessing
from hgan.vision.backbone import Backbone
from hgan.vision.extract import BATCH, backbone_session, extract
from hgan.vision.load import load_backbone

TORCH_BATCH = 32
"""The batch size at which eager torch was fastest in our tests."""
BARS = {"eager torch": 4.0, "backbone only": 0.8}
"""Minimum speed of hgan relative to the other methods."""


def main() -> int:
    """Run the benchmark; return 1 if a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    data = Path(os.environ.get("HGAN_DATA", "data")) / "flickr8k" / "images"
    parser.add_argument("--photos", type=Path, default=data, help="folder of photos")
    parser.add_argument("--count", type=int, default=200, help="number of photos")
    parser.add_argument("--rounds", type=int, default=3, help="runs per method; medians are used")
    parser.add_argument("--backbone", default="efficientnet-lite2")
    chosen = parser.parse_args()
    names = photo_names(chosen.photos, chosen.count)
    if not names:
        sys.exit(f"{chosen.photos}: no photos here; set HGAN_DATA, or use --photos FOLDER")

    backbone = load_backbone(chosen.backbone)
    session = backbone_session(backbone)
    pixels = np.stack([load(chosen.photos / name, backbone.size) for name in names])

    def backbone_only() -> None:
        for start in range(0, len(names), BATCH):
            session.run(None, {"pixels": pixels[start : start + BATCH]})

    ways: dict[str, Callable[[], None]] = {
        "hgan": lambda: whole_extraction(backbone, chosen.photos, names),
        "eager torch": lambda: eager_torch(backbone, chosen.photos, names),
        "backbone only": backbone_only,
    }
    taken: dict[str, list[float]] = {way: [] for way in ways}
    with patch("hgan.vision.extract.backbone_session", return_value=session):
        for turn in range(chosen.rounds + 1):
            for way, run in ways.items():
                start = time.perf_counter()
                run()
                if turn > 0:  # the first turn warms up
                    taken[way].append(time.perf_counter() - start)
    rates = {way: len(names) / statistics.median(spent) for way, spent in taken.items()}
    return report(rates, f"{chosen.backbone}, {len(names)} photos, {os.cpu_count()} processors")


def report(rates: dict[str, float], title: str) -> int:
    """Print rates and ratios; return 1 if a target is missed."""
    table = Table(title=title)
    for column in ("", "photos/s", "hgan is", "target", ""):
        table.add_column(column, justify="right" if column else "left")
    missed = 0
    for way, rate in rates.items():
        ratio, bar = rates["hgan"] / rate, BARS.get(way)
        if bar is None:
            table.add_row(way, f"{rate:.1f}", "", "", "")
            continue
        missed += ratio < bar
        verdict = "met" if ratio >= bar else "missed"
        table.add_row(way, f"{rate:.1f}", f"x {ratio:.2f}", f"x {bar:.1f}", verdict)
    Console().print(table)
    return 1 if missed else 0


def photo_names(folder: Path, count: int) -> list[str]:
    """The names of the first photos of a folder, in alphabetical order."""
    names = sorted(p.name for p in folder.glob("*") if p.suffix.lower() in PHOTO.suffixes)
    return names[:count]


def load(path: Path, size: int) -> np.ndarray:
    """Pixels (size, size, 3) of a photo."""
    return Preprocessing(size).pixels(open_photo(path))


def whole_extraction(backbone: Backbone, photos: Path, names: list[str]) -> None:
    """Decode photos, run the backbone, and write the store."""
    with tempfile.TemporaryDirectory() as folder:
        extract(backbone, photos, names, Path(folder) / "store")


@torch.inference_mode()
def eager_torch(backbone: Backbone, photos: Path, names: list[str]) -> None:
    """Decode each batch, run the backbone, and convert the features to float16."""
    for start in range(0, len(names), TORCH_BATCH):
        batch = [load(photos / name, backbone.size) for name in names[start : start + TORCH_BATCH]]
        regions, context = backbone(torch.from_numpy(np.stack(batch)))
        regions.half(), context.half()


if __name__ == "__main__":
    sys.exit(main())
