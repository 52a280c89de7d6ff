"""Measure memory, and the share of data loading, in training on MS-COCO.

    python benchmarks/coco_epoch.py                    # 20 steps, with the lists in $HGAN_DATA
    python benchmarks/coco_epoch.py --steps 0          # a whole epoch
    python benchmarks/coco_epoch.py --text.encoder bert-base-uncased

Runs the loop of `hgan train` with the settings of `configs/coco.yaml`, but with a text encoder that
works offline; any other setting can be given as --KEY VALUE. The photos are those of the usual
lists, with 113,287 for training. Their 31 GiB of features are a sparse file of zeros, which is read
as fast as from the system's cache; their 566,435 captions are random sequences of real words.
Prints the peak memory of the process, the seconds per step, and the share of them for creating
batches. Target: at most 6 GB.
"""

import argparse
import itertools
import os
import resource
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.lib.format import open_memmap
from rich.console import Console
from rich.table import Table

from hgan.cli.settings import parse_config
from hgan.data.captions.precomp import read_photos
from hgan.training.config import Config
from hgan.training.trainer import Trainer

BAR = 6.0
"""Maximum memory in GB."""
REGIONS, WIDTH = 36, 2048
CAPTIONS = 5
"""Captions per photo."""


def main() -> int:
    """Run the benchmark; return 1 if the target is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    lists = Path(os.environ.get("HGAN_DATA", "data")) / "scan_text" / "coco"
    parser.add_argument("--lists", type=Path, default=lists, help="folder of MS-COCO's lists")
    parser.add_argument("--config", default="configs/coco.yaml", help="YAML file")
    parser.add_argument("--steps", type=int, default=20, help="training steps; 0: a whole epoch")
    chosen, settings = parser.parse_known_args()
    if not (chosen.lists / "train_ids.txt").is_file():
        sys.exit(f"{chosen.lists}: no lists here; set HGAN_DATA, or use --lists FOLDER")
    config = parse_config(["--config", chosen.config, "--text.encoder", "minilm", *settings])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_data(chosen.lists, folder)
        data = replace(config.data, captions=folder, features=folder)
        return measure(replace(config, data=data, run=folder / "run"), chosen.steps)


def make_data(lists: Path, folder: Path) -> None:
    """Write a folder in SCAN's format, with real ids, and real captions for dev."""
    rng = np.random.default_rng(0)
    real = [line.split() for line in (lists / "testall_caps.txt").open(encoding="utf-8")]
    words = np.array([word for caption in real for word in caption])  # with real frequencies
    lengths = np.array([len(caption) for caption in real])
    for split in ("train", "dev"):
        (folder / f"{split}_ids.txt").symlink_to((lists / f"{split}_ids.txt").resolve())
        rows = len(read_photos(folder, split)[0])
        open_memmap(folder / f"{split}_ims.npy", "w+", np.float32, (rows, REGIONS, WIDTH))
    (folder / "dev_caps.txt").symlink_to((lists / "dev_caps.txt").resolve())
    photos = len(read_photos(folder, "train")[0])
    with (folder / "train_caps.txt").open("w", encoding="utf-8") as file:
        for length in rng.choice(lengths, photos * CAPTIONS):
            file.write(" ".join(rng.choice(words, length)) + "\n")


def measure(config: Config, steps: int) -> int:
    """Train for a number of steps and print the table; return 1 if the target is missed."""
    start = time.perf_counter()
    trainer = Trainer(config, resume=False)
    trainer.network.train()
    prepared, prepared_peak = time.perf_counter() - start, peak()
    loading, training = [], []
    batches = itertools.islice(trainer._batches(0), steps or None)
    while True:
        start = time.perf_counter()
        batch = next(batches, None)
        if batch is None:
            break
        loaded = time.perf_counter()
        trainer._step(batch)
        loading.append(loaded - start)
        training.append(time.perf_counter() - loaded)
    whole = [a + b for a, b in zip(loading, training, strict=True)]
    table = Table("", "", title=f"{len(whole)} of {trainer.steps} steps", show_header=False)
    for name, value in {
        "photos in a batch": f"{trainer._batch_images()}",
        "preparation": f"{prepared:.0f} s, {prepared_peak:.1f} GB",
        "seconds per step": f"{statistics.median(whole):.2f}",
        "share of creating batches": f"{sum(loading) / sum(whole):.1%}",
        "peak memory": f"{peak():.1f} GB (target: at most {BAR} GB)",
    }.items():
        table.add_row(name, value)
    Console().print(table)
    return int(peak() > BAR)


def peak() -> float:
    """Peak memory of this process in GB."""
    unit = 1 if sys.platform == "darwin" else 1024  # bytes on macOS, KiB on other systems
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


if __name__ == "__main__":
    sys.exit(main())
