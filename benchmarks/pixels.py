"""Compare training from photos in new views with training from stored input of the trained layers.

    python benchmarks/pixels.py --photos 96 --batch 16 --steps 4
    python benchmarks/pixels.py --vision.backbone google/vit-base-patch16-224 --layers 2

Both train the same network with the same layers of the backbone, in turns, in one process. Prints
the seconds of a step including its batch, the seconds of extraction per photo and view, and what
the trained layers keep in memory for the backward pass, with and without
`vision.gradient_checkpointing`. Reads Flickr8k in $HGAN_DATA. Accuracy is not measured.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from hgan.cli.settings import parse_config
from hgan.config import DataConfig
from hgan.data.batches.types import Batch
from hgan.training.config import Config
from hgan.training.trainer import Trainer
from hgan.vision.backbone import Blocks

try:
    from benchmarks.training import shorten
except ImportError:  # run as a script
    from training import shorten  # type: ignore[no-redef]


class Way:
    """A run, and the time of its steps."""

    def __init__(self, config: Config) -> None:
        start = time.perf_counter()
        self.trainer = Trainer(config, resume=False)
        self.prepared = time.perf_counter() - start
        self.trainer.network.train()
        self.seconds: list[float] = []
        self._batches = self._endless()

    def step(self) -> None:
        """Make a batch, and train a step."""
        start = time.perf_counter()
        self.trainer._step(next(self._batches))
        self.seconds.append(time.perf_counter() - start)

    def _endless(self) -> Iterator[Batch]:
        epoch = 0
        while True:
            yield from self.trainer._batches(epoch)
            epoch += 1


def kept(blocks: Blocks, maps: torch.Tensor, checkpointing: bool) -> int:
    """Bytes that trained layers keep for the backward pass, without their weights."""
    storages: dict[int, int] = {}
    own = {p.untyped_storage().data_ptr() for p in blocks.parameters()}

    def pack(value: torch.Tensor) -> torch.Tensor:
        storage = value.untyped_storage()
        if storage.data_ptr() not in own:
            storages[storage.data_ptr()] = storage.nbytes()
            alive.append(value)
        return value

    alive: list[torch.Tensor] = []
    blocks.checkpointing = checkpointing
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda value: value):
        found = blocks(maps)
    del found
    return sum(storages.values())


def main() -> None:
    """Measure both ways and print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photos", type=int, default=96, help="number of training photos")
    parser.add_argument("--batch", type=int, default=16, help="photos in a batch")
    parser.add_argument("--steps", type=int, default=4, help="steps of each way; medians are used")
    parser.add_argument("--layers", type=int, default=4, help="trained layers of the backbone")
    parser.add_argument("--threads", type=int, help="threads of torch; default: all processors")
    arguments, settings = parser.parse_known_args()  # the rest are options of `hgan train`
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    data = Path(os.environ.get("HGAN_DATA", "data")) / "flickr8k"
    given = parse_config(settings)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        captions = shorten(data / "captions.jsonl", arguments.photos, folder / "captions.jsonl")
        lines = captions.read_text(encoding="utf-8").splitlines()
        few = [line for line in lines if '"split": "train"' in line]
        few += [line for line in lines if '"split": "val"' in line][:8]
        captions.write_text("\n".join(few), encoding="utf-8")
        config = replace(
            given,
            data=DataConfig(captions, data / "images", folder / "features"),
            optim=replace(given.optim, batch_images=arguments.batch),
        )

        def way(views: int | None) -> Way:
            vision = replace(config.vision, views=views, trainable_layers=arguments.layers)
            return Way(replace(config, vision=vision, run=folder / f"run{views}"))

        stored, read = way(1), way(None)
        for _ in range(arguments.steps + 1):
            stored.step()
            read.step()
        batch = next(read._batches)
        blocks, maps = read.trainer.model.network.vision, batch.images.maps
        assert blocks is not None and maps is not None
        sizes = [kept(blocks, maps, checkpointing) for checkpointing in (False, True)]
    report(stored, read, len(few), sizes, arguments)


def report(
    stored: Way, read: Way, photos: int, sizes: list[int], arguments: argparse.Namespace
) -> None:
    """Print seconds, bytes and their ratios."""
    steps = {
        way: statistics.median(way.seconds[1:]) for way in (stored, read)
    }  # the first warms up
    title = f"{arguments.layers} trained layers, batches of {arguments.batch} photos"
    times = Table(title=f"{title}, {torch.get_num_threads()} threads", title_justify="left")
    for column in ("batches from", "s / step", "times as long"):
        times.add_column(column, justify="right" if column[0] != "b" else "left")
    for name, way in (("stored input of the layers", stored), ("photos in new views", read)):
        times.add_row(name, f"{steps[way]:.2f}", f"{steps[way] / steps[stored]:.2f}")
    console = Console()
    console.print(times)
    console.print(
        f"extraction and preparation: {stored.prepared:.1f} s for {photos} photos in one view; "
        f"preparation alone, with every photo decoded once: {read.prepared:.1f} s"
    )
    console.print(
        f"kept for the backward pass of the trained layers: {sizes[0] / 1e6:.1f} MB; with "
        f"gradient checkpointing {sizes[1] / 1e6:.1f} MB, {sizes[1] / sizes[0]:.2f} of it"
    )


if __name__ == "__main__":
    main()
