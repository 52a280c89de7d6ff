"""How long does it take to rank COCO's 5,000 photos and 25,000 captions, every pair compared?

    python benchmarks/coco5k.py --lists data/scan_text/coco

The captions are those of SCAN's testall list, with their numbers of words; their encodings and the
photos' (36 regions) are drawn at HGAN's widths. All three levels of every pair are scored and
ranked as `hgan evaluate` does it. Beside it stand the machine's rate of matrix multiplication, and
the loop that SCAN and its successors evaluate with, timed on a slice: for every caption, attention
over the regions of a shard of photos.
"""

import argparse
import resource
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity, leaky_relu, normalize

from hgan.config import ModelConfig
from hgan.data.captions import Captions, read_captions
from hgan.encoded import Encoded
from hgan.evaluation.best import Best
from hgan.evaluation.protocols import CANDIDATES
from hgan.evaluation.ranking import rank
from hgan.model.encoding import take
from hgan.model.similarity import SIMILARITY, combine
from hgan.progress import progress

REGIONS = 36
MEMORY_BAR = 4e9
RATIO_BAR = 30
SCAN_WIDTH = 1024
SCAN_SHARD, SCAN_CAPTIONS = 128, 60
SMOOTH = 9.0
"""SCAN's inverse temperature of attention."""
SQUARE = 2048
"""Side of the matrices whose product tells the machine's rate."""


def main() -> None:
    """Measure, and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lists", type=Path, default=Path("data/scan_text/coco"))
    parser.add_argument("--photos", type=int, default=5000, help="only the first so many")
    parser.add_argument("--threads", type=int, help="by default all processors")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    captions = read_captions(options.lists).split("test")
    texts = int((captions.image_of < options.photos).sum())  # the first ones, in such a list
    images, sentences = encodings(captions, options.photos, texts)
    words = int(sentences.mask.sum())
    print(f"{options.photos:,} photos x {REGIONS} regions, {texts:,} captions, {words:,} words; "
          f"{torch.get_num_threads()} threads\n")
    peak = multiplication_rate()
    levels, seconds = rank_all(images, sentences, captions.image_of[:texts])
    peak = max(peak, multiplication_rate())
    print_ranking(levels, seconds, options.photos * texts)
    print_local(levels["local"], options.photos * REGIONS * words, peak)
    lengths = sentences.mask[:: texts // SCAN_CAPTIONS].sum(1).tolist()
    print_scan(1e6 * seconds / (options.photos * texts), lengths)


def encodings(
    captions: Captions, photos: int, texts: int
) -> tuple[Encoded[Tensor], Encoded[Tensor]]:
    """Random unit rows at HGAN's widths; captions of one text have one encoding, as in truth."""
    dice, model = torch.Generator().manual_seed(0), ModelConfig()

    def units(*shape: int) -> Tensor:
        return normalize(torch.randn(*shape, generator=dice), dim=-1)

    def encoded(count: int, rows: int, mask: Tensor) -> Encoded[Tensor]:
        return Encoded(
            context=units(count, model.width),
            slots=units(count, model.slots, model.slot_width),
            local=units(count, rows, model.local_width).mul_(mask[..., None]),
            mask=mask,
        )

    images = encoded(photos, REGIONS, torch.ones(photos, REGIONS, dtype=torch.bool))
    numbers: dict[str, int] = {}
    which = torch.tensor([numbers.setdefault(t, len(numbers)) for t in captions.texts[:texts]])
    lengths = torch.tensor([len(text.split()) for text in numbers])
    longest = int(lengths.max())
    mask = torch.arange(longest) < lengths[:, None]
    return images, take(encoded(len(numbers), longest, mask), which)


def rank_all(
    images: Encoded[Tensor], texts: Encoded[Tensor], image_of: np.ndarray
) -> tuple[dict[str, float], float]:
    """Score and rank every pair; gives the seconds of each level, and of everything."""
    photos, count = len(images.mask), len(texts.mask)
    spent = dict.fromkeys(SIMILARITY, 0.0)
    best = Best(photos, count, CANDIDATES)
    weights = {name: 1 / len(SIMILARITY) for name in SIMILARITY}

    def score(rows: slice, columns: slice) -> dict[str, Tensor]:
        some, of = take(images, rows), take(texts, columns)
        levels = {}
        for name, similarity in SIMILARITY.items():
            start = time.perf_counter()
            levels[name] = similarity(some, of)
            spent[name] += time.perf_counter() - start
        return levels | {"S": combine(levels, weights)}

    with torch.inference_mode(), progress("rank", total=photos * count, unit="pairs") as bar:
        def watch(scores: dict[str, Tensor], rows: slice, columns: slice) -> None:
            best.add(scores["S"], rows, columns)
            bar.advance(scores["S"].numel())

        start = time.perf_counter()
        rank(score, image_of, photos, watch=watch)
        return spent, time.perf_counter() - start


def print_ranking(levels: dict[str, float], seconds: float, pairs: int) -> None:
    """Time and memory of the whole ranking."""
    parts = ", ".join(f"{name} {value:.1f}" for name, value in levels.items())
    rest = seconds - sum(levels.values())
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(f"all levels, ranks and best candidates  {seconds:.1f} s, {1e6 * seconds / pairs:.3f} "
          "microseconds a pair")
    print(f"  of these, seconds for                {parts}, ranking {rest:.1f}")
    print(f"peak memory                            {memory / 1e9:.2f} GB, "
          f"the bar is {MEMORY_BAR / 1e9:.0f} GB")


def print_local(seconds: float, comparisons: int, peak: float) -> None:
    """How near the local level comes to what the machine can multiply."""
    rate = 2 * comparisons * ModelConfig().local_width / seconds
    print(f"matrix multiplication here             {peak / 1e9:.0f} GFLOP/s in float32")
    print(f"local level, masks and maxima included {rate / 1e9:.0f} GFLOP/s, {rate / peak:.0%}\n")


def print_scan(ours: float, lengths: list[int]) -> None:
    """The loop over captions, at HGAN's width of words and at SCAN's own."""
    for width in (ModelConfig().local_width, SCAN_WIDTH):
        micro = scan_microseconds(width, lengths)
        print(f"SCAN's loop, width {width:<4}                {micro:.1f} microseconds a pair: "
              f"{micro / ours:.0f} times as long")
    print(f"  the bar is {RATIO_BAR} times\n")


def scan_microseconds(width: int, lengths: list[int]) -> float:
    """Time of a pair in SCAN's evaluation, on a shard of photos and captions of these lengths."""
    dice = torch.Generator().manual_seed(1)
    images = normalize(torch.randn(SCAN_SHARD, REGIONS, width, generator=dice), dim=-1)
    texts = normalize(torch.randn(len(lengths), max(lengths), width, generator=dice), dim=-1)
    seconds = best_of(lambda: scan_scores(images, texts, lengths), 3)
    return 1e6 * seconds / (SCAN_SHARD * len(lengths))


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


def multiplication_rate() -> float:
    """Floating-point operations a second of a large matrix product."""
    left, right = torch.randn(SQUARE, SQUARE), torch.randn(SQUARE, SQUARE)
    return 2 * SQUARE**3 / best_of(lambda: left @ right, 5)


def best_of(act: Callable[[], object], times: int) -> float:
    """The least seconds of several tries: others may use the machine."""
    act()
    found = []
    for _ in range(times):
        start = time.perf_counter()
        act()
        found.append(time.perf_counter() - start)
    return min(found)


if __name__ == "__main__":
    main()
