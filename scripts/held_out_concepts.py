"""Write a caption file that holds out concepts: an open-vocabulary validation for Flickr8k.

Photos of which a caption names one of the concepts below leave the training split. Those of the
training and the validation split become the new validation split. The concepts are classes of
ImageNet, so a backbone that was trained on ImageNet has seen such things, but a model that is
trained on the new file reads none of their names. The photos of the test split, and the other
photos of the validation split, are in no split of the new file.

    python scripts/held_out_concepts.py data/flickr8k/captions.jsonl data/flickr8k_held_out.jsonl
    hgan train --config configs/flickr8k.yaml --data.captions data/flickr8k_held_out.jsonl

The new file uses the same photos and features; mosaics of photos, which show held-out concepts too,
are not for it (`--vision.mosaics 0`).
"""

import argparse
import re
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from hgan.data.captions.read import read_captions
from hgan.data.captions.types import Captions
from hgan.data.conversion.convert import write_jsonl
from hgan.errors import ConfigError, HganError

CONCEPTS = {
    "balloon": r"ball?oons?",
    "basketball": r"basketballs?",
    "bench": r"bench(es)?",
    "bird": r"birds?|(sea)?gulls?|pigeons?|goose|geese|swans?|parrots?|eagles?|hawks?|owls?"
    r"|pelicans?",
    "bus": r"bus(es|ses|stop)?",
    "canoe": r"canoe\w*|canoo?ers?",
    "cat": r"cats?|kittens?|kitty|kitties",
    "cow": r"cows?|cattle",
    "duck": r"ducks?|ducklings?|mallards?",
    "fountain": r"fountains?",
    "guitar": r"guitar\w*",
    "horse": r"horses?|horseback|horsem[ae]n|horse ?rid\w+|pony|ponies|colts?|broncos?",
    "kayak": r"kayac?k\w*",
    "motorcycle": r"motorcycl\w*|motorbik\w*|motocross",
    "sheep": r"sheep|lambs?",
    "tennis": r"tennis",
    "tent": r"tent(s|ed)?",
    "truck": r"trucks?|pickup",
    "umbrella": r"umbrellas?|parasols?",
    "volleyball": r"volleyballs?",
}
"""Concepts, each with a pattern of the whole words that name it in Flickr8k: other forms, kinds,
and who uses it (a kayaker). Ambiguous words are not in it, such as "bull" (mostly of pit bulls) and
"dirt bike" (often a bicycle)."""

_PATTERNS = {concept: re.compile(rf"\b({words})\b") for concept, words in CONCEPTS.items()}


def named(texts: Iterable[str]) -> set[str]:
    """The concepts that texts name."""
    text = "\n".join(texts).lower()
    return {concept for concept, pattern in _PATTERNS.items() if pattern.search(text)}


def hold_out(captions: Captions) -> tuple[Captions, Counter[str]]:
    """Give the photos new splits: train, val, or none.

    Returns:
        The same photos and captions with the new splits, and for each concept the number of photos
        in the new validation split that name it.

    Raises:
        ConfigError: no photo is left to train on, or none names a concept.
    """
    splits: list[str | None] = []
    counts: Counter[str] = Counter()
    for split, own in zip(captions.splits, captions.of_image(), strict=True):
        concepts = named(captions.texts[text] for text in own)
        if split in ("train", "val") and concepts:
            splits.append("val")
            counts.update(concepts)
        else:
            splits.append("train" if split == "train" else None)
    for split, problem in (
        ("train", "no photo is left to train on"),
        ("val", "no photo of split train or val names one of the concepts"),
    ):
        if split not in splits:
            raise ConfigError(
                f"{problem}; the concepts are those of photos of everyday life, in English, and "
                "the caption file needs the splits train and val"
            )
    return replace(captions, splits=splits), counts


def main() -> None:
    """Read a caption file and write the other one."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("captions", type=Path, help="caption file with splits train and val")
    parser.add_argument("out", type=Path, help="caption file to write (JSON Lines)")
    chosen = parser.parse_args()
    made, counts = hold_out(read_captions(chosen.captions))
    write_jsonl(made, chosen.out)
    train, val = (made.splits.count(name) for name in ("train", "val"))
    print(f"{chosen.out}: {train:,} photos to train on, {val:,} to validate on, which name")
    print(", ".join(f"{concept} ({count})" for concept, count in counts.most_common()))


if __name__ == "__main__":
    try:
        main()
    except HganError as error:
        sys.exit(f"held_out_concepts: {error}")
