"""The record of an evaluation: `SPLIT.json` holds the figures, `SPLIT.npz` every query's rank."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hgan.data.captions.types import Captions
from hgan.evaluation.protocols import Measured
from hgan.evaluation.scoring import Scores, final
from hgan.files import atomic_write, write_json
from hgan.model.io import TrainedModel

FORMAT_VERSION = 1
TIES = "count against the model"
TOP = 5
"""Best candidates that a record keeps of each query."""
_SAME = (
    "format_version", "model", "ensemble", "seed", "epoch", "val_rsum", "weights", "captions",
    "split", "photos", "texts",
)
"""Where these are equal, two records are of the same model and data."""


def make_record(
    checkpoints: Sequence[Path],
    models: Sequence[TrainedModel],
    captions_file: Path,
    split: str,
    captions: Captions,
    scores: Scores,
    measured: Measured,
) -> dict[str, Any]:
    """All that a figure needs to be understood, ready for JSON.

    Of an ensemble, `checkpoint` is its first, `ensemble` lists all, and what differs between its
    models is null; `seeds` and `epochs` have a value for each.
    """
    facts = [model.facts for model in models]
    networks = [model.network for model in models]
    return {
        "format_version": FORMAT_VERSION,
        "model": " + ".join(dict.fromkeys(network.config.name for network in networks)),
        "seed": _common([fact.get("seed") for fact in facts]),
        "epoch": _common([fact.get("epoch") for fact in facts]),
        "seeds": [fact.get("seed") for fact in facts],
        "epochs": [fact.get("epoch") for fact in facts],
        "checkpoint": str(checkpoints[0]),
        "ensemble": [str(path) for path in checkpoints] if len(checkpoints) > 1 else None,
        "captions": str(captions_file),
        "split": split,
        "photos": len(captions.images),
        "texts": len(captions.texts),
        "ties": TIES,
        "weights": networks[0].weights if len(networks) == 1 else {},
        "val_rsum": _val_rsum(facts[0]) if len(facts) == 1 else None,
        "cost": {
            "microseconds_per_pair": 1e6 * scores.seconds / scores.pairs,
            "bytes_per_image": scores.bytes_per_image,
        },
        "protocols": measured.protocols,
    }


def save_record(folder: Path, record: dict[str, Any], measured: Measured) -> dict[str, Any]:
    """Write both files of a record; protocols of an earlier one of the same model stay in it.

    Returns:
        The record as it stands in the folder now.
    """
    file, best = folder / f"{record['split']}.json", measured.best
    record = record | {"protocols": _earlier(file, record) | record["protocols"]}
    arrays = {"top_texts": best.texts[:, :TOP].numpy(), "top_images": best.images[:, :TOP].numpy()}
    for name, ranks in measured.ranks.items():
        arrays[f"image_to_text/{name}"] = ranks.image_to_text
        arrays[f"text_to_image/{name}"] = ranks.text_to_image
    small = {name: array.astype(np.int32) for name, array in arrays.items()}
    with atomic_write(file.with_suffix(".npz")) as stream:
        np.savez_compressed(stream, allow_pickle=False, **small)
    write_json(file, record)
    return record


def final_level(record: dict[str, Any]) -> str:
    """Name of the score that counts in a record: S, or the only level."""
    return final(record["protocols"]["full"])


def _earlier(file: Path, record: dict[str, Any]) -> dict[str, Any]:
    """Protocols of the record that is there, where it is of the same model and data."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        same = all(found[name] == record[name] for name in _SAME)
        return found["protocols"] if same else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _val_rsum(facts: dict[str, Any]) -> float | None:
    found = facts.get("rSum on val")
    return float(found[final(found)]) if found else None


def _common(values: Sequence[Any]) -> Any:
    """The value that all share, else None."""
    return values[0] if all(value == values[0] for value in values) else None
