"""Evaluation protocols: the whole split, five folds of MS-COCO, and additional correct answers.

`full` uses the whole split. `flickr30k-1k` and `coco-5k` are the same, but check the number of
photos. `coco-1k` is the mean over five folds. For `eccv` and `cxc`, see `hgan.evaluation.coco`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hgan.data.captions.types import Captions
from hgan.encoded import final_level
from hgan.errors import ConfigError, DataError
from hgan.evaluation.coco import GROUND_TRUTHS, coco_figures, coco_ids
from hgan.evaluation.metrics import mean_metrics, metrics
from hgan.evaluation.ranking import rank
from hgan.evaluation.scoring import Scores
from hgan.evaluation.top_k import TopK
from hgan.evaluation.types import Metrics, Ranks
from hgan.processes import ALONE, Processes
from hgan.progress import progress

WHOLE = {"full": None, "flickr30k-1k": 1000, "coco-5k": 5000}
"""Protocols that use all photos of a split, and the number of photos that they need."""
FOLDED = "coco-1k"
FOLDS = 5
FOLD_PHOTOS = 1000
PROTOCOLS = {
    "full": "all photos and captions of the split",
    "flickr30k-1k": "all 1,000 photos and their captions",
    "coco-5k": "all 5,000 photos and their captions",
    FOLDED: "mean over five folds of 1,000 photos, in the order of the file",
    "eccv": "correct answers of ECCV Caption",
    "cxc": "correct answers of Crisscrossed Captions",
}
"""The protocols, with descriptions."""
CANDIDATES = 50
"""Top candidates of each query that are kept; a photo in ECCV Caption has up to 48 correct
answers."""


@dataclass(frozen=True)
class Measured:
    """The results for a split."""

    protocols: dict[str, dict[str, dict[str, Any]]]
    """Metrics by protocol and by level or S, as JSON values; always includes `full`."""
    ranks: dict[str, Ranks]
    """Ranks on the whole split, by level or S."""
    top: TopK
    """Top candidates by the final score."""


def check_protocols(captions: Captions, protocols: Sequence[str]) -> None:
    """Check that the protocols exist, and that they can be used for this split.

    Raises:
        ConfigError: there is no such protocol.
        DataError: the split has another number of photos, or is not from MS-COCO.
    """
    photos = len(captions.images)
    for name in protocols:
        if name not in PROTOCOLS:
            raise ConfigError(f"protocol {name!r} is unknown; choose from {', '.join(PROTOCOLS)}")
        if (needed := WHOLE.get(name)) not in (None, photos):
            raise DataError(
                f"protocol {name} is for {needed:,} photos, but this split has {photos:,}"
            )
        if name == FOLDED and photos != FOLDS * FOLD_PHOTOS:
            raise DataError(
                f"protocol {name} is the mean over {FOLDS} folds of {FOLD_PHOTOS:,} photos, so it "
                f"needs {FOLDS * FOLD_PHOTOS:,}; this split has {photos:,}"
            )
        if name in GROUND_TRUTHS:
            coco_ids(captions)


def measure(
    scores: Scores, captions: Captions, protocols: Sequence[str], processes: Processes = ALONE
) -> Measured:
    """Compute the metrics of each protocol, and the ranks on the whole split; several processes
    share the work, and all get the same results.

    Raises:
        ConfigError: see `check_protocols`.
        DataError: see `check_protocols`; also if a score is not finite.
    """
    check_protocols(captions, protocols)
    photos = len(captions.images)
    top = TopK(photos, len(captions.texts), CANDIDATES)
    with progress("compare", total=photos * len(captions.texts), unit="pairs") as bar:

        def watch(tiles: dict[str, Tensor], rows: slice, columns: slice) -> None:
            tile = tiles[final_level(tiles)]
            top.add(tile, rows, columns)
            bar.advance(tile.numel())

        ranks = rank(scores, captions.image_of, photos, watch=watch, processes=processes)
    top.merge(processes)
    whole = {name: metrics(found).as_dict() for name, found in ranks.items()}
    figures: dict[str, dict[str, dict[str, Any]]] = {"full": whole}
    for name in protocols:
        if name in WHOLE:
            figures[name] = whole
        elif name == FOLDED:
            folds = fold_metrics(scores, captions.image_of, photos, processes)
            figures[name] = {level: found.as_dict() for level, found in folds.items()}
        else:
            figures[name] = {final_level(ranks): coco_figures(name, captions, top)}
    return Measured(figures, ranks, top)


def fold_metrics(
    scores: Scores, image_of: np.ndarray, images: int, processes: Processes = ALONE
) -> dict[str, Metrics]:
    """Mean metrics over `FOLDS` folds of consecutive photos, each with only its own captions.

    Args:
        scores: scores of the whole split; nothing is encoded again.
        image_of: (T) the photo of each caption.
        images: N, the number of photos; a multiple of `FOLDS`.
        processes: the processes that share the work.
    """
    size = images // FOLDS
    folds = []
    for first in range(0, images, size):
        columns = np.flatnonzero((image_of >= first) & (image_of < first + size))
        part = scores.part(slice(first, first + size), torch.from_numpy(columns))
        ranks = rank(part, image_of[columns] - first, size, processes=processes)
        folds.append({name: metrics(found) for name, found in ranks.items()})
    return {name: mean_metrics([fold[name] for fold in folds]) for name in folds[0]}
