"""Write what the authors' own code of VSE-infinity, SCAN and SGRAF reads, to compare it with ours.

    python scripts/export_for_peers.py features/flickr8k peers \\
        --captions data/flickr8k/captions.jsonl

TARGET/precomp has the features and captions of each split in SCAN's format, and TARGET/vocab the
vocabulary of its training captions in SCAN's JSON form. In the authors' repositories:

    VSE-infinity   --data_path TARGET --data_name f30k           (reads TARGET/precomp)
    SCAN, SGRAF    --data_path TARGET --data_name precomp --vocab_path TARGET/vocab
                   with --img_dim set to the width of the features

Their code needs five captions for each photo; photos with fewer are left out, and more are cut.
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from hgan.data.captions.read import read_captions
from hgan.data.captions.types import Captions
from hgan.data.conversion.precomp_writer import write_precomp
from hgan.data.features.store import FeatureStore
from hgan.errors import HganError
from hgan.files import write_json
from hgan.text.vocabulary import count_words

EACH = 5
"""Captions of a photo that the authors' code expects."""


def main() -> None:
    """Write the folders, and print what is in them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("features", type=Path, help="feature store, from `hgan extract`")
    parser.add_argument("target", type=Path, help="folder to write")
    parser.add_argument("--captions", type=Path, required=True, help="captions with splits")
    chosen = parser.parse_args()
    store = FeatureStore(chosen.features)
    captions = five_each(read_captions(chosen.captions))
    count = write_precomp(captions, chosen.target / "precomp", store)
    words = count_words(captions.split("train").texts)
    (chosen.target / "vocab").mkdir(exist_ok=True)
    write_json(chosen.target / "vocab" / "precomp_vocab.json", vocabulary(words))
    print(f"{chosen.target}: {count:,} photos, {len(words):,} words, features {store.width} wide")


def five_each(captions: Captions) -> Captions:
    """The photos that have at least five captions, with the first five."""
    own = captions.of_image()
    kept = [photo for photo, texts in enumerate(own) if len(texts) >= EACH]
    return replace(
        captions,
        images=[captions.images[photo] for photo in kept],
        texts=[captions.texts[t] for photo in kept for t in own[photo][:EACH]],
        image_of=np.repeat(np.arange(len(kept)), EACH),
        splits=[captions.splits[photo] for photo in kept],
        image_ids=None if captions.image_ids is None else captions.image_ids[kept],
        caption_ids=None,
    )


def vocabulary(words: dict[str, int]) -> dict[str, object]:
    """A vocabulary in the JSON form that SCAN's code writes and reads."""
    return {
        "word2idx": words,
        "idx2word": {str(number): word for word, number in words.items()},
        "idx": len(words),
    }


if __name__ == "__main__":
    try:
        main()
    except HganError as error:
        sys.exit(f"export_for_peers: {error}")
