"""Write a caption file that holds out concepts: an open-vocabulary validation for Flickr8k.

Photos of which a caption names one of the nouns below leave the training split; those of training and
validation become the new validation split. The nouns are names of ImageNet classes, so a backbone that
was trained on ImageNet has seen such things, while the model that is trained on the new file has not.
Photos of the test split are left out completely, and so is the rest of the validation split.

    python scripts/held_out_concepts.py data/flickr8k/captions.jsonl data/flickr8k_held_out.jsonl
    hgan train --config configs/flickr8k.yaml --data.captions data/flickr8k_held_out.jsonl
"""

import argparse
import re
from pathlib import Path

from hgan.data.captions.read import read_captions
from hgan.data.captions.types import Captions
from hgan.data.conversion.convert import write_jsonl

CONCEPTS = (
    "balloon", "basketball", "bench", "bird", "bus", "canoe", "cat", "cow", "duck", "fountain",
    "guitar", "horse", "kayak", "motorcycle", "sheep", "tennis", "tent", "truck", "umbrella",
    "volleyball",
)  # fmt: skip
"""Nouns that ImageNet's classes know, each in the captions of 15 to 150 photos of Flickr8k."""
OTHER_FORMS = {"buses": "bus", "benches": "bench", "motorbike": "motorcycle",
               "motorbikes": "motorcycle", "canoeing": "canoe", "kayaking": "kayak",
               "kitten": "cat", "horseback": "horse"}  # fmt: skip
"""Other words that name one of them; plurals with s need not be listed."""


def named(texts: list[str]) -> set[str]:
    """The concepts that texts name."""
    words = set(re.findall(r"[a-z]+", " ".join(texts).lower()))
    words |= {OTHER_FORMS[word] for word in words if word in OTHER_FORMS}
    return {concept for concept in CONCEPTS if concept in words or f"{concept}s" in words}


def hold_out(captions: Captions) -> Captions:
    """The same photos and captions with new splits: train, val, or none."""
    splits: list[str | None] = []
    for split, own in zip(captions.splits, captions.of_image(), strict=True):
        held_out = bool(named([captions.texts[t] for t in own]))
        if split == "train" and not held_out:
            splits.append("train")
        else:
            splits.append("val" if held_out and split in ("train", "val") else None)
    return Captions(captions.images, captions.texts, captions.image_of, splits)


def main() -> None:
    """Read a caption file and write the other one."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("captions", type=Path, help="caption file with splits train and val")
    parser.add_argument("out", type=Path, help="caption file to write (JSON Lines)")
    chosen = parser.parse_args()
    made = hold_out(read_captions(chosen.captions))
    write_jsonl(made, chosen.out)
    counts = {name: made.splits.count(name) for name in ("train", "val")}
    print(f"{chosen.out}: {counts['train']} photos to train, {counts['val']} to validate")


if __name__ == "__main__":
    main()
