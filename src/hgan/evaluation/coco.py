"""Metrics of ECCV Caption and CxC, which add correct answers that are missing in MS-COCO.

Chun et al., "ECCV Caption", ECCV 2022; Parekh et al., "Crisscrossed Captions", EACL 2021. The
correct answers and the metrics are from the package `eccv_caption`, for the 5,000 photos and 25,000
captions of Karpathy's test split, which are identified by MS-COCO's ids.
"""

import io
import json
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np

from hgan.data.captions.types import Captions
from hgan.errors import DataError
from hgan.evaluation.top_k import TopK

GROUND_TRUTHS = {
    "eccv": {"eccv_r1": "R@1", "eccv_rprecision": "R-P", "eccv_map_at_r": "mAP@R"},
    "cxc": {"cxc_r1": "R@1", "cxc_r5": "R@5", "cxc_r10": "R@10"},
}
"""For each protocol, the names of its metrics in the package, and their names in records."""
_TARGETS = {"eccv": list(GROUND_TRUTHS["eccv"]), "cxc": ["cxc_recalls"]}
_LAST_NUMBER = re.compile(r"(\d+)(?:\.\w+)?$")


def coco_figures(protocol: str, captions: Captions, top: TopK) -> dict[str, dict[str, float]]:
    """Metrics of both directions in per cent for `eccv` or `cxc`; ties are broken by position.

    Raises:
        DataError: the split is not Karpathy's test split of MS-COCO.
    """
    image_ids, caption_ids = coco_ids(captions)
    texts, images = caption_ids[top.texts.numpy()], image_ids[top.images.numpy()]
    to_texts = dict(zip(image_ids.tolist(), texts.tolist(), strict=True))
    to_images = dict(zip(caption_ids.tolist(), images.tolist(), strict=True))
    with redirect_stderr(io.StringIO()):  # hides a progress bar that has no option to disable it
        found = _metrics().compute_all_metrics(
            to_texts, to_images, target_metrics=_TARGETS[protocol], Ks=(1, 5, 10)
        )
    names = GROUND_TRUTHS[protocol].items()
    return {
        ours: {name: 100.0 * float(found[key][way]) for key, name in names}
        for ours, way in (("image_to_text", "i2t"), ("text_to_image", "t2i"))
    }


def coco_ids(captions: Captions) -> tuple[np.ndarray, np.ndarray]:
    """MS-COCO's ids of the photos (N) and captions (T) of Karpathy's test split.

    They are read from the caption file. The lists in SCAN's format have no caption ids, so for them
    the ids come from the package, which has them in the same order.

    Raises:
        DataError: this is another split, or the ids of the captions are unknown.
    """
    truth = _caption_to_image()
    image_ids, caption_ids = captions.image_ids, captions.caption_ids
    if image_ids is None:
        image_ids = np.array([_last_number(name) for name in captions.images], dtype=np.int64)
    if set(image_ids.tolist()) != set(truth.values()):
        raise DataError(
            "eccv and cxc are for the 5,000 photos of Karpathy's COCO test split (SCAN's testall); "
            f"this split has {len(set(image_ids.tolist()) & set(truth.values())):,} of them among "
            f"its {len(image_ids):,} photos"
        )
    if caption_ids is None:
        caption_ids = np.fromiter(truth, dtype=np.int64)
        expected = np.fromiter(truth.values(), dtype=np.int64)
        if not np.array_equal(image_ids[captions.image_of], expected):
            raise DataError(
                "eccv and cxc need COCO's ids of the captions; this file has no ids, and its "
                "captions are not in the order of SCAN's testall_caps.txt, for which they are known"
            )
    if missing := len(truth.keys() - set(caption_ids.tolist())):
        raise DataError(
            f"eccv and cxc are for the captions of Karpathy's COCO test split; this split does not "
            f"have {missing:,} of the {len(truth):,}"
        )
    return image_ids, caption_ids


@cache
def _caption_to_image() -> dict[int, int]:
    """The photo id of each caption id, in the order of SCAN's lists."""
    with _quiet_import():
        data = files("eccv_caption") / "data"
    with (data / "coco_test_ids.npy").open("rb") as file:
        order = np.load(file, allow_pickle=False)
    images = json.loads((data / "original_caption_to_image.json").read_text(encoding="utf-8"))
    return {caption: images[str(caption)][0] for caption in order.tolist()}


@cache
def _metrics() -> Any:
    with _quiet_import():
        from eccv_caption import Metrics
    return Metrics()


@contextmanager
def _quiet_import() -> Iterator[None]:
    """Hide a warning on import of the package, that it uses the JSON module of Python."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _last_number(name: str) -> int:
    """COCO's id from a file name such as COCO_val2014_000000391895.jpg; -1 if it has none."""
    found = _LAST_NUMBER.search(name)
    return int(found[1]) if found else -1
