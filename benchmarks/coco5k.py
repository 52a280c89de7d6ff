"""How long does it take to rank COCO's 5,000 photos and 25,000 captions, every pair compared?

    python benchmarks/coco5k.py                             # the lists come from $HGAN_DATA
    python benchmarks/coco5k.py --config configs/coco.yaml  # at that file's widths

The captions are those of SCAN's testall list, with their numbers of words; their encodings and the
photos' (36 regions) are drawn at HGAN's widths. All three levels of every pair are scored and
ranked as `hgan evaluate` does it.

Beside it stand, on slices, with one thread and in float32 all of them: the rate at which a thread
multiplies matrices, our scoring and ranking, and the loop that SCAN and its successors evaluate
with: for every caption, attention over the regions of a shard of photos, at the width of our words
and at SCAN's own. These compare processor time, so that other programs on the machine count little.
The bars: at most 4 GB, and 30 times the rate of SCAN's loop at its own width.
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
"""GB"""
RATIO_BAR = 30
SLICE = 640
"""Photos, with their captions, that our rate is measured with beside SCAN's."""
SCAN_SHARD = (128, 64)
"""Photos in a shard of SCAN's, as its code has it, and captions timed with them."""
SCAN_WIDTH = 1024
SMOOTH = 9.0
"""SCAN's inverse temperature of attention."""
SQUARE = 2048
"""Side of the matrices whose product tells the machine's rate."""


def main() -> int:
    """Measure, and print what was found; 1 where a bar is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    lists = Path(os.environ.get("HGAN_DATA", "data")) / "scan_text" / "coco"
    parser.add_argument("--lists", type=Path, default=lists, help="folder of MS-COCO's lists")
    parser.add_argument("--config", help="YAML file with the model's widths, by default HGAN's own")
    parser.add_argument("--photos", type=int, default=5000, help="only the first so many")
    parser.add_argument("--threads", type=int, help="of the whole, by default all processors")
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
    """Random unit rows at a model's widths; captions of one text have one encoding, as in truth."""
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
    texts = captions.texts[: int((captions.image_of < photos).sum())]  # photo by photo in the list
    which = torch.tensor([numbers.setdefault(text, len(numbers)) for text in texts])
    lengths = torch.tensor([len(text.split()) for text in numbers])
    longest = int(lengths.max())
    mask = torch.arange(longest) < lengths[:, None]
    return images, take(encoded(len(numbers), longest, mask), which)


def rank_all(images: Encoded[Tensor], texts: Encoded[Tensor], image_of: np.ndarray) -> None:
    """Score and rank every pair, and keep the best candidates, as an evaluation does."""
    photos, count = len(images.mask), len(texts.mask)
    best = TopK(photos, count, CANDIDATES)
    weights = {name: 1 / len(SIMILARITY) for name in SIMILARITY}

    def score(rows: slice, columns: slice) -> dict[str, Tensor]:
        some, of = take(images, rows), take(texts, columns)
        levels = {name: similarity(some, of) for name, similarity in SIMILARITY.items()}
        return levels | {"S": combine(levels, weights)}

    with torch.inference_mode(), progress("rank", total=photos * count, unit="pairs") as bar:

        def watch(scores: dict[str, Tensor], rows: slice, columns: slice) -> None:
            best.add(scores["S"], rows, columns)
            bar.advance(scores["S"].numel())

        rank(score, image_of[:count], photos, watch=watch)


def print_whole(images: Encoded[Tensor], texts: Encoded[Tensor], image_of: np.ndarray) -> float:
    """Time and memory of the whole ranking; gives the peak in GB."""
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
    print(f"{seconds:.1f} s; {processor:.1f} s of all processors, {micro:.2f} microseconds a pair")
    print(f"peak memory {memory:.2f} GB (bar: {MEMORY_BAR} GB)\n")
    return memory


def print_local(images: Encoded[Tensor], texts: Encoded[Tensor]) -> None:
    """The local level of a tile, beside what a thread can multiply."""
    some, of = take(images, slice(TILE[0])), take(texts, slice(TILE[1]))
    peak = 2 * SQUARE**3 / multiplication_seconds()
    with torch.inference_mode():
        seconds = least_seconds(lambda: local_similarity(some, of), 20)
    peak = max(peak, 2 * SQUARE**3 / multiplication_seconds())
    rate = 2 * int(some.mask.sum()) * int(of.mask.sum()) * some.local.shape[2] / seconds
    print(f"  matrix multiplication    {peak / 1e9:.0f} GFLOP/s in float32")
    print(f"  local level              {rate / 1e9:.0f} GFLOP/s, {rate / peak:.0%} of it")


def print_scan(images: Encoded[Tensor], texts: Encoded[Tensor], image_of: np.ndarray) -> float:
    """Ours, and SCAN's loop at our width of words and at its own; gives the latter's ratio."""
    photos = min(SLICE, len(images.mask))
    count = int((image_of < photos).sum())
    slices = take(images, slice(photos)), take(texts, slice(count))
    seconds = least_seconds(lambda: rank_all(*slices, image_of[:count]), 3)
    ours = 1e6 * seconds / (photos * count)
    print(f"  three levels and ranks   {ours:.2f} microseconds a pair")
    some = texts.mask.sum(1).tolist()[: SCAN_SHARD[1]]
    ratio = 0.0
    for width in (images.local.shape[2], SCAN_WIDTH):
        micro = 1e6 * scan_seconds(width, some) / (SCAN_SHARD[0] * len(some))
        ratio = micro / ours
        print(
            f"  SCAN's loop, width {width:<4}  {micro:.1f} microseconds a pair, "
            f"{ratio:.0f} times ours"
        )
    print(f"  (bar: {RATIO_BAR} times, at width {SCAN_WIDTH})")
    return ratio


def scan_seconds(width: int, lengths: list[int]) -> float:
    """Time of SCAN's evaluation on a shard of photos, and captions of these lengths."""
    rng = torch.Generator().manual_seed(1)
    images = normalize(torch.randn(SCAN_SHARD[0], REGIONS, width, generator=rng), dim=-1)
    texts = normalize(torch.randn(len(lengths), max(lengths), width, generator=rng), dim=-1)
    return least_seconds(lambda: scan_scores(images, texts, lengths))


@torch.inference_mode()
def scan_scores(images: Tensor, texts: Tensor, lengths: list[int]) -> Tensor:
    """Lee et al., ECCV 2018, text to image, mean of words: a caption at a time, as its code is.

    Args:
        images: (B, R, D)
        texts: (T, W, D)
        lengths: of the captions.
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
    """Of a large matrix product."""
    left, right = torch.randn(SQUARE, SQUARE), torch.randn(SQUARE, SQUARE)
    return least_seconds(lambda: left @ right)


def least_seconds(act: Callable[[], object], times: int = 5) -> float:
    """The least processor time of several tries, after one that does not count."""
    act()
    found = []
    for _ in range(times):
        start = time.process_time()
        act()
        found.append(time.process_time() - start)
    return min(found)


if __name__ == "__main__":
    sys.exit(main())
