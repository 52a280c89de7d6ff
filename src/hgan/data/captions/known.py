"""Well-known data sets, recognised by the name of the caption file or its folder."""

import re
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class KnownDataset:
    """A public data set of photos with English captions."""

    name: str
    """Name used in papers."""
    hub_id: str
    """Id on the Hugging Face hub."""
    license_name: str
    """Name of the licence in the metadata of models that are trained on it."""
    terms: str
    """Source and terms of use, as Markdown."""


KNOWN_DATASETS = {
    "flickr8k": KnownDataset(
        "Flickr8k",
        "jxie/flickr8k",
        "flickr8k-non-commercial",
        "Flickr8k (Hodosh, Young and Hockenmaier, JAIR 2013): its photos are for non-commercial "
        "research and education. Models trained on them have the same restrictions.",
    ),
    "flickr30k": KnownDataset(
        "Flickr30k",
        "nlphuji/flickr30k",
        "flickr30k-non-commercial",
        "Flickr30k (Young et al., TACL 2014): its photos are for non-commercial research and "
        "education. Models trained on them have the same restrictions.",
    ),
    "coco": KnownDataset(
        "MS-COCO",
        "HuggingFaceM4/COCO",
        "coco-terms-of-use",
        "MS-COCO (Lin et al., ECCV 2014): its captions are licensed under CC BY 4.0; its photos "
        "are subject to the terms of use of Flickr.",
    ),
}
"""Known data sets by the key that `dataset_key` returns."""

_NAMES = {
    "flickr8k": re.compile(r"flickr_?8k|(?<![a-z])f8k", re.IGNORECASE),
    "flickr30k": re.compile(r"flickr_?30k|(?<![a-z])f30k|^results_20130124", re.IGNORECASE),
    "coco": re.compile(r"(?<![a-z])(ms)?coco(?![a-z])|^captions_(train|val)20\d\d", re.IGNORECASE),
}


def dataset_key(captions: Path) -> str | None:
    """The key of a known data set in `KNOWN_DATASETS`, or None.

    Args:
        captions: a caption file or a folder in SCAN's format. Its own name is checked first, then
            the name of its parent folder.
    """
    path = captions.absolute()
    for name in (path.name, path.parent.name):
        for key, pattern in _NAMES.items():
            if pattern.search(name):
                return key
    return None
