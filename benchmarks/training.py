"""Compare the speed of training with image-major and pair-major batches.

    python benchmarks/training.py --config configs/flickr8k.yaml --epochs 2
    python benchmarks/training.py --config configs/flickr8k.yaml --epochs 1 --photos 512 \\
        --optim.captions_per_image 5

Both train the same network from the same initial weights with the same batches (the same captions
in the same order). Image-major batches encode a photo once for all its captions. Pair-major
batches, as in most public code, encode it once for each caption. Prints the seconds per 1,000
captions, their ratio, and rSum on validation after training.
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
from hgan.data.batches.types import Batch, ImageBatch
from hgan.data.captions.read import read_captions
from hgan.encoded import Encoded
from hgan.training.batch_loss import BatchLoss
from hgan.training.config import Config
from hgan.training.trainer import Trainer


class PairMajorLoss(BatchLoss):
    """The same loss, but a photo is encoded once for each of its captions."""

    def __call__(self, batch: Batch) -> Tensor:
        """The loss of a batch of B photos and T captions."""
        once, of_pair = batch.images, batch.image_of
        pairs = ImageBatch(
            once.regions[of_pair], once.context[of_pair], once.mask[of_pair], once.boxes
        )
        # Of its own photo, a caption uses the encoding made for it; of other photos, the first.
        photos = torch.arange(len(once.regions))
        own = of_pair == photos[:, None]  # (B, T)
        first = own.int().argmax(1, keepdim=True)  # (B, 1)
        self._chosen = torch.where(own, torch.arange(len(of_pair)), first)
        return super().__call__(replace(batch, images=pairs))

    def _levels(self, images: Encoded[Tensor], texts: Encoded[Tensor]) -> dict[str, Tensor]:
        scores = super()._levels(images, texts)  # (T, T)
        return {name: s.gather(0, self._chosen.to(s.device)) for name, s in scores.items()}


class PairMajor(Trainer):
    """The same training loop with that loss."""

    def __init__(self, config: Config, resume: bool) -> None:
        super().__init__(config, resume)
        plain = self.loss_of
        self.loss_of = PairMajorLoss(
            plain.network, plain.criterion, config.optim, plain.processes, plain.autocast
        )


WAYS = {"image-major": Trainer, "pair-major": PairMajor}


def measure(kind: type[Trainer], config: Config) -> tuple[float, float]:
    """Seconds of training per 1,000 captions, and rSum on validation after training."""
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
    """Write the captions with only some of the training photos."""
    whole = read_captions(captions)
    with target.open("w", encoding="utf-8") as file:
        for name, split, own in zip(whole.images, whole.splits, whole.of_image(), strict=True):
            photos -= split == "train"
            if split == "val" or (split == "train" and photos >= 0):
                record = {"image": name, "captions": [whole.texts[t] for t in own], "split": split}
                file.write(json.dumps(record) + "\n")
    return target


def main() -> None:
    """Measure both kinds of batches and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", action="append", required=True, help="YAML file; repeatable")
    parser.add_argument("--epochs", type=int, default=1, help="number of epochs")
    parser.add_argument("--photos", type=int, help="number of training photos; default: all")
    parser.add_argument("--threads", type=int, help="threads of torch; default: all processors")
    arguments, settings = parser.parse_known_args()  # the rest are options of `hgan train`
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
        title=f"{arguments.epochs} epochs, {config.optim.captions_per_image} captions per photo, "
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
