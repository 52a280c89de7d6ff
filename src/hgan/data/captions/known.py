"""Well-known data sets: recognised by the name of the caption file or its folder, or by photos."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from hgan.data.captions.types import Captions
from hgan.errors import ConfigError


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

_COCO_IDS = """\
139 790 802 12280 18575 19221 20247 22192 22892 54718 62554 69468 78499 89232 107438 113488
116479 117645 121647 125870 126107 128051 133030 136334 142585 153797 157206 159269 160012
161044 161846 163497 163951 165518 172123 172648 174231 174375 174632 177977 183709 192699
194322 194875 199055 211042 212679 213148 215657 215778 216794 229997 231460 232357 234748
234757 244592 249025 249346 252332 253695 255165 262227 262440 273232 286458 301061 311002
312237 312489 322517 324258 341719 343803 349860 353072 354072 357081 358427 359219 367095
368212 369771 370162 370208 377575 379349 394940 397681 403353 406129 408805 418049 423617
425226 432430 433998 435081 435206 439180 442450 463557 463690 466137 476704 488571 488673
493652 501368 508602 516008 519611 540280 551757 553664 565607 565776 568290 570448"""
_COCO_MINI_VAL = frozenset(f"{int(key):012}.jpg" for key in _COCO_IDS.split())
"""Names of the photos of `coco_mini_val`, as in MS-COCO since 2017."""


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


def check_training_photos(captions: Captions, file: Path) -> None:
    """Check that no photo of `coco_mini_val` would be trained on.

    Args:
        captions: all splits of a caption file.
        file: the caption file, for the message.

    Raises:
        ConfigError: such a photo is in the training split, or there is no training split, and the
            file is `coco_mini_val` itself.
    """
    photos = zip(captions.images, captions.splits, strict=True)
    trained = [image for image, split in photos if split == "train"] or captions.images
    if found := _open_vocabulary_photos(trained):
        raise ConfigError(
            f"{file}: {len(found)} of the {len(trained):,} photos to train on are those of "
            f"coco_mini_val, such as {found[0]}; these photos of MS-COCO are only for "
            "open-vocabulary validation, so no model is trained on them; remove them, or put them "
            "into split val"
        )


def _open_vocabulary_photos(images: Iterable[str]) -> list[str]:
    """The photos that belong to `coco_mini_val`, in any folder.

    Its 119 photos of MS-COCO show what a model knows that was trained on other photos. They are
    recognised by their names in MS-COCO since 2017. The splits with which results on MS-COCO are
    published have the names of 2014 (`COCO_val2014_...`) or plain numbers, which are not
    recognised: 94 of the 119 photos are in their training split, so a model that is trained on it
    has no open-vocabulary results.
    """
    return [image for image in images if image.rpartition("/")[2] in _COCO_MINI_VAL]
