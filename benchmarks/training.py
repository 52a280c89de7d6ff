"""Is an image-major batch worth it? Image-major epochs against pair-major ones.

    python benchmarks/training.py --config configs/flickr8k.yaml --epochs 2
    python benchmarks/training.py --config configs/flickr8k.yaml --epochs 1 --photos 512 \\
        --optim.captions_per_image 5

Both ways train the same network, from the same start, on the same batches: the same captions in the
same order. Image-major encodes a photo once for all its captions in the batch. Pair-major, as the
field's public code does, encodes it once for each caption, and the pair meets as a pair. Prints the
seconds for 1,000 captions, their ratio, and rSum on validation after the same captions.
"""

import argparse
import json
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from hgan.cli.settings import parse_config
from hgan.config import Config
from hgan.data.batches.types import Batch, ImageBatch
from hgan.data.captions.read import read_captions
from hgan.model.matcher import Matcher
from hgan.training.trainer import Trainer


class PairMajor(Trainer):
    """The same loop, with a photo encoded once for each of its captions."""

    def _levels(self, network: Matcher, batch: Batch) -> dict[str, Tensor]:
        once, of_pair = batch.images, batch.image_of
        pairs = ImageBatch(
            once.regions[of_pair], once.context[of_pair], once.mask[of_pair], once.boxes
        )
        scores = super()._levels(network, replace(batch, images=pairs))  # (T, T)
        # A caption meets the encoding made for it, and of each other photo the first one.
        photos = torch.arange(len(once.regions))
        own = of_pair == photos[:, None]  # (B, T)
        first = own.int().argmax(1, keepdim=True)  # (B, 1)
        chosen = torch.where(own, torch.arange(len(of_pair)), first)
        return {name: s.gather(0, chosen.to(s.device)) for name, s in scores.items()}


WAYS = {"image-major": Trainer, "pair-major": PairMajor}


def measure(kind: type[Trainer], config: Config) -> tuple[float, float]:
    """Seconds for 1,000 captions of training, and rSum on validation after it."""
    with tempfile.TemporaryDirectory() as folder:
        trainer = kind(replace(config, run=Path(folder)), resume=False)
        seconds, captions = 0.0, 0
        for epoch in range(config.optim.epochs):
            trainer.network.train()
            start = time.perf_counter()
            for batch in trainer._batches(epoch):
                trainer._step(batch)
                captions += len(batch.image_of)
            seconds += time.perf_counter() - start
        found = trainer._validate()
    return 1000 * seconds / captions, found.get("rsum_S", next(iter(found.values())))


def shorten(captions: Path, photos: int, target: Path) -> Path:
    """The same captions with only so many of the training photos."""
    whole = read_captions(captions)
    with target.open("w", encoding="utf-8") as file:
        for name, split, own in zip(whole.images, whole.splits, whole.of_image(), strict=True):
            photos -= split == "train"
            if split == "val" or (split == "train" and photos >= 0):
                record = {"image": name, "captions": [whole.texts[t] for t in own], "split": split}
                file.write(json.dumps(record) + "\n")
    return target


def main() -> None:
    """Measure both ways and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", action="append", required=True, help="YAML file, or several")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--photos", type=int, help="train on so many photos; by default on all")
    parser.add_argument("--threads", type=int, help="torch's threads, by default all processors")
    arguments, settings = parser.parse_known_args()  # the rest is as `hgan train` takes it
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    files = [word for file in arguments.config for word in ("--config", file)]
    config = parse_config(files + settings)
    config = replace(config, optim=replace(config.optim, epochs=arguments.epochs))

    with tempfile.TemporaryDirectory() as folder:
        if arguments.photos:
            short = shorten(config.data.captions, arguments.photos, Path(folder) / "short.jsonl")
            config = replace(config, data=replace(config.data, captions=short))
        found = {name: measure(kind, config) for name, kind in WAYS.items()}
    reference = found["pair-major"][0]
    table = Table(
        title=f"{arguments.epochs} epochs, {config.optim.captions_per_image} captions a photo, "
        f"{torch.get_num_threads()} threads",
        title_justify="left",
    )
    for column in ("", "s / 1,000 captions", "times as fast", "val rSum"):
        table.add_column(column, justify="right" if column else "left")
    for name, (cost, rsum) in found.items():
        table.add_row(name, f"{cost:.2f}", f"{reference / cost:.2f}", f"{rsum:.1f}")
    Console().print(table)


if __name__ == "__main__":
    main()
