"""Losses against plain double loops; captions of one photo are never each other's negatives."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from hgan.training.losses import MAX_LOGIT_SCALE, Hinge, InfoNCE, objective

counts = st.lists(st.integers(1, 4), min_size=2, max_size=5)
"""Captions of each photo of a batch."""


def example(captions: list[int], seed: int = 0) -> tuple[Tensor, Tensor]:
    """Scores (B, T) and each caption's photo, the captions shuffled."""
    dice = torch.Generator().manual_seed(seed)
    image_of = torch.repeat_interleave(torch.arange(len(captions)), torch.tensor(captions))
    image_of = image_of[torch.randperm(len(image_of), generator=dice)]
    return torch.rand(len(captions), len(image_of), generator=dice) * 2 - 1, image_of


def naive_infonce(scores: Tensor, image_of: Tensor, scale: float, smoothing: float) -> float:
    logits = (scores.double() * scale).tolist()
    owner = image_of.tolist()
    to_image, to_text = [], []
    for t, own in enumerate(owner):
        column = [row[t] for row in logits]
        log_sum = math.log(sum(map(math.exp, column)))
        target = (1 - smoothing) * column[own] + smoothing * sum(column) / len(column)
        to_image.append(log_sum - target)
        others = [logits[own][u] for u in range(len(owner)) if owner[u] != own]
        positive = logits[own][t]
        log_sum = math.log(math.exp(positive) + sum(map(math.exp, others)))
        spread = sum(others) / len(others)
        to_text.append(log_sum - (1 - smoothing) * positive - smoothing * spread)
    return (sum(to_image) / len(to_image) + sum(to_text) / len(to_text)) / 2


def naive_hinge(scores: Tensor, image_of: Tensor, margin: float, hardest: bool) -> float:
    rows, owner = scores.double().tolist(), image_of.tolist()
    to_image, to_text = [], []
    for t, own in enumerate(owner):
        positive = rows[own][t]
        other_images = [i for i in range(len(rows)) if i != own]
        other_texts = [u for u in range(len(owner)) if owner[u] != own]
        to_image.append([max(0.0, margin + rows[i][t] - positive) for i in other_images])
        to_text.append([max(0.0, margin + rows[own][u] - positive) for u in other_texts])
    total = 0.0
    for losses in (to_image, to_text):
        if hardest:
            total += sum(map(max, losses)) / len(losses)
        else:
            total += sum(map(sum, losses)) / sum(map(len, losses))
    return total


@given(counts, st.integers(0, 99), st.sampled_from([0.0, 0.1]), st.sampled_from([0.05, 0.5]))
def test_infonce_equals_a_double_loop(
    captions: list[int], seed: int, smoothing: float, temperature: float
) -> None:
    scores, image_of = example(captions, seed)
    found = InfoNCE(["S"], temperature, smoothing)("S", scores, image_of)
    expected = naive_infonce(scores, image_of, 1 / temperature, smoothing)
    assert found.item() == pytest.approx(expected, rel=1e-4, abs=1e-5)


@given(counts, st.integers(0, 99), st.booleans(), st.sampled_from([0.05, 0.2, 1.0]))
def test_hinge_equals_a_double_loop(
    captions: list[int], seed: int, hardest: bool, margin: float
) -> None:
    scores, image_of = example(captions, seed)
    hinge = Hinge(margin)
    hinge.hardest = hardest
    found = hinge("S", scores, image_of).item()
    assert found == pytest.approx(naive_hinge(scores, image_of, margin, hardest), abs=1e-5)


CRITERIA = {
    "infonce": InfoNCE(["S"], 0.07, 0.0),
    "smoothed": InfoNCE(["S"], 0.07, 0.1),
    "hinge": Hinge(0.2),
}


@pytest.mark.parametrize("name", CRITERIA)
def test_no_right_pair_is_ever_pushed_apart(name: str) -> None:
    scores, image_of = example([3, 1, 2])
    scores.requires_grad_()
    CRITERIA[name]("S", scores, image_of).backward()
    own = image_of == torch.arange(3)[:, None]
    assert (scores.grad[own] <= 0).all() and scores.grad[own].abs().sum() > 0


def test_a_better_sibling_changes_nothing_for_a_caption_in_the_batch() -> None:
    """A sibling enters its own terms alone: the loss is the sum of what each caption has alone."""
    scores, image_of = example([2, 1, 1])
    first, second = (image_of == 0).nonzero()[:, 0].tolist()
    loss = InfoNCE(["S"], 0.07, 0.0)

    def alone(caption: int) -> Tensor:
        kept = torch.tensor([t for t in range(4) if image_of[t] != 0 or t == caption])
        logits = scores[:, kept] / 0.07
        position = kept.tolist().index(caption)
        to_text = torch.logsumexp(logits[0], 0) - logits[0, position]
        to_image = torch.logsumexp(logits[:, position], 0) - logits[0, position]
        return (to_text + to_image) / 2

    def total() -> float:
        return loss("S", scores, image_of).item() * 4

    before, own_before = total(), alone(first) + alone(second)
    scores[0, second] = 0.99
    after, own_after = total(), alone(first) + alone(second)
    assert after - before == pytest.approx((own_after - own_before).item(), abs=1e-4)


@pytest.mark.parametrize("name", CRITERIA)
def test_extreme_scores_keep_loss_and_gradient_finite(name: str) -> None:
    for fill in (1.0, -1.0, 0.0):
        scores, image_of = example([2, 2, 1])
        scores = torch.full_like(scores, fill)
        scores[0] = -fill
        scores.requires_grad_()
        loss = CRITERIA[name]("S", scores, image_of)
        loss.backward()
        assert torch.isfinite(loss) and torch.isfinite(scores.grad).all()


def test_half_precision_scores_are_compared_in_float32() -> None:
    scores, image_of = example([2, 2, 3])
    for criterion in CRITERIA.values():
        found = criterion("S", scores.bfloat16(), image_of)
        assert found.dtype == torch.float32
        assert found.item() == pytest.approx(
            criterion("S", scores.bfloat16().float(), image_of).item()
        )


def test_the_warm_up_takes_the_mean_of_negatives_and_then_the_hardest() -> None:
    scores = torch.tensor([[0.5, 0.4, 0.1], [0.6, 0.5, 0.0], [0.0, 0.0, 0.5]])
    image_of = torch.arange(3)
    hinge = Hinge(0.2)
    hardest = hinge("S", scores, image_of).item()
    hinge.hardest = False
    mean = hinge("S", scores, image_of).item()
    # From captions: [0.3, 0], [0.1, 0], [0, 0]; from photos: [0.1, 0], [0.3, 0], [0, 0].
    assert hardest == pytest.approx(0.4 / 3 + 0.4 / 3)
    assert mean == pytest.approx(0.4 / 6 + 0.4 / 6)


def test_constant_scores_give_the_loss_that_the_collapse_warning_knows() -> None:
    for photos in (2, 4, 32):  # whatever the batch: a sum would grow with it
        hinge = Hinge(0.2)
        for hinge.hardest in (True, False):
            constant = torch.full((photos, 3 * photos), 0.7)
            found = hinge("S", constant, torch.arange(photos).repeat(3)).item()
            assert found == pytest.approx(0.4)
    image_of = torch.arange(4).repeat(3)
    scores = torch.full((4, 12), 0.7)
    blind = (math.log(4) + math.log(3 * 3 + 1)) / 2
    for smoothing in (0.0, 0.1):
        found = InfoNCE(["S"], 0.05, smoothing)("S", scores, image_of).item()
        assert found == pytest.approx(blind, abs=1e-4)


def test_each_score_learns_a_temperature_of_its_own_within_bounds() -> None:
    criterion = InfoNCE(["context", "S"], 0.05, 0.0)
    scores, image_of = example([1, 2, 1])
    criterion("context", scores, image_of).backward()
    assert criterion.log_scale["context"].grad is not None
    assert criterion.log_scale["S"].grad is None
    with torch.no_grad():
        criterion.log_scale["S"].fill_(20.0)
    found = criterion("S", scores, image_of).item()
    bound = naive_infonce(scores, image_of, MAX_LOGIT_SCALE, 0.0)
    assert found == pytest.approx(bound, rel=1e-4)


def test_the_objective_is_the_mean_over_levels_and_s() -> None:
    image_of = torch.arange(3)
    levels = {name: example([1, 1, 1], seed)[0] for seed, name in enumerate(("context", "local"))}
    combined = 0.5 * levels["context"] + 0.5 * levels["local"]
    hinge = Hinge(0.2)

    def value(scores: Tensor) -> float:
        return hinge("", scores, image_of).item()

    found = objective(hinge, levels, combined, image_of).item()
    each = [value(scores) for scores in (*levels.values(), combined)]
    assert found == pytest.approx(sum(each) / 3)
    alone = {"context": levels["context"]}
    assert objective(hinge, alone, levels["context"], image_of).item() == pytest.approx(each[0])
