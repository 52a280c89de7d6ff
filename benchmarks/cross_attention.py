"""Compare the speed of SCAN and SGRAF with that of plain code that computes the same.

    python benchmarks/cross_attention.py
    python benchmarks/cross_attention.py --widths 256 --captions 384 --rounds 9

Both get the same random regions and words of unit length; captions have 5 to 19 words. A training
step is the scores of all pairs, a loss, and the gradients of regions, words and parameters; the
encoders, which are the same, are left out. The losses are the hinge on the hardest negatives, as in
the papers of both methods, and InfoNCE, as in `configs/baselines/`. The plain code is that of the
tests, `tests/fixtures/cross_attention.py`.

Both run in turn, and the median of the ratios of their processor times is printed: other programs
on the machine change the times, but hardly the ratios. SGRAF is the ensemble of SGR and SAF. The
script ends with an error if scores differ by more than 0.0001.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.nn.functional import normalize
from transformers import BertConfig, BertModel

from hgan.encoded import Encoded
from hgan.model.baselines.scan import SCAN, SCANConfig
from hgan.model.baselines.sgraf import SGRAF, SGRAFConfig
from hgan.model.matcher import Matcher
from hgan.text.transformer import TransformerEncoder
from hgan.training.losses.hinge import Hinge, HingeConfig
from hgan.training.losses.infonce import InfoNCE, InfoNCEConfig

sys.path.append(str(Path(__file__).parents[1]))  # for the plain code, which is in the tests
from tests.fixtures.cross_attention import plain_scores

REGIONS = 36
LENGTHS = (5, 20)
"""Range of the number of words of a caption."""
TOLERANCE = 1e-4
"""Maximum difference of scores."""
NARROWER = 4
"""Similarity vectors are this many times narrower than regions, as in the paper of SGRAF."""
METHODS: dict[str, list[dict[str, Any]]] = {
    "SCAN t2i": [{"attention": "t2i"}],
    "SCAN i2t, LSE": [{"attention": "i2t", "aggregation": "lse"}],
    "SGR": [{"reasoning": "sgr"}],
    "SAF": [{"reasoning": "saf"}],
    "SGRAF": [{"reasoning": "sgr"}, {"reasoning": "saf"}],
}

Scorer = Callable[[Matcher, Encoded[Tensor], Encoded[Tensor]], Tensor]


@dataclass(frozen=True)
class Row:
    """A measurement: median processor time of ours in seconds, and median ratio of the times of
    plain code to ours."""

    seconds: float
    ratio: float


def main() -> int:
    """Measure all methods, and print a table; return 1 if scores differ."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--widths", type=int, nargs="+", default=[256, 1024], help="width D")
    parser.add_argument("--photos", type=int, default=128, help="photos in a batch")
    parser.add_argument("--captions", type=int, default=128, help="captions in a batch")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--rounds", type=int, default=5, help="number of alternating pairs")
    options = parser.parse_args()
    torch.set_num_threads(1)
    table = Table(
        title=f"{options.photos} photos with {REGIONS} regions, {options.captions} captions, one "
        f"thread; {options.rounds} rounds: times as fast as plain code",
        title_justify="left",
    )
    for column in ("method", "width", "step, hinge", "step, InfoNCE", "evaluation", "difference"):
        table.add_column(column, justify="left" if column == "method" else "right")
    worst = 0.0
    for width in options.widths:
        images, texts = batch(options.photos, options.captions, width)
        for method in options.methods:
            networks = [network(width, settings) for settings in METHODS[method]]
            difference = largest_difference(networks, images, texts)
            worst = max(worst, difference)
            rows = measure(networks, images, texts, options.rounds)
            pairs = options.photos * options.captions
            table.add_row(
                method, str(width),
                *(f"{row.ratio:.2f} ({1e3 * row.seconds:,.0f} ms)" for row in rows[:2]),
                f"{rows[2].ratio:.2f} ({1e6 * rows[2].seconds / pairs:.1f} us a pair)",
                f"{difference:.0e}",
            )  # fmt: skip
    Console(width=120).print(table)
    return int(worst > TOLERANCE)


def batch(photos: int, captions: int, width: int) -> tuple[Encoded[Tensor], Encoded[Tensor]]:
    """Random photos and captions."""
    rng = torch.Generator().manual_seed(0)

    def encoded(count: int, mask: Tensor) -> Encoded[Tensor]:
        local = normalize(torch.randn(*mask.shape, width, generator=rng), dim=-1)
        context = normalize(torch.randn(count, width, generator=rng), dim=-1)
        return Encoded(context, torch.zeros(count, 0, 0), local * mask[..., None], mask)

    lengths = torch.randint(*LENGTHS, (captions, 1), generator=rng)
    images = encoded(photos, torch.ones(photos, REGIONS, dtype=torch.bool))
    return images, encoded(captions, torch.arange(int(lengths.max())) < lengths)


def network(width: int, settings: dict[str, Any]) -> Matcher:
    """An untrained network; its encoders are not used."""
    torch.manual_seed(0)
    small = BertConfig(
        vocab_size=8, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8
    )
    text = TransformerEncoder(BertModel(small, add_pooling_layer=False), [0], 1)
    if "reasoning" in settings:
        narrow = width // NARROWER
        return SGRAF(SGRAFConfig(width=width, similarity_width=narrow, **settings), width, text)
    return SCAN(SCANConfig(width=width, **settings), width, text)


def fast_scores(net: Matcher, images: Encoded[Tensor], texts: Encoded[Tensor]) -> Tensor:
    """Scores (B, T) of the only level."""
    return next(iter(net.levels(images, texts).values()))


@torch.inference_mode()
def largest_difference(
    networks: Sequence[Matcher], images: Encoded[Tensor], texts: Encoded[Tensor]
) -> float:
    """The largest difference of a score."""
    return max(
        float((fast_scores(net, images, texts) - plain_scores(net, images, texts)).abs().max())
        for net in networks
    )


def measure(
    networks: Sequence[Matcher], images: Encoded[Tensor], texts: Encoded[Tensor], rounds: int
) -> list[Row]:
    """A training step with both losses, and evaluation."""
    image_of = torch.arange(len(texts.mask)) % len(images.mask)
    rows = []
    for loss in (Hinge(HingeConfig(), ["S"]), InfoNCE(InfoNCEConfig(), ["S"])):
        ours, plain = (
            [step(net, scorer, images, texts, loss, image_of) for net in networks]
            for scorer in (fast_scores, plain_scores)
        )
        rows.append(compare(together(ours), together(plain), rounds))

    def evaluation(scorer: Scorer) -> Callable[[], None]:
        def act() -> None:
            with torch.inference_mode():
                for net in networks:
                    scorer(net, images, texts)

        return act

    return [*rows, compare(evaluation(fast_scores), evaluation(plain_scores), rounds)]


def step(
    net: Matcher,
    scorer: Scorer,
    images: Encoded[Tensor],
    texts: Encoded[Tensor],
    loss: nn.Module,
    image_of: Tensor,
) -> Callable[[], None]:
    """A training step, without encoders and optimiser."""

    def leaf(x: Tensor) -> Tensor:
        return x.clone().requires_grad_()

    leaves = [replace(x, context=leaf(x.context), local=leaf(x.local)) for x in (images, texts)]

    def act() -> None:
        net.zero_grad()
        for x in leaves:
            x.context.grad = x.local.grad = None
        loss("S", scorer(net, *leaves), image_of).backward()

    return act


def together(acts: Sequence[Callable[[], None]]) -> Callable[[], None]:
    """All of these, one after the other."""

    def act() -> None:
        for one in acts:
            one()

    return act


def compare(ours: Callable[[], None], plain: Callable[[], None], rounds: int) -> Row:
    """Run both in turn, after a round that does not count."""
    pairs = [(seconds(plain), seconds(ours)) for _ in range(rounds + 1)][1:]
    return Row(
        statistics.median(mine for _, mine in pairs),
        statistics.median(other / mine for other, mine in pairs),
    )


def seconds(act: Callable[[], None]) -> float:
    """Processor time."""
    start = time.process_time()
    act()
    return time.process_time() - start


if __name__ == "__main__":
    sys.exit(main())
