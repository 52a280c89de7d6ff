"""The data sets of the literature, recognised by the name of the caption file or of its folder."""

import re
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class KnownDataset:
    """A public data set of photos with English captions."""

    name: str
    """As in papers."""
    hub_id: str
    """On the Hugging Face hub."""
    license_name: str
    """Identifier for the metadata of a model trained on it."""
    terms: str
    """Its source and its terms of use, as Markdown."""


KNOWN_DATASETS = {
    "flickr8k": KnownDataset(
        "Flickr8k",
        "jxie/flickr8k",
        "flickr8k-non-commercial",
        "Flickr8k (Hodosh, Young and Hockenmaier, JAIR 2013): its photos are for non-commercial "
        "research and education. A model trained on them has no more rights than they give.",
    ),
    "flickr30k": KnownDataset(
        "Flickr30k",
        "nlphuji/flickr30k",
        "flickr30k-non-commercial",
        "Flickr30k (Young et al., TACL 2014): its photos are for non-commercial research and "
        "education. A model trained on them has no more rights than they give.",
    ),
    "coco": KnownDataset(
        "MS-COCO",
        "HuggingFaceM4/COCO",
        "coco-terms-of-use",
        "MS-COCO (Lin et al., ECCV 2014): its captions are licensed under CC BY 4.0; its photos "
        "are subject to the terms of use of Flickr.",
    ),
}
"""By the key that `dataset_key` gives."""

_NAMES = {
    "flickr8k": re.compile(r"flickr_?8k|(?<![a-z])f8k", re.IGNORECASE),
    "flickr30k": re.compile(r"flickr_?30k|(?<![a-z])f30k|^results_20130124", re.IGNORECASE),
    "coco": re.compile(r"(?<![a-z])(ms)?coco(?![a-z])|^captions_(train|val)20\d\d", re.IGNORECASE),
}


def dataset_key(captions: Path) -> str | None:
    """The key of a known data set in `KNOWN_DATASETS`, or None.

    Args:
        captions: a caption file or a folder in SCAN's format. Its name is looked at first, then
            the name of the folder that it is in.
    """
    path = captions.absolute()
    for name in (path.name, path.parent.name):
        for key, pattern in _NAMES.items():
            if pattern.search(name):
                return key
    return None
