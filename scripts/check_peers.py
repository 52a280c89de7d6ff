"""Compare our baselines with their authors' own code: same weights, same inputs.

    git clone https://github.com/woodfrog/vse_infty
    git clone https://github.com/Paranioar/SGRAF
    git clone https://github.com/kuanghuei/SCAN
    python scripts/check_peers.py --vse-infinity vse_infty --sgraf SGRAF --scan SCAN

Both implementations get the same random weights, regions and words of several lengths. The table
has the largest difference of their scores, and of their gradients with respect to regions, words
and weights, as a part of the largest gradient; and that of the scores of new inputs after both
have been trained, each by itself, on the same batches. Batch norm and dropout are as in
evaluation; VSE-infinity is also compared as in training. Losses of the authors' code are compared
on its scores.

The authors' code is run, so only name folders that you trust.
"""

import argparse
import importlib
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, NamedTuple

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from transformers import BertConfig, BertModel

from hgan.model.baselines.baseline import Baseline
from hgan.model.matchers import build_matcher, matcher_config
from hgan.text.transformer import TransformerEncoder
from hgan.training.losses.hinge import Hinge, HingeConfig

PHOTOS, REGIONS, IMAGE_WIDTH, TEXT_WIDTH, WIDTH = 16, 36, 64, 48, 96
LENGTHS = [3 + t % 9 for t in range(PHOTOS)]
"""Number of words of each caption; as many captions as photos, as the authors' losses expect."""
TOLERANCE = 1e-4
STEPS = 20
"""Steps of Adam on batches of new inputs, with the hinge on the hardest negative."""

Score = Callable[[Tensor, Tensor], Tensor]
"""Scores (B, T) of regions (B, R, D_v) and of padded words (T, W, D_t)."""
Pairs = Sequence[tuple[nn.Module, nn.Module]]
"""Modules of ours and of the authors that have the same weights."""


class Difference(NamedTuple):
    """The largest difference of scores, of gradients as a part of the largest, and of scores after
    training; None for a loss, which is not trained."""

    scores: float
    gradients: float
    trained: float | None = None


def main() -> int:
    """Print a row for each method; the exit code is 1 if one differs."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--vse-infinity", type=Path, metavar="FOLDER", help="woodfrog/vse_infty")
    parser.add_argument("--sgraf", type=Path, metavar="FOLDER", help="Paranioar/SGRAF")
    parser.add_argument("--scan", type=Path, metavar="FOLDER", help="kuanghuei/SCAN")
    chosen = parser.parse_args()
    rows: list[tuple[str, Difference]] = []
    warnings.filterwarnings("ignore", message="Implicit dimension choice for softmax")
    if chosen.vse_infinity:
        rows += check_vse_infinity(chosen.vse_infinity)
    if chosen.sgraf:
        rows += check_sgraf(chosen.sgraf)
    if chosen.scan:
        rows += check_scan(chosen.scan)
    if not rows:
        parser.error("name at least one folder")
    table = Table("method", "scores", "gradients", f"scores after {STEPS} steps")
    for name, found in rows:
        table.add_row(name, *("" if value is None else f"{value:.1e}" for value in found))
    Console().print(table)
    values = [value for _, found in rows for value in found if value is not None]
    return int(any(value > TOLERANCE for value in values))


def check_vse_infinity(folder: Path) -> Iterator[tuple[str, Difference]]:
    """Regions, words, pooling and loss, in evaluation and in training."""
    with authors(folder, "lib.modules.resnet"):
        encoders = importlib.import_module("lib.encoders")
        losses = importlib.import_module("lib.loss")
    net = ours(name="vse_infinity", norm=False, residual=True, end_tokens=True)
    image, linear, pool = (
        encoders.EncoderImageAggr(IMAGE_WIDTH, WIDTH),
        nn.Linear(TEXT_WIDTH, WIDTH),
        encoders.GPO(32, 32),
    )
    mlp = image.mlp
    pairs = [
        (net.project_regions[-1], image.fc), (net.project_words[-1], linear),
        (net.residual.hidden, mlp.layers[0]), (net.residual.out, mlp.layers[1]),
        (net.residual.norm, mlp.bns[0]),
        (net.pool_regions.gru, image.gpool.gru), (net.pool_regions.score, image.gpool.linear),
        (net.pool_words.gru, pool.gru), (net.pool_words.score, pool.linear),
    ]  # fmt: skip

    def score(regions: Tensor, words: Tensor) -> Tensor:
        photos = image(regions, torch.full((PHOTOS,), REGIONS))
        sentences, _ = pool(linear(words), torch.tensor(LENGTHS))
        return photos @ encoders.l2norm(sentences, dim=-1).T

    for mode in (False, True):
        net.train(mode)
        image.train(mode)
        yield f"VSE-infinity, {'training' if mode else 'evaluation'}", compare(net, score, pairs)
    for hardest in (False, True):
        theirs = losses.ContrastiveLoss(None, 0.2, hardest)
        own = Hinge(HingeConfig(margin=0.2, reduction="sum"), ["context"])
        own.hardest = hardest
        yield f"hinge, {'hardest' if hardest else 'all'} negatives", compare_losses(own, theirs)


def check_sgraf(folder: Path) -> Iterator[tuple[str, Difference]]:
    """SGR and SAF, as in evaluation."""
    with authors(folder):
        model = importlib.import_module("model")
    for kind in ("SGR", "SAF"):
        net = ours(name="sgraf", reasoning=kind.lower(), norm=False, leak=0.1, batch_norm=True)
        image, text = model.EncoderImage(IMAGE_WIDTH, WIDTH), nn.Linear(TEXT_WIDTH, WIDTH)
        pairs_of = model.EncoderSimilarity(WIDTH, net.config.similarity_width, kind).eval()
        pairs = [(net.project_regions[-1], image.fc), (net.project_words[-1], text)]
        for own, theirs in ((net.gather_regions, pairs_of.v_global_w),
                            (net.gather_words, pairs_of.t_global_w)):  # fmt: skip
            pairs += [
                (own.key, theirs.embedding_local[0]), (own.query, theirs.embedding_global[0]),
                (own.score, theirs.embedding_common[0]),
            ]  # fmt: skip
        pairs += [
            (net.compare_whole.weight, pairs_of.sim_tranglo_w),
            (net.compare_local.weight, pairs_of.sim_tranloc_w), (net.score, pairs_of.sim_eval_w),
        ]  # fmt: skip
        if kind == "SAF":
            pairs += [(net.reasoning.importance, pairs_of.SAF_module.attn_sim_w)]
        else:
            for own, theirs in zip(net.reasoning.steps, pairs_of.SGR_module, strict=True):
                pairs += [
                    (own.into, theirs.graph_query_w), (own.out, theirs.graph_key_w),
                    (own.update, theirs.sim_graph_w),
                ]  # fmt: skip

        def score(
            regions: Tensor, words: Tensor, image: Any = image, text: Any = text, of: Any = pairs_of
        ) -> Tensor:
            found: Tensor = of(image(regions), model.l2norm(text(words), dim=-1), LENGTHS)
            return found

        yield kind, compare(net, score, pairs, scale=2.5)


def check_scan(folder: Path) -> Iterator[tuple[str, Difference]]:
    """Both directions of the attention, with both aggregations."""
    with authors(folder, "torchvision", "torchvision.models"):
        model = importlib.import_module("model")
    scores = {"t2i": model.xattn_score_t2i, "i2t": model.xattn_score_i2t}
    for attention, softmax, lse in (("t2i", 9.0, 6.0), ("i2t", 4.0, 5.0)):
        for aggregation in ("mean", "lse"):
            net = ours(name="scan", attention=attention, aggregation=aggregation,
                       norm=False, leak=0.1)  # fmt: skip
            image = model.EncoderImagePrecomp(IMAGE_WIDTH, WIDTH)
            text = nn.Linear(TEXT_WIDTH, WIDTH)
            options = SimpleNamespace(
                raw_feature_norm="clipped_l2norm", lambda_softmax=softmax, lambda_lse=lse,
                agg_func={"mean": "Mean", "lse": "LogSumExp"}[aggregation],
            )  # fmt: skip

            def score(
                regions: Tensor, words: Tensor, image: Any = image, text: Any = text,
                of: Any = scores[attention], options: Any = options,
            ) -> Tensor:  # fmt: skip
                sentences = model.l2norm(text(words), dim=-1)
                found: Tensor = of(image(regions), sentences, LENGTHS, options)
                return found

            pairs = [(net.project_regions[-1], image.fc), (net.project_words[-1], text)]
            yield f"SCAN {attention}, {aggregation}", compare(net, score, pairs)


# --- what the checks share


@contextmanager
def authors(folder: Path, *missing: str) -> Iterator[None]:
    """Import modules of the authors from this folder; those that are `missing` are not needed, and
    everything in them is None."""
    if not folder.is_dir():
        sys.exit(f"{folder}: no such folder; clone the authors' repository first")
    before = set(sys.modules)

    class Empty(ModuleType):
        def __getattr__(self, name: str) -> None:
            if name.startswith("__"):
                raise AttributeError(name)

    for name in missing:
        sys.modules[name] = Empty(name)
    sys.path.insert(0, str(folder.resolve()))
    try:
        yield
    finally:
        sys.path.remove(str(folder.resolve()))
        for name in set(sys.modules) - before:
            if name == "model" or name.split(".")[0] == "lib" or name in missing:
                del sys.modules[name]


def ours(**settings: Any) -> Any:
    """A baseline of ours, as in evaluation."""
    torch.manual_seed(0)
    small = BertConfig(
        vocab_size=9, hidden_size=TEXT_WIDTH, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=8,
    )  # fmt: skip
    text = TransformerEncoder(BertModel(small, add_pooling_layer=False), [0, 1, 2], 3)
    net = build_matcher(matcher_config({"width": WIDTH, **settings}), IMAGE_WIDTH, text)
    assert isinstance(net, Baseline)
    return net.eval()


def compare(net: Baseline, score: Score, pairs: Pairs, scale: float = 1.0) -> Difference:
    """Give both the same weights, and compare scores and gradients; `scale` is that of the weights,
    larger where scores would hardly differ."""
    rng = torch.Generator().manual_seed(1)
    for own, theirs in pairs:
        values = theirs.state_dict()
        for name, x in values.items():
            if x.is_floating_point() and "running" not in name:
                values[name] = scale * x + 0.3 * x.std(correction=0) * torch.randn(
                    x.shape, generator=rng
                )
        theirs.load_state_dict(values)
        kept = own.state_dict()  # of an attention's bias, only one is needed
        own.load_state_dict({name: x for name, x in values.items() if name in kept})
    real = torch.arange(max(LENGTHS)) < torch.tensor(LENGTHS)[:, None]  # (T, W)
    everywhere = torch.ones(PHOTOS, REGIONS, dtype=torch.bool)

    def own_score(regions: Tensor, words: Tensor) -> Tensor:
        return net.similarity(
            net.encode_regions(regions, everywhere), net.encode_words(words, real)
        )

    inputs = random_inputs(rng)
    weight = torch.randn(PHOTOS, PHOTOS, generator=rng)
    both = (
        (own_score, weights_of(own for own, _ in pairs)),
        (score, weights_of(theirs for _, theirs in pairs)),
    )
    results = []
    for scored, parameters in both:
        leaves = [x.clone().requires_grad_() for x in inputs]
        found = scored(*leaves)
        got = torch.autograd.grad((found * weight).sum(), [*leaves, *parameters])
        results.append((found.detach(), got))
    (one, first), (other, second) = results
    apart = max(float((a - b).abs().max()) for a, b in zip(first, second, strict=True))
    largest = max(float(x.abs().max()) for x in second)
    one_trained, other_trained = (trained(*scored) for scored in both)
    return Difference(
        float((one - other).abs().max()),
        apart / largest,
        float((one_trained - other_trained).abs().max()),
    )


def random_inputs(rng: torch.Generator) -> list[Tensor]:
    """Regions (B, R, D_v) and words (T, W, D_t) with something in common in each pair."""
    regions = torch.randn(PHOTOS, REGIONS, IMAGE_WIDTH, generator=rng)
    words = torch.randn(PHOTOS, max(LENGTHS), TEXT_WIDTH, generator=rng)
    shown = torch.randn(PHOTOS, 1, IMAGE_WIDTH, generator=rng)
    return [regions + shown, words + shown[..., :TEXT_WIDTH]]


def weights_of(modules: Iterable[nn.Module]) -> list[nn.Parameter]:
    """All weights in a fixed order, without biases, of which the authors can have two for one."""
    return [p for m in modules for n, p in sorted(m.named_parameters()) if "weight" in n]


def trained(score: Score, parameters: list[nn.Parameter]) -> Tensor:
    """Scores (B, T) of the last inputs, after training on those before."""
    rng = torch.Generator().manual_seed(2)
    hinge = Hinge(HingeConfig(margin=0.2, reduction="sum"), ["S"])
    hinge.hardest = True
    optimizer = torch.optim.Adam(parameters, lr=1e-3)
    for _ in range(STEPS):
        optimizer.zero_grad()
        hinge("S", score(*random_inputs(rng)), torch.arange(PHOTOS)).backward()
        optimizer.step()
    with torch.no_grad():
        return score(*random_inputs(rng))


def compare_losses(own: nn.Module, theirs: nn.Module) -> Difference:
    """Compare two losses of the cosines of random vectors, and their gradients; both as a part."""
    rng = torch.Generator().manual_seed(1)
    vectors = nn.functional.normalize(torch.randn(2, PHOTOS, WIDTH, generator=rng), dim=-1)
    image_of = torch.arange(PHOTOS)
    results = []
    for loss in (lambda x: own("context", x[0] @ x[1].T, image_of), lambda x: theirs(x[0], x[1])):
        leaf = vectors.clone().requires_grad_()
        value = loss(leaf)
        results.append((value.detach(), torch.autograd.grad(value, leaf)[0]))
    (one, first), (other, second) = results
    return Difference(
        float((one - other).abs() / other), float((first - second).abs().max() / second.abs().max())
    )


if __name__ == "__main__":
    sys.exit(main())
