"""Evaluate checkpoints on the data of their runs, and store the record."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hgan.data.batches.dataset import Dataset
from hgan.data.captions.read import read_captions
from hgan.data.captions.types import Captions
from hgan.data.features.open import open_features
from hgan.errors import ConfigError, DataError
from hgan.evaluation.protocols import check_protocols, measure
from hgan.evaluation.record import make_record, save_record
from hgan.evaluation.scoring import Member, Scores, encode
from hgan.model.io import load_checkpoint
from hgan.progress import progress


def evaluate_checkpoints(
    checkpoints: str | Path | Sequence[str | Path],
    split: str = "test",
    protocols: Sequence[str] = ("full",),
    captions: str | Path | None = None,
    features: str | Path | None = None,
    out: str | Path | None = None,
) -> dict[str, Any]:
    """Recall of a checkpoint on a split, in both directions, by level and combined.

    Args:
        checkpoints: folder of a checkpoint, such as `runs/flickr8k/seed1/best`. For several, the
            mean of their scores is evaluated (an ensemble).
        split: of the captions: test, val, or another name.
        protocols: some of `full`, `flickr30k-1k`, `coco-5k`, `coco-1k`, `eccv`, `cxc`.
        captions: caption file, by default that of the checkpoint's run.
        features: feature store, by default that of the checkpoint's run.
        out: folder for `SPLIT.json` and `SPLIT.npz`; by default the folder of the run, if there is
            one checkpoint and its own captions are used; else nothing is written.

    Returns:
        The record, as in `SPLIT.json`. `record["protocols"][protocol][level]` has the figures of a
        level, or of S, the weighted sum of the levels: for `full` and the other protocols of
        recall, those of `hgan.evaluation.types.Metrics`
        (`["image_to_text"]["recall"]["R@1"]` in per cent, `["rsum"]`, `["tied"]`). The other keys
        name the model, its seed and epoch, the data, and the cost of a comparison.

    Raises:
        DataError: a checkpoint, its captions or features are missing, damaged or do not fit; a
            protocol is for other data.
        ConfigError: a protocol is unknown, or there is no checkpoint.
    """
    folders = _paths(checkpoints)
    if not folders:
        raise ConfigError("no checkpoint to evaluate; name a folder such as runs/NAME/best")
    own = captions is None
    files = [Path(captions or _run_setting(path, "captions")) for path in folders]
    models = [load_checkpoint(path) for path in folders]
    read = {file: read_captions(file).split(split) for file in dict.fromkeys(files)}
    chosen = _same(read)
    check_protocols(chosen, protocols)  # before the encoding, which takes minutes
    members = []
    for path, model in zip(folders, models, strict=True):
        store = open_features(
            Path(features or _run_setting(path, "features")), model.vision.backbone
        )
        data = Dataset(chosen, store, model.tokenizer, model.text.max_words)
        with progress("encode", total=len(data.rows), unit="photos") as bar:
            members.append(Member(model.network, *encode(model.network, data, bar)))
    scores = Scores(members)
    measured = measure(scores, chosen, protocols)
    split = chosen.splits[0] or split  # the standard name
    record = make_record(folders, models, files[0], split, chosen, scores, measured)
    if out is None and own and len(folders) == 1:
        out = folders[0].resolve().parent
    return record if out is None else save_record(Path(out), record, measured)


def _paths(checkpoints: str | Path | Sequence[str | Path]) -> list[Path]:
    """One path, or several, as a list."""
    if isinstance(checkpoints, str | Path):
        return [Path(checkpoints)]
    return [Path(path) for path in checkpoints]


def _same(read: dict[Path, Captions]) -> Captions:
    """The captions of all files, which must be equal."""
    (first, captions), *others = read.items()
    for file, other in others:
        if (captions.images, captions.texts) != (other.images, other.texts):
            raise DataError(
                f"{file}: its split differs from that of {first}; an ensemble needs the same "
                "photos and captions for all its models, name them with --captions"
            )
    return captions


def _run_setting(checkpoint: Path, name: str) -> Path:
    """A path in the settings of the run of a checkpoint."""
    file = checkpoint.resolve().parent / "config.json"
    try:
        return Path(json.loads(file.read_text(encoding="utf-8"))["data"][name])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{checkpoint}: is not in a run, so its data are unknown ({file} cannot be read); "
            f"name it with --{name}"
        ) from error
