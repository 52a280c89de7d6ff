"""Measure time and memory of ranking all pairs of COCO's 5,000 photos and 25,000 captions.

    python benchmarks/coco5k.py                             # with the lists in $HGAN_DATA
    python benchmarks/coco5k.py --config configs/coco.yaml  # with the widths in this file

The captions are those of SCAN's testall list, with their real numbers of words. The encodings of
captions and photos (36 regions) are random, with the widths of HGAN. All pairs are scored at all
three levels and ranked, as in `hgan evaluate`.

For comparison, these are measured on a subset, with one thread in float32: matrix multiplication,
the scoring and ranking of hgan, and the evaluation loop of SCAN and its successors. This loop
computes, for each caption, attention over the regions of a shard of photos; it is measured with the
word width of hgan and with that of SCAN. The comparison uses processor time, so that other programs
on the machine have little influence. Targets: at most 4 GB, and at least 30 times as fast as SCAN's
loop with its own width.
"""

import argparse
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity, leaky_relu, normalize

from hgan.cli.settings import parse_config
from hgan.data.captions.read import read_captions
from hgan.data.captions.types import Captions
from hgan.encoded import Encoded
from hgan.evaluation.protocols import CANDIDATES
from hgan.evaluation.ranking import TILE, rank
from hgan.evaluation.top_k import TopK
from hgan.model.encoding import take
from hgan.model.hgan import SIMILARITY, HGANConfig, local_similarity
from hgan.model.matcher import combine
from hgan.progress import progress

REGIONS = 36
MEMORY_BAR = 4
"""Maximum memory in GB."""
RATIO_BAR = 30
"""Minimum speed-up over SCAN's loop."""
SLICE = 640
"""Photos in the subset, which contains all their captions."""
SCAN_SHARD = (128, 64)
"""Photos in a shard, as in SCAN's code, and the number of captions that are timed with it."""
SCAN_WIDTH = 1024
SMOOTH = 9.0
"""SCAN's inverse temperature of attention."""
SQUARE = 2048
"""Side of the matrices for measuring matrix multiplication."""


def main() -> int:
    """Run the benchmark; return 1 if a target is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    lists = Path(os.environ.get("HGAN_DATA", "data")) / "scan_text" / "coco"
    parser.add_argument("--lists", type=Path, default=lists, help="folder of MS-COCO's lists")
    parser.add_argument("--config", help="YAML file with the widths of the model")
    parser.add_argument("--photos", type=int, default=5000, help="number of photos, the first ones")
    parser.add_argument("--threads", type=int, help="threads of the ranking; default: all")
    options = parser.parse_args()
    if not (options.lists / "testall_caps.txt").is_file():
        sys.exit(f"{options.lists}: no lists here; set HGAN_DATA, or use --lists FOLDER")
    if options.threads:
        torch.set_num_threads(options.threads)
    model = parse_config(["--config", options.config] if options.config else []).model
    assert isinstance(model, HGANConfig)
    captions = read_captions(options.lists).split("test")
    images, texts = encodings(captions, options.photos, model)
    memory = print_whole(images, texts, captions.image_of)
    torch.set_num_threads(1)
    print("one thread's processor time, float32")
    print_local(images, texts)
    ratio = print_scan(images, texts, captions.image_of)
    return int(memory > MEMORY_BAR or ratio < RATIO_BAR)


def encodings(
    captions: Captions, photos: int, model: HGANConfig
) -> tuple[Encoded[Tensor], Encoded[Tensor]]:
    """Random unit rows with the widths of a model; equal captions have equal encodings."""
    rng = torch.Generator().manual_seed(0)

    def units(*shape: int) -> Tensor:
        return normalize(torch.randn(*shape, generator=rng), dim=-1)

    def encoded(count: int, rows: int, mask: Tensor) -> Encoded[Tensor]:
        return Encoded(
            context=units(count, model.width),
            slots=units(count, model.slots, model.slot_width),
            local=units(count, rows, model.local_width).mul_(mask[..., None]),
            mask=mask,
        )

    images = encoded(photos, REGIONS, torch.ones(photos, REGIONS, dtype=torch.bool))
    numbers: dict[str, int] = {}
    texts = captions.texts[: int((captions.image_of < photos).sum())]  # ordered by photo
    which = torch.tensor([numbers.setdefault(text, len(numbers)) for text in texts])
    lengths = torch.tensor([len(text.split()) for text in numbers])
    longest = int(lengths.max())
    mask = torch.arange(longest) < lengths[:, None]
    return images, take(encoded(len(numbers), longest, mask), which)


def rank_all(images: Encoded[Tensor], texts: Encoded[Tensor], image_of: np.ndarray) -> None:
    """Score and rank all pairs and keep the top candidates, as in an evaluation."""
    photos, count = len(images.mask), len(texts.mask)
    best = TopK(photos, count, CANDIDATES)
    weights = {name: 1 / len(SIMILARITY) for name in SIMILARITY}

    def score(rows: slice, columns: slice) -> dict[str, Tensor]:
        photo_tile, text_tile = take(images, rows), take(texts, columns)
        levels = {name: compare(photo_tile, text_tile) for name, compare in SIMILARITY.items()}
        return levels | {"S": combine(levels, weights)}

    with torch.inference_mode(), progress("rank", total=photos * count, unit="pairs") as bar:

        def watch(scores: dict[str, Tensor], rows: slice, columns: slice) -> None:
            best.add(scores["S"], rows, columns)
            bar.advance(scores["S"].numel())

        rank(score, image_of[:count], photos, watch=watch)


def print_whole(images: Encoded[Tensor], texts: Encoded[Tensor], image_of: np.ndarray) -> float:
    """Print time and memory of the whole ranking; return the peak memory in GB."""
    photos, count = len(images.mask), len(texts.mask)
    print(
        f"{photos:,} photos x {REGIONS} regions, {count:,} captions, "
        f"{int(texts.mask.sum()):,} words; {torch.get_num_threads()} threads"
    )
    start, processor = time.perf_counter(), time.process_time()
    rank_all(images, texts, image_of)
    seconds, processor = time.perf_counter() - start, time.process_time() - processor
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    micro = 1e6 * processor / (photos * count)
    print(f"{seconds:.1f} s; {processor:.1f} s processor time, {micro:.2f} microseconds per pair")
    print(f"peak memory {memory:.2f} GB (target: at most {MEMORY_BAR} GB)\n")
    return memory


def print_local(images: Encoded[Tensor], texts: Encoded[Tensor]) -> None:
    """Print the speed of the local level on a tile, and of matrix multiplication."""
    photo_tile, text_tile = take(images, slice(TILE[0])), take(texts, slice(TILE[1]))
    peak = 2 * SQUARE**3 / multiplication_seconds()
    with torch.inference_mode():
        seconds = least_seconds(lambda: local_similarity(photo_tile, text_tile), 20)
    peak = max(peak, 2 * SQUARE**3 / multiplication_seconds())
    pairs = int(photo_tile.mask.sum()) * int(text_tile.mask.sum())
    rate = 2 * pairs * photo_tile.local.shape[2] / seconds
    print(f"  matrix multiplication    {peak / 1e9:.0f} GFLOP/s in float32")
    print(f"  local level              {rate / 1e9:.0f} GFLOP/s, {rate / peak:.0%} of it")


def print_scan(images: Encoded[Tensor], texts: Encoded[Tensor], image_of: np.ndarray) -> float:
    """Print the time of hgan and of SCAN's loop with both widths; return the speed-up for SCAN's
    own width."""
    photos = min(SLICE, len(images.mask))
    count = int((image_of < photos).sum())
    slices = take(images, slice(photos)), take(texts, slice(count))
    seconds = least_seconds(lambda: rank_all(*slices, image_of[:count]), 3)
    ours = 1e6 * seconds / (photos * count)
    print(f"  three levels and ranks   {ours:.2f} microseconds per pair")
    lengths = texts.mask.sum(1).tolist()[: SCAN_SHARD[1]]
    ratio = 0.0
    for width in (images.local.shape[2], SCAN_WIDTH):
        micro = 1e6 * scan_seconds(width, lengths) / (SCAN_SHARD[0] * len(lengths))
        ratio = micro / ours
        print(
            f"  SCAN's loop, width {width:<4}  {micro:.1f} microseconds per pair, "
            f"hgan is {ratio:.0f} times as fast"
        )
    print(f"  (target: at least {RATIO_BAR} times as fast, with width {SCAN_WIDTH})")
    return ratio


def scan_seconds(width: int, lengths: list[int]) -> float:
    """Time of SCAN's loop for a shard of photos and captions of these lengths."""
    rng = torch.Generator().manual_seed(1)
    images = normalize(torch.randn(SCAN_SHARD[0], REGIONS, width, generator=rng), dim=-1)
    texts = normalize(torch.randn(len(lengths), max(lengths), width, generator=rng), dim=-1)
    return least_seconds(lambda: scan_scores(images, texts, lengths))


@torch.inference_mode()
def scan_scores(images: Tensor, texts: Tensor, lengths: list[int]) -> Tensor:
    """Scores of SCAN (Lee et al., ECCV 2018), text-to-image with the mean over words. As in the
    published code, captions are processed one at a time.

    Args:
        images: (B, R, D)
        texts: (T, W, D)
        lengths: number of words of each caption.
    """
    columns = []
    for text, length in zip(texts, lengths, strict=True):
        words = text[:length].repeat(len(images), 1, 1)  # (B, W, D)
        attention = torch.bmm(images, words.transpose(1, 2))  # (B, R, W)
        attention = normalize(leaky_relu(attention, 0.1), dim=2).transpose(1, 2)
        attention = torch.softmax(SMOOTH * attention, dim=2)  # over regions
        attended = torch.bmm(attention, images)  # (B, W, D)
        columns.append(cosine_similarity(words, attended, dim=2).mean(1))
    return torch.stack(columns, 1)


def multiplication_seconds() -> float:
    """Time of a large matrix product."""
    left, right = torch.randn(SQUARE, SQUARE), torch.randn(SQUARE, SQUARE)
    return least_seconds(lambda: left @ right)


def least_seconds(act: Callable[[], object], times: int = 5) -> float:
    """The minimum processor time of several calls, after a warm-up call."""
    act()
    found = []
    for _ in range(times):
        start = time.process_time()
        act()
        found.append(time.process_time() - start)
    return min(found)


if __name__ == "__main__":
    sys.exit(main())
