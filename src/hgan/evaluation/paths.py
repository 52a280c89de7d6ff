"""`hgan.evaluate`: evaluate checkpoints that are given by their paths, from Python."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hgan.evaluation.checkpoints import evaluate_checkpoints


def evaluate(
    checkpoints: str | Path | Sequence[str | Path],
    split: str = "test",
    *,
    protocols: str | Sequence[str] = "full",
    captions: str | Path | None = None,
    features: str | Path | None = None,
    out: str | Path | None = None,
) -> dict[str, Any]:
    """The record of a checkpoint on a split; of several checkpoints, that of their mean scores.

    Args:
        checkpoints: the folder of a checkpoint, such as `runs/flickr8k/seed1/best`, or several.
        split: of the caption file.
        protocols: one or several of `hgan.evaluation.protocols.PROTOCOLS`.
        captions: a caption file, by default the one of the run.
        features: a feature store, by default the one of the run.
        out: folder of the record, by default the folder of the run.

    Raises:
        DataError: a checkpoint, its captions or features are missing, damaged or do not fit.
        ConfigError: a protocol is not known.
    """
    if isinstance(checkpoints, str | Path):
        checkpoints = [checkpoints]
    return evaluate_checkpoints(
        [Path(path) for path in checkpoints],
        split,
        [protocols] if isinstance(protocols, str) else protocols,
        _path(captions),
        _path(features),
        _path(out),
    )


def _path(path: str | Path | None) -> Path | None:
    return None if path is None else Path(path)
