"""SGR and SAF compared with loops that follow the paper pair by pair."""

from dataclasses import replace
from typing import Literal

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from hgan.encoded import Encoded
from hgan.model.baselines.sgraf import SGRAF, Filtration, Gather, SGRAFConfig
from hgan.model.baselines.similarity import SimilarityVector
from tests.fixtures.networks import WIDTH, captions, encoded, photos, text_encoder

Reasoning = Literal["sgr", "saf"]
D = 6
sizes = st.integers(1, 4)
both = pytest.mark.parametrize("reasoning", ["sgr", "saf"])


def network(reasoning: Reasoning, batch_norm: bool = False) -> SGRAF:
    torch.manual_seed(2)
    config = SGRAFConfig(
        width=D, dropout=0.3, similarity_width=5, reasoning=reasoning, batch_norm=batch_norm
    )
    return SGRAF(config, WIDTH, text_encoder()).eval()


def items(count: int, rows: int, seed: int, full: bool = True) -> Encoded[Tensor]:
    """Items whose contexts are as wide as their rows."""
    made = encoded(count, rows, seed, full=full, width=D)
    return replace(made, context=encoded(count, 1, seed + 50, full=True, width=D).local[:, 0])


def naive_vector(layer: nn.Linear, x: Tensor, y: Tensor) -> Tensor:
    """Equation 1."""
    found = layer.weight @ (x - y) ** 2 + layer.bias
    return found / found.norm()


def naive_nodes(net: SGRAF, photo: Tensor, regions: Tensor, text: Tensor, words: Tensor) -> Tensor:
    """The global similarity vector of a pair, then one a word; equations 1 to 4."""
    nodes = [naive_vector(net.compare_whole.weight, photo, text)]
    above = (words @ regions.T).clamp_min(0)  # of unit rows
    for word, row in zip(words, above, strict=True):
        lengths = above.norm(dim=0)
        shares = torch.where(lengths > 0, row / lengths, row)
        attended = ((9.0 * shares).softmax(0)[:, None] * regions).sum(0)
        nodes.append(naive_vector(net.compare_local.weight, attended / attended.norm(), word))
    return torch.stack(nodes)


def naive_reasoning(net: SGRAF, nodes: Tensor) -> Tensor:
    """What is read out of the nodes of a pair: three graph steps, or a weighted mean."""
    if isinstance(net.reasoning, Filtration):
        gates = torch.sigmoid(net.reasoning.importance(nodes)[:, 0])
        total = sum((g * n for g, n in zip(gates, nodes, strict=True)), torch.zeros(5))
        return total / total.norm()
    for step in net.reasoning.steps:
        edges = (step.into(nodes) @ step.out(nodes).T).softmax(-1)
        nodes = torch.relu(step.update(edges @ nodes))
    return nodes[0]


def naive(net: SGRAF, images: Encoded[Tensor], texts: Encoded[Tensor]) -> Tensor:
    scores = torch.empty(len(images.mask), len(texts.mask))
    for i, real in enumerate(images.mask):
        for t, said in enumerate(texts.mask):
            photo, text = images.context[i], texts.context[t]
            nodes = naive_nodes(net, photo, images.local[i][real], text, texts.local[t][said])
            scores[i, t] = torch.sigmoid(net.score(naive_reasoning(net, nodes)))[0]
    return scores


@pytest.mark.slow
@both
@given(sizes, sizes, st.integers(1, 5), st.integers(1, 5), st.integers(0, 99))
def test_equals_a_loop_over_pairs_for_any_mask(
    reasoning: Reasoning, b: int, t: int, regions: int, words: int, seed: int
) -> None:
    net = network(reasoning)
    # Captions may have no word at all: the global similarity is left.
    images, texts = items(b, regions, seed), items(t, words, seed + 1, full=False)
    found = net.levels(images, texts)["reasoning"]
    torch.testing.assert_close(found, naive(net, images, texts), atol=1e-5, rtol=0)


@both
def test_gradients_equal_those_of_the_loop(reasoning: Reasoning) -> None:
    """Blocks are computed again in the backward pass; the gradients must be complete."""
    net, images, texts = network(reasoning), items(3, 4, 0), items(4, 5, 1)
    inputs = (images.local, images.context, texts.local, texts.context)
    inputs = (*(x.requires_grad_() for x in inputs), *net.score.parameters())
    inputs = (*inputs, *net.reasoning.parameters(), net.compare_local.weight.weight)
    # Encoders multiply padding by zero. It is left out here, as its gradient has no effect.
    images, texts = (replace(x, local=x.local * x.mask[..., None]) for x in (images, texts))
    found = torch.autograd.grad(
        net.levels(images, texts)["reasoning"].sum(), inputs, retain_graph=True
    )
    expected = torch.autograd.grad(naive(net, images, texts).sum(), inputs)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-3)


@both
def test_items_without_anything_have_finite_scores_and_gradients(reasoning: Reasoning) -> None:
    net, images, texts = network(reasoning), items(3, 4, 0), items(2, 4, 1)
    images.mask[0], texts.mask[0] = False, False
    for x in (images.local, images.context, texts.local, texts.context):
        x[0] = 0.0
        x.requires_grad_()
    scores = net.levels(images, texts)["reasoning"]
    assert ((scores > 0) & (scores < 1)).all()
    scores.sum().backward()
    inputs = (images.local, images.context, texts.local, texts.context)
    assert all(torch.isfinite(x.grad).all() for x in inputs)


def test_a_similarity_vector_of_a_case_by_hand() -> None:
    compare = SimilarityVector(2, 2)
    with torch.no_grad():
        compare.weight.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 3.0]]))
        compare.weight.bias.zero_()
    weights = torch.tensor([[[1.0, 0.0], [0.5, 1.0]]])  # of two keys in two sums
    keys = torch.tensor([[[2.0, -1.0], [2.0, 2.0]]])  # sums (3, 0) and (2, 2)
    found = compare(weights, keys, torch.tensor([[[1.0, 1.0], [2.0, 2.0]]]))  # squares 4, 1; 0, 0
    torch.testing.assert_close(found, torch.tensor([[[0.8, 0.6], [0.0, 0.0]]]))


def test_gathering_attends_from_the_mean() -> None:
    gather = Gather(4, 0.0)
    made = encoded(3, 5, seed=4, full=True, width=4)
    found = gather(made.local, made.mask)
    for item, rows, real in zip(found, made.local, made.mask, strict=True):
        rows = rows[real]
        both = gather.key(rows).tanh() * gather.query(rows.mean(0)).tanh()
        weights = (both @ gather.score.weight[0] + gather.score.bias).softmax(0)
        expected = weights @ rows
        torch.testing.assert_close(item, expected / expected.norm())


def test_batch_norm_of_regions_counts_no_padding_and_leaks_nothing_in_evaluation() -> None:
    torch.manual_seed(0)
    gather, made = Gather(4, 0.0, batch_norm=True), encoded(6, 5, seed=4, full=True, width=4)
    longer = replace(made, local=F.pad(made.local, (0, 0, 0, 3)), mask=F.pad(made.mask, (0, 3)))
    found = gather(longer.local, longer.mask)
    torch.testing.assert_close(found, gather(made.local, made.mask))
    gather.eval()
    together = gather(made.local, made.mask)
    alone = [gather(made.local[i : i + 1], made.mask[i : i + 1])[0] for i in range(6)]
    torch.testing.assert_close(together, torch.stack(alone))


def test_batch_norm_of_gates_is_over_all_photos_of_a_caption() -> None:
    """One caption at a time, as in the authors' code, also for the running statistics."""
    torch.manual_seed(0)
    config = SGRAFConfig(width=D, similarity_width=5, reasoning="saf", batch_norm=True)
    net, images, texts = SGRAF(config, WIDTH, text_encoder()), items(5, 4, 0), items(4, 5, 1)
    assert isinstance(net.reasoning, Filtration)
    with torch.no_grad():
        net.reasoning.norm.weight.fill_(3.0)
        net.reasoning.norm.bias.fill_(0.5)
    found = net.levels(images, texts)["reasoning"]
    means = net.reasoning.norm.running_mean.clone()
    net.reasoning.norm.reset_running_stats()
    for t in texts.mask.sum(1).argsort(stable=True):
        nodes = torch.stack([
            naive_nodes(
                net, images.context[i], images.local[i][real], texts.context[t],
                texts.local[t][texts.mask[t]],
            )
            for i, real in enumerate(images.mask)
        ])  # fmt: skip
        importance = net.reasoning.importance(nodes)  # (B, n, 1)
        gates = torch.sigmoid(net.reasoning.norm(importance.transpose(1, 2)))  # (B, 1, n)
        pooled = F.normalize((gates @ nodes)[:, 0] / gates.sum(2), dim=-1)
        expected = torch.sigmoid(net.score(pooled))[:, 0]
        torch.testing.assert_close(found[:, t], expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(means, net.reasoning.norm.running_mean)


def test_batch_norm_of_a_caption_is_over_its_nodes_with_all_photos_in_training() -> None:
    torch.manual_seed(0)
    net = network("saf", batch_norm=True).train()
    images, texts = items(20, 5, seed=1), items(18, 4, seed=2, full=False)
    together = net.compare(images, texts)["reasoning"]  # (20, 18): more than a block each way
    for t in range(18):
        one = Encoded(
            texts.context[t : t + 1],
            texts.slots[t : t + 1],
            texts.local[t : t + 1],
            texts.mask[t : t + 1],
        )
        torch.testing.assert_close(together[:, t], net.compare(images, one)["reasoning"][:, 0])


@both
def test_context_and_rows_are_units(reasoning: Reasoning) -> None:
    net = network(reasoning)
    for found in (net.encode_image(photos()), net.encode_text(captions())):
        torch.testing.assert_close(found.context.norm(dim=-1), torch.ones(len(found.context)))
        torch.testing.assert_close(found.local.norm(dim=-1), found.mask.float())
