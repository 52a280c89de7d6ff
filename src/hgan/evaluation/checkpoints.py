"""Evaluate checkpoints on the data of their runs, and store the evaluation record."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hgan.data.batches.dataset import Dataset
from hgan.data.captions.read import read_captions
from hgan.data.captions.types import Captions
from hgan.errors import ConfigError, DataError
from hgan.evaluation.protocols import check_protocols, measure
from hgan.evaluation.record import make_record, save_record
from hgan.evaluation.scoring import Member, Scores, encode
from hgan.files import parse_json
from hgan.model.io import checkpoint_of, load_checkpoint
from hgan.progress import progress
from hgan.vision.features import features_of


def evaluate_checkpoints(
    checkpoints: str | Path | Sequence[str | Path],
    split: str = "test",
    protocols: str | Sequence[str] = "full",
    captions: str | Path | None = None,
    features: str | Path | None = None,
    out: str | Path | None = None,
) -> dict[str, Any]:
    """Evaluate a checkpoint on a split, in both directions, for each level and for their sum S.

    Args:
        checkpoints: folder of a checkpoint, such as `runs/flickr8k/seed1/best`, or of a run, whose
            best checkpoint is evaluated. With several, the mean of their scores is evaluated (an
            ensemble).
        split: split of the captions: test, val, or another name.
        protocols: one or several of `full`, `flickr30k-1k`, `coco-5k`, `coco-1k`, `eccv`, `cxc`.
        captions: caption file; by default, the one of the checkpoint's run.
        features: feature store; by default, the one of the checkpoint's run.
        out: folder for `SPLIT.json` and `SPLIT.npz`. By default, they are written to the folder of
            the run if there is only one checkpoint and `captions` is not given; otherwise they are
            not written.

    Returns:
        The record, as in `SPLIT.json`. `record["protocols"][protocol][level]` contains the metrics
        of a level, or of S, the weighted sum of the levels. For `full` and the other recall
        protocols, these are the fields of `hgan.evaluation.types.Metrics`
        (`["image_to_text"]["recall"]["R@1"]` in per cent, `["rsum"]`, `["tied"]`). The other keys
        contain the model, its seed and epoch, the data, and the cost of a comparison.

    Raises:
        DataError: a checkpoint, its captions or its features are missing, damaged or do not match,
            or a protocol is for other data.
        ConfigError: a protocol is unknown, no checkpoint is given, or the features were extracted
            with another grid or size than those that the model was trained on.
    """
    folders = [checkpoint_of(path) for path in _paths(checkpoints)]
    if not folders:
        raise ConfigError("no checkpoint is given; name a folder such as runs/NAME/best")
    own = captions is None
    protocols = [protocols] if isinstance(protocols, str) else protocols
    models = [load_checkpoint(path) for path in folders]
    files = [Path(captions or _run_setting(path, "captions")) for path in folders]
    read = {file: read_captions(file).split(split) for file in dict.fromkeys(files)}
    chosen = _same(read)
    check_protocols(chosen, protocols)  # before encoding, which takes minutes
    members = []
    for path, model in zip(folders, models, strict=True):
        store = features_of(model.vision, Path(features or _run_setting(path, "features")))
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


evaluate = evaluate_checkpoints
"""The name of `evaluate_checkpoints` in the public API, `hgan.evaluate`."""


def _paths(checkpoints: str | Path | Sequence[str | Path]) -> list[Path]:
    """One path, or several, as a list."""
    if isinstance(checkpoints, str | Path):
        return [Path(checkpoints)]
    return [Path(path) for path in checkpoints]


def _same(read: dict[Path, Captions]) -> Captions:
    """The captions of the files, which must be equal in all of them."""
    (first, captions), *others = read.items()
    for file, other in others:
        if (captions.images, captions.texts) != (other.images, other.texts):
            raise DataError(
                f"{file}: its split differs from that of {first}; all models of an ensemble need "
                "the same photos and captions, which can be set with --captions"
            )
    return captions


def _run_setting(checkpoint: Path, name: str) -> Path:
    """A path from the settings of the checkpoint's run."""
    file = checkpoint.resolve().parent / "config.json"
    try:
        return Path(parse_json(file.read_text(encoding="utf-8"))["data"][name])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{checkpoint}: not in the folder of a run, so its {name} are unknown ({file} cannot "
            f"be read); name the path with --{name}"
        ) from error
