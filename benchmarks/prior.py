"""How much the semantic prior knows without any training, and what it adds to a trained model.

Prints rSum on a validation set, by default `coco_mini_val`: of the prior alone, at the context
level (photo and sentence), at the local level (mean over words of the best region) and of both, for
several numbers P of components; and of S + a x context + b x local, S being that of the bundle of
hgan.

    python benchmarks/prior.py
    python benchmarks/prior.py --data data/flickr8k --split val --limit 500
"""

import argparse
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

import hgan
from hgan.chunks import chunks
from hgan.data.batches.tokens import pad, tokenise
from hgan.data.captions.read import read_captions
from hgan.data.captions.types import Captions
from hgan.evaluation.metrics import metrics
from hgan.evaluation.ranking import rank
from hgan.model.prior import SemanticPrior, build_prior
from hgan.runtime.images import open_photo
from hgan.runtime.preprocessing import Preprocessing
from hgan.text.transformer import TransformerEncoder, load_transformer
from hgan.vision.efficientnet_lite import EfficientNetLite

DATA = Path(os.environ.get("HGAN_DATA", "data")) / "coco_mini_val"
WIDTHS = (32, 48, 64, 128, 384)
STRENGTHS = ((0.1, 0.1), (0.15, 0.1), (0.2, 0.2), (0.3, 0.3))
BATCH = 16


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=DATA, help="folder with captions and images")
    parser.add_argument("--split", default="val", help="split of the captions (default: val)")
    parser.add_argument("--limit", type=int, default=1000, help="number of photos (default: 1000)")
    chosen = parser.parse_args()
    captions = first(
        read_captions(chosen.data / "captions.jsonl").split(chosen.split), chosen.limit
    )
    files = [chosen.data / "images" / name for name in captions.images]
    model = hgan.load()
    s = torch.from_numpy(
        hgan.similarity(model.encode_image(files), model.encode_text(captions.texts))
    )
    print(f"{len(files)} photos, {len(captions.texts)} captions; S alone {rsum(s, captions):.1f}")
    print("   P  context  local  both   " + "  ".join(f"S+{a}c+{b}l" for a, b in STRENGTHS))
    for width, context, local in prior_scores(files, captions):
        alone = (rsum(scores, captions) for scores in (context, local, context + local))
        added = (rsum(s + a * context + b * local, captions) for a, b in STRENGTHS)
        print(
            f"{width:4d}    " + "  ".join(f"{value:.1f}" for value in alone) + "   "
            + "       ".join(f"{value:.1f}" for value in added)
        )  # fmt: skip


def first(captions: Captions, limit: int) -> Captions:
    """The first photos and their captions."""
    kept = captions.image_of < limit
    return Captions(
        captions.images[:limit],
        [text for text, keep in zip(captions.texts, kept, strict=True) if keep],
        captions.image_of[kept],
        captions.splits[:limit],
    )


@torch.inference_mode()
def prior_scores(files: list[Path], captions: Captions) -> Iterator[tuple[int, Tensor, Tensor]]:
    """For each number of components, it and the scores (B, T) at the context and local level."""
    backbone = EfficientNetLite(2).eval()
    encoder, tokenizer = load_transformer("minilm")
    encoder.eval().freeze(0)
    prior = build_prior(backbone.classifier(), encoder, tokenizer, max(WIDTHS))
    images = [backbone(pixels) for pixels in decoded(files, backbone.size)]
    regions = prior.image(torch.cat([seen.regions for seen in images]))  # (B, R, P)
    context = prior.image(torch.cat([seen.context for seen in images]))  # (B, P)
    words, sentences = positions(prior, encoder, tokenise(tokenizer, captions.texts, 64))
    for width in WIDTHS:
        wholes = unit(context, width) @ unit(sentences, width).T  # (B, T)
        rows = unit(regions, width)  # (B, R, P)
        best = [(rows @ unit(own, width).T).amax(1).mean(1) for own in words]  # (B) each
        yield width, wholes, torch.stack(best, dim=1)


def decoded(files: list[Path], size: int) -> Iterator[Tensor]:
    """Batches of photos (B, size, size, 3) uint8."""
    for part in chunks(files, BATCH):
        yield torch.from_numpy(
            np.stack([Preprocessing(size).pixels(open_photo(file)) for file in part])
        )


def positions(
    prior: SemanticPrior, encoder: TransformerEncoder, tokens: list[Tensor]
) -> tuple[list[Tensor], Tensor]:
    """Positions of each caption's words (W, P), and of the captions (T, P)."""
    words, wholes = [], []
    for ids in tokens:
        batch = pad([ids])
        states = encoder(batch.ids, batch.mask)
        words.append(prior.text(states.states[states.words]))
        wholes.append(prior.text(states.context)[0])
    return words, torch.stack(wholes)


def unit(rows: Tensor, width: int) -> Tensor:
    """The first components of rows (..., P), at unit length."""
    return F.normalize(rows[..., :width], dim=-1)


def rsum(scores: Tensor, captions: Captions) -> float:
    """rSum of scores (B, T)."""
    found = rank(
        lambda rows, columns: {"S": scores[rows, columns]},
        captions.image_of,
        len(captions.images),
        (len(captions.images), len(captions.texts)),
    )
    return metrics(found["S"]).rsum


if __name__ == "__main__":
    main()
