"""Save the record of an evaluation: metrics in `SPLIT.json`, and all ranks in `SPLIT.npz`."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hgan.data.captions.types import Captions
from hgan.encoded import final_level
from hgan.evaluation.cost import measure_cost
from hgan.evaluation.protocols import Measured
from hgan.evaluation.scoring import Scores
from hgan.evaluation.types import RECORD_VERSION
from hgan.files import atomic_write, parse_json, write_json

TIES = "count against the model"
TOP = 5
"""Number of top candidates of each query in a record."""
_SAME = (
    "format_version",
    "model",
    "ensemble",
    "seed",
    "epoch",
    "val_rsum",
    "weights",
    "captions",
    "split",
    "photos",
    "texts",
)
"""Keys that are equal in two records if they are of the same model and data."""


@dataclass(frozen=True)
class Described:
    """A model in a record.

    Attributes:
        place: its checkpoint or bundle.
        name: the name of its method.
        weights: the weight of each level in S.
        facts: how it was trained, and its results; empty if unknown.
    """

    place: Path
    name: str
    weights: dict[str, float]
    facts: dict[str, Any]


def make_record(
    models: Sequence[Described],
    captions_file: Path,
    split: str,
    captions: Captions,
    scores: Scores,
    measured: Measured,
) -> dict[str, Any]:
    """Create the record: the metrics and the conditions of the evaluation, as JSON values.

    For an ensemble, `checkpoint` is the first checkpoint, `ensemble` lists all of them, and `seed`
    and `epoch` are null if they differ; `seeds` and `epochs` have a value for each model.
    """
    facts = [model.facts for model in models]
    places = [str(model.place) for model in models]
    return {
        "format_version": RECORD_VERSION,
        "model": " + ".join(dict.fromkeys(model.name for model in models)),
        "seed": _common([fact.get("seed") for fact in facts]),
        "epoch": _common([fact.get("epoch") for fact in facts]),
        "seeds": [fact.get("seed") for fact in facts],
        "epochs": [fact.get("epoch") for fact in facts],
        "checkpoint": places[0],
        "ensemble": places if len(places) > 1 else None,
        "captions": str(captions_file),
        "split": split,
        "photos": len(captions.images),
        "texts": len(captions.texts),
        "ties": TIES,
        "weights": models[0].weights if len(models) == 1 else {},
        "val_rsum": _val_rsum(facts[0]) if len(facts) == 1 else None,
        "cost": measure_cost(scores),
        "protocols": measured.protocols,
    }


def save_record(folder: Path, record: dict[str, Any], measured: Measured) -> dict[str, Any]:
    """Write both files of a record. Protocols in an existing record of the same model are kept.

    Returns:
        The record that was written.
    """
    file, top = folder / f"{record['split']}.json", measured.top
    record = record | {"protocols": _earlier(file, record) | record["protocols"]}
    arrays = {"top_texts": top.texts[:, :TOP].numpy(), "top_images": top.images[:, :TOP].numpy()}
    for name, ranks in measured.ranks.items():
        arrays[f"image_to_text/{name}"] = ranks.image_to_text
        arrays[f"text_to_image/{name}"] = ranks.text_to_image
    small = {name: array.astype(np.int32) for name, array in arrays.items()}
    with atomic_write(file.with_suffix(".npz")) as stream:
        np.savez_compressed(stream, allow_pickle=False, **small)
    write_json(file, record)
    return record


def _earlier(file: Path, record: dict[str, Any]) -> dict[str, Any]:
    """The protocols of the existing record if it is of the same model and data."""
    try:
        found = parse_json(file.read_text(encoding="utf-8"))
        same = all(found[name] == record[name] for name in _SAME)
        return found["protocols"] if same else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _val_rsum(facts: dict[str, Any]) -> float | None:
    found = facts.get("rSum on val")
    return float(found[final_level(found)]) if found else None


def _common(values: Sequence[Any]) -> Any:
    """The value if all are equal, otherwise None."""
    return values[0] if all(value == values[0] for value in values) else None
