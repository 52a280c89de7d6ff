"""Runs with records, as `hgan evaluate` leaves them: real ranks of scores that are made up."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hgan.config import Config, DataConfig
from hgan.data.captions import read_captions
from hgan.evaluation.metrics import metrics
from hgan.evaluation.ranking import rank
from hgan.files import jsonable, write_json


def write_captions(folder: Path, photos: int = 30, seed: int = 0) -> Path:
    """A caption file with val and test photos of one to four captions each."""
    dice = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "captions.jsonl"
    with file.open("w", encoding="utf-8") as out:
        for split in ("val", "test"):
            for i in range(photos):
                texts = [
                    " ".join(["a <b>dog</b> & a"] + ["word"] * int(dice.integers(1, 12)))
                    for _ in range(1 + i % 4)
                ]
                line = {"image": f"{split}{i}.jpg", "captions": texts, "split": split}
                out.write(json.dumps(line) + "\n")
    return file


def write_run(
    folder: Path,
    captions: Path,
    seed: int = 1,
    noise: float = 1.0,
    split: str = "test",
    levels: tuple[str, ...] = ("context", "local", "S"),
    **changes: Any,
) -> Path:
    """A run whose scores are the truth with noise on it; returns its folder, `folder/seedS`.

    Args:
        folder: of the system.
        captions: the data set's caption file.
        seed: of the noise, and the run's.
        noise: how bad the system is.
        split: that the record is of.
        levels: names of scores.
        changes: to the figures of the record.
    """
    data = read_captions(captions).split(split)
    dice = np.random.default_rng([seed, int(1000 * noise)])
    truth = data.image_of == np.arange(len(data.images))[:, None]  # (N, T)
    hard = 1 + 0.05 * np.array([len(text.split()) for text in data.texts])  # long captions are
    scores = {
        name: torch.from_numpy(truth + noise * hard * dice.normal(size=truth.shape))
        for name in levels
    }
    found = rank(
        lambda rows, columns: {name: s[rows, columns] for name, s in scores.items()},
        data.image_of,
        len(data.images),
    )
    final = scores["S" if "S" in scores else levels[0]]
    run = folder / f"seed{seed}"
    run.mkdir(parents=True, exist_ok=True)
    figures = {name: metrics(ranks).as_dict() for name, ranks in found.items()}
    record = {
        "format_version": 1,
        "model": "hgan",
        "seed": seed,
        "epoch": "2 of 2",
        "checkpoint": str(run / "best"),
        "captions": str(captions),
        "split": split,
        "photos": len(data.images),
        "texts": len(data.texts),
        "ties": "count against the model",
        "weights": {"context": 0.5, "local": 0.5},
        "val_rsum": 300.0 - 10 * noise + seed,
        "cost": {"microseconds_per_pair": 0.5 / noise, "bytes_per_image": int(2000 / noise)},
        "protocols": {"full": figures},
    }
    write_json(run / f"{split}.json", record | changes)
    arrays = {}
    for name, ranks in found.items():
        arrays[f"image_to_text/{name}"] = ranks.image_to_text.astype(np.int32)
        arrays[f"text_to_image/{name}"] = ranks.text_to_image.astype(np.int32)
    arrays["top_texts"] = final.topk(5, dim=1).indices.numpy().astype(np.int32)
    arrays["top_images"] = final.topk(5, dim=0).indices.T.numpy().astype(np.int32)
    np.savez(run / f"{split}.npz", **arrays)
    config = Config(data=DataConfig(captions, captions.parent / "photos"), seed=seed, run=folder)
    write_json(run / "config.json", jsonable(asdict(config)))
    write_json(run / "minutes.json", {"training": 8.0 + noise})
    return run
