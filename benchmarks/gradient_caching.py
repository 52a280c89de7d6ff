"""Measure memory and time of gradient caching (`optim.chunk_images`), and compare gradients.

    python benchmarks/gradient_caching.py                       # 1,024 photos in chunks, and 256
    python benchmarks/gradient_caching.py --chunk 32 --model.name scan

Trains one step with the settings of `configs/flickr8k.yaml`, each in a process of its own: batches
of 256 photos at once, of 256 in chunks, and of 1,024 in chunks. Photos have random features, and
captions random words. Prints the peak memory of each process, and the processor time of a step.
Then it computes the gradients of a batch of 256 at once and in chunks, without dropout, whose
random numbers would be drawn in another order. Target: 1,024 photos in chunks take less memory than
256 at once, and no gradient differs by more than 1e-5 of the largest.
"""

import argparse
import json
import resource
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from hgan.cli.settings import parse_config
from hgan.config import DataConfig
from hgan.data.features.manifest import Manifest
from hgan.data.features.store import FeatureWriter
from hgan.training.config import Config
from hgan.training.trainer import Trainer
from hgan.vision.backbone import grid_boxes
from hgan.vision.efficientnet_lite import imagenet_classes

LARGE, SMALL = 1024, 256
"""Photos of the two batches."""
WIDTH = 1408
"""Of a feature of EfficientNet-Lite2."""
WORDS = (6, 18)
"""Fewest and most words of a caption."""
TOLERANCE = 1e-5


def main() -> int:
    """Run the benchmark; return 1 if a target is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", default="configs/flickr8k.yaml", help="YAML file")
    parser.add_argument("--chunk", type=int, default=64, help="photos in a chunk")
    parser.add_argument("--plain", action="store_true", help="also 1,024 photos at once")
    chosen, settings = parser.parse_known_args()
    words = ["--config", chosen.config, *settings]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_data(folder, parse_config(words).vision.grid)
        cases = [(SMALL, None), (SMALL, chosen.chunk), (LARGE, chosen.chunk)]
        cases += [(LARGE, None)] if chosen.plain else []
        found = [apart(step, words, folder, *case) for case in cases]
        difference, largest = apart(compare, words, folder, SMALL, chosen.chunk)
    table = Table("photos", "chunk", "peak memory", "processor time", "for each photo")
    for (photos, chunk), (memory, seconds) in zip(cases, found, strict=True):
        share = seconds / photos / (found[0][1] / SMALL)
        table.add_row(
            f"{photos:,}",
            str(chunk or "all"),
            f"{memory:.2f} GB",
            f"{seconds:.1f} s",
            f"{share:.2f}",
        )
    Console().print(table)
    Console().print(f"largest gradient {largest:.2g}, largest difference {difference:.2g}")
    return int(found[2][0] >= found[0][0] or difference > TOLERANCE * largest)


def apart(function: Any, *arguments: Any) -> Any:
    """The result of a function in a process of its own."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def make_data(folder: Path, grid: int) -> None:
    """Write captions of random words and a store of random features."""
    rng = np.random.default_rng(0)
    names = [word for name in imagenet_classes() for word in name.lower().split()]
    ids = [f"{i:05}.jpg" for i in range(LARGE + 8)]
    with (folder / "captions.jsonl").open("w", encoding="utf-8") as file:
        for i, name in enumerate(ids):
            texts = [" ".join(rng.choice(names, rng.integers(*WORDS))) for _ in range(3)]
            split = "train" if i < LARGE else "val"
            file.write(json.dumps({"image": name, "captions": texts, "split": split}) + "\n")
    boxes = grid_boxes(grid).tolist()
    manifest = Manifest("efficientnet-lite2", 260, boxes, WIDTH, 1, ids)
    with FeatureWriter(folder / "features", manifest) as writer:
        for start in range(0, len(ids), 64):
            shape = len(ids[start : start + 64]), 1, grid * grid, WIDTH
            regions = rng.standard_normal(shape, dtype=np.float32)
            writer.write(regions, regions.mean(axis=2), {})
        writer.finish()


def configured(words: list[str], folder: Path, photos: int, chunk: int | None) -> Config:
    """The settings of a run on these data."""
    config = parse_config(words)
    data = DataConfig(folder / "captions.jsonl", folder, folder / "features")
    optim = replace(config.optim, batch_images=photos, chunk_images=chunk)
    vision = replace(config.vision, views=1)
    return replace(config, data=data, vision=vision, optim=optim, run=folder / "run")


def step(words: list[str], folder: Path, photos: int, chunk: int | None) -> tuple[float, float]:
    """Peak memory of the process in GB, and processor time of a step in seconds."""
    torch.set_num_threads(1)
    trainer = Trainer(configured(words, folder, photos, chunk), resume=False)
    trainer.network.train()
    batch = next(trainer._batches(0))
    start = time.process_time()
    trainer._step(batch)
    seconds = time.process_time() - start
    unit = 1 if sys.platform == "darwin" else 1024  # bytes on macOS, KiB on other systems
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9, seconds


def compare(words: list[str], folder: Path, photos: int, chunk: int) -> tuple[float, float]:
    """The largest difference of a gradient at once and in chunks, and the largest gradient."""
    torch.set_num_threads(1)
    found = []
    for size in (None, chunk):
        without = [*words, "--model.dropout", "0"]
        trainer = Trainer(configured(without, folder, photos, size), resume=False)
        trainer.network.train()
        trainer.model.network.text.eval()  # its dropout is not a setting
        trainer.loss_of(next(trainer._batches(0))).backward()
        named = trainer.model.network.named_parameters()
        found.append({name: p.grad for name, p in named if p.grad is not None})
    plain, chunked = found
    assert plain.keys() == chunked.keys()
    difference = max(float((chunked[name] - plain[name]).abs().max()) for name in plain)
    return difference, max(float(gradient.abs().max()) for gradient in plain.values())


if __name__ == "__main__":
    sys.exit(main())
