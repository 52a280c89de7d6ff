"""Train a model on your own photos and captions, and search with it. Needs 'hgan[train]'.

    python examples/train_on_your_captions.py captions.jsonl photos work

`captions.jsonl` has one photo per line, in the splits train, val and test:

    {"image": "dog.jpg", "captions": ["a dog in the snow", "a dog runs"], "split": "train"}

Features, run, bundle and index are written to the folder `work`.
"""

import argparse
from pathlib import Path

import hgan
from hgan.config import DataConfig, OptimConfig, VisionConfig
from hgan.export.bundle import export


def main() -> None:
    parser = argparse.ArgumentParser(description="Train on your own photos and captions.")
    parser.add_argument("captions", type=Path, help="caption file")
    parser.add_argument("photos", type=Path, help="folder of photos")
    parser.add_argument("work", type=Path, help="folder of the output")
    parser.add_argument("--epochs", type=int, default=6, help="number of epochs")
    parser.add_argument("--batch", type=int, default=128, help="photos in a batch")
    chosen = parser.parse_args()
    work = chosen.work

    config = hgan.Config(
        data=DataConfig(chosen.captions, chosen.photos, work / "features"),
        vision=VisionConfig(views=2),
        optim=OptimConfig(epochs=chosen.epochs, batch_images=chosen.batch),
        run=work / "run",
    )
    result = hgan.train(config)  # extracts the features of the photos first
    print(f"best epoch {result.epoch}: validation rSum {result.rsum:.1f}")
    record = hgan.evaluate(result.best, split="test")
    print(f"test rSum {record['protocols']['full']['S']['rsum']:.1f}")

    model = hgan.HGAN.from_pretrained(result.best)  # runs with torch
    print(model.encode_text("a dog in the snow"))
    bundle = export(result.best, work / "bundle")  # runs without torch
    hgan.index_folder(chosen.photos, work / "index", bundle)
    with hgan.open_index(work / "index") as index:
        for hit in index.search("a dog in the snow", k=3):
            print(f"{hit.score:.3f}  {hit.path.name}")


if __name__ == "__main__":
    main()
