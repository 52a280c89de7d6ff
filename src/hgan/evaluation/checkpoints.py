"""Evaluate checkpoints: find the data of the runs that they lie in, measure, keep a record."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hgan.data.batches.dataset import Dataset
from hgan.data.captions.read import read_captions
from hgan.data.captions.types import Captions
from hgan.data.features.open import open_features
from hgan.errors import DataError
from hgan.evaluation.protocols import check_protocols, measure
from hgan.evaluation.record import make_record, save_record
from hgan.evaluation.scoring import Member, Scores, encode
from hgan.model.io import load_checkpoint
from hgan.progress import progress


def evaluate_checkpoints(
    checkpoints: Sequence[Path],
    split: str,
    protocols: Sequence[str] = ("full",),
    captions: Path | None = None,
    features: Path | None = None,
    out: Path | None = None,
) -> dict[str, Any]:
    """The record of a checkpoint on a split; of several, that of their mean scores.

    Captions and features are by default those of the run that a checkpoint lies in. The record is
    written into `out`; by default beside a single checkpoint that lies in a run, if the captions
    are that run's own.

    Raises:
        DataError: a checkpoint, its captions or features are missing, damaged or do not fit; a
            protocol is for other data.
        ConfigError: a protocol is not known.
    """
    models = [load_checkpoint(path) for path in checkpoints]
    files = [captions or _run_setting(path, "captions") for path in checkpoints]
    read = {file: read_captions(file).split(split) for file in dict.fromkeys(files)}
    chosen = _same(read)
    check_protocols(chosen, protocols)  # before minutes go into encoding
    members = []
    for path, model in zip(checkpoints, models, strict=True):
        store = open_features(features or _run_setting(path, "features"), model.vision.backbone)
        data = Dataset(chosen, store, model.tokenizer, model.text.max_words)
        with progress("encode", total=len(data.rows), unit="photos") as bar:
            members.append(Member(model.network, *encode(model.network, data, bar)))
    scores = Scores(members)
    measured = measure(scores, chosen, protocols)
    split = chosen.splits[0] or split  # as the caption file's own reader calls it
    record = make_record(checkpoints, models, files[0], split, chosen, scores, measured)
    if out is None and captions is None and len(checkpoints) == 1:
        out = checkpoints[0].resolve().parent
    return record if out is None else save_record(out, record, measured)


def _same(read: dict[Path, Captions]) -> Captions:
    """The captions, if all files hold the same."""
    (first, captions), *others = read.items()
    for file, other in others:
        if (captions.images, captions.texts) != (other.images, other.texts):
            raise DataError(
                f"{file}: its split is not that of {first}; an ensemble needs the same photos and "
                "captions for all its models, name them with --captions"
            )
    return captions


def _run_setting(checkpoint: Path, name: str) -> Path:
    """A path in the settings of the run that a checkpoint lies in."""
    file = checkpoint.resolve().parent / "config.json"
    try:
        return Path(json.loads(file.read_text(encoding="utf-8"))["data"][name])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{checkpoint}: lies in no run, so its data is unknown ({file} cannot be read); "
            f"name it with --{name}"
        ) from error
