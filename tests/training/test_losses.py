"""Losses compared with double loops; captions of one photo are never each other's negatives."""

import math
from typing import Literal

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from hgan.training.losses.hinge import Hinge, HingeConfig
from hgan.training.losses.infonce import MIN_TEMPERATURE, InfoNCE, InfoNCEConfig
from hgan.training.losses.loss import LOSSES, Loss, build_loss, objective

counts = st.lists(st.integers(1, 4), min_size=2, max_size=5)
"""Captions of each photo of a batch."""


def example(captions: list[int], seed: int = 0) -> tuple[Tensor, Tensor]:
    """Scores (B, T) and each caption's photo, the captions shuffled."""
    rng = torch.Generator().manual_seed(seed)
    image_of = torch.repeat_interleave(torch.arange(len(captions)), torch.tensor(captions))
    image_of = image_of[torch.randperm(len(image_of), generator=rng)]
    return torch.rand(len(captions), len(image_of), generator=rng) * 2 - 1, image_of


def infonce(temperature: float = 0.07, smoothing: float = 0.0) -> InfoNCE:
    return InfoNCE(InfoNCEConfig(temperature=temperature, smoothing=smoothing), ["S"])


def hinge_of(margin: float = 0.2, reduction: Literal["mean", "sum"] = "mean") -> Hinge:
    return Hinge(HingeConfig(margin=margin, reduction=reduction), ["S"])


def naive_infonce(scores: Tensor, image_of: Tensor, scale: float, smoothing: float) -> float:
    logits = (scores.double() * scale).tolist()
    owner = image_of.tolist()
    to_image, to_text = [], []
    for t, own in enumerate(owner):
        column = [row[t] for row in logits]
        log_sum = math.log(sum(map(math.exp, column)))
        images = [score for b, score in enumerate(column) if b != own]
        target = (1 - smoothing) * column[own] + smoothing * sum(images) / len(images)
        to_image.append(log_sum - target)
        others = [logits[own][u] for u in range(len(owner)) if owner[u] != own]
        positive = logits[own][t]
        log_sum = math.log(math.exp(positive) + sum(map(math.exp, others)))
        spread = sum(others) / len(others)
        to_text.append(log_sum - (1 - smoothing) * positive - smoothing * spread)
    return (sum(to_image) / len(to_image) + sum(to_text) / len(to_text)) / 2


def naive_hinge(
    scores: Tensor, image_of: Tensor, margin: float, hardest: bool, summed: bool
) -> float:
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
            total += sum(map(max, losses)) / (1 if summed else len(losses))
        else:
            total += sum(map(sum, losses)) / (1 if summed else sum(map(len, losses)))
    return total


@given(counts, st.integers(0, 99), st.sampled_from([0.0, 0.1]), st.sampled_from([0.05, 0.5]))
def test_infonce_equals_a_double_loop(
    captions: list[int], seed: int, smoothing: float, temperature: float
) -> None:
    scores, image_of = example(captions, seed)
    found = infonce(temperature, smoothing)("S", scores, image_of)
    expected = naive_infonce(scores, image_of, 1 / temperature, smoothing)
    assert found.item() == pytest.approx(expected, rel=1e-4, abs=1e-5)


@given(counts, st.integers(0, 99), st.booleans(), st.booleans(), st.sampled_from([0.05, 0.2, 1.0]))
def test_hinge_equals_a_double_loop(
    captions: list[int], seed: int, hardest: bool, summed: bool, margin: float
) -> None:
    scores, image_of = example(captions, seed)
    hinge = hinge_of(margin, "sum" if summed else "mean")
    hinge.hardest = hardest
    found = hinge("S", scores, image_of).item()
    expected = naive_hinge(scores, image_of, margin, hardest, summed)
    assert found == pytest.approx(expected, abs=1e-4)


CRITERIA: dict[str, Loss] = {
    "infonce": infonce(),
    "smoothed": infonce(smoothing=0.1),
    "hinge": hinge_of(),
    "summed hinge": hinge_of(reduction="sum"),
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
    loss = infonce()

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
    hinge = hinge_of()
    hardest = hinge("S", scores, image_of).item()
    hinge.hardest = False
    mean = hinge("S", scores, image_of).item()
    # From captions: [0.3, 0], [0.1, 0], [0, 0]; from photos: [0.1, 0], [0.3, 0], [0, 0].
    assert hardest == pytest.approx(0.4 / 3 + 0.4 / 3)
    assert mean == pytest.approx(0.4 / 6 + 0.4 / 6)


@pytest.mark.parametrize("name", CRITERIA)
@pytest.mark.parametrize("photos", [2, 4, 32])
def test_constant_scores_give_the_chance_level_loss(name: str, photos: int) -> None:
    loss = CRITERIA[name]
    for epoch in (0, 9):
        loss.start_epoch(epoch)
        constant = torch.full((photos, 3 * photos), 0.7)
        found = loss("S", constant, torch.arange(photos).repeat(3)).item()
        assert found == pytest.approx(loss.chance_level(photos, 3 * photos), rel=1e-5, abs=1e-4)


def test_every_registered_loss_is_tested() -> None:
    built_in = {name for name in LOSSES if LOSSES.find(name).__module__.startswith("hgan.")}
    assert built_in == {loss.config.name for loss in CRITERIA.values()}


def test_chance_levels_by_hand() -> None:
    assert hinge_of(0.2).chance_level(8, 24) == pytest.approx(0.4)
    # A caption has 4 candidates; a photo's caption has the 9 captions of the other 3 photos.
    assert infonce().chance_level(4, 12) == pytest.approx((math.log(4) + math.log(10)) / 2)


def test_each_score_has_its_own_temperature() -> None:
    loss = build_loss(InfoNCEConfig(), ["context", "local"])
    assert isinstance(loss, InfoNCE) and set(loss.log_scale) == {"context", "local", "S"}
    assert set(build_loss(InfoNCEConfig(), ["context"]).log_scale) == {"context"}
    scores, image_of = example([1, 2, 1])
    loss("context", scores, image_of).backward()
    assert loss.log_scale["context"].grad is not None
    assert loss.log_scale["S"].grad is None


def test_a_temperature_at_its_bound_still_learns_and_comes_back() -> None:
    """A bound in the forward pass has no gradient beyond it: the temperature would stay there."""
    loss = infonce()
    scale = loss.log_scale["S"]
    with torch.no_grad():
        scale.fill_(20.0)
    loss.after_step()
    assert scale.exp().item() == pytest.approx(1 / MIN_TEMPERATURE)
    with torch.no_grad():
        scale.add_(1e-6)  # a step's rounding beyond the bound
    wrong, image_of = torch.tensor([[0.0, 1.0], [1.0, 0.0]]), torch.arange(2)
    optimizer = torch.optim.SGD(loss.parameters(), lr=0.01)
    loss("S", wrong, image_of).backward()
    optimizer.step()
    loss.after_step()
    assert scale.exp().item() < 0.9 / MIN_TEMPERATURE


def test_smoothing_is_spread_over_the_negatives_alone_in_both_directions() -> None:
    """By hand, for two pairs: each positive moves towards its one negative, from either side."""
    scores, own = torch.tensor([[0.5, 0.1], [0.3, 0.4]]), torch.arange(2)
    plain, smoothed = (infonce(1.0, e)("S", scores, own).item() for e in (0.0, 0.2))
    to_image = (0.5 - 0.3 + 0.4 - 0.1) / 2
    to_text = (0.5 - 0.1 + 0.4 - 0.3) / 2
    assert smoothed - plain == pytest.approx(0.2 * (to_image + to_text) / 2, abs=1e-5)


@given(counts, st.integers(0, 99), st.sampled_from([0.05, 0.3]))
def test_soft_targets_equal_a_double_loop(captions: list[int], seed: int, tau: float) -> None:
    scores, image_of = example(captions, seed)
    owner, rows = image_of.tolist(), (scores.double() / 0.07).tolist()
    sentences = torch.nn.functional.normalize(
        torch.randn(len(owner), 6, generator=torch.Generator().manual_seed(seed)), dim=-1
    )
    alike = (sentences @ sentences.T).tolist()
    loss = InfoNCE(InfoNCEConfig(temperature=0.07, soft_temperature=tau), ["S"])
    found = loss("S", scores, image_of, sentences @ sentences.T).item()

    def cross_entropy(logits: list[float], cosines: list[float]) -> float:
        log_sum = math.log(sum(map(math.exp, logits)))
        target = [math.exp(cosine / tau) for cosine in cosines]
        return sum(y * (log_sum - x) for x, y in zip(logits, target, strict=True)) / sum(target)

    total = 0.0
    for t, own in enumerate(owner):
        of_photo = [
            1.0 if b == own else max(alike[t][u] for u in range(len(owner)) if owner[u] == b)
            for b in range(len(rows))
        ]
        total += cross_entropy([row[t] for row in rows], of_photo)
        others = [u for u in range(len(owner)) if owner[u] != own]
        logits = [rows[own][t], *(rows[own][u] for u in others)]
        total += cross_entropy(logits, [1.0, *(alike[t][u] for u in others)])
    assert found == pytest.approx(total / len(owner) / 2, rel=1e-4, abs=1e-5)


def test_soft_targets_spare_captions_that_say_the_same() -> None:
    """Of two negatives with equal scores, the one whose caption is alike is pushed away less."""
    scores = torch.tensor([[0.5, 0.4, 0.4], [0.4, 0.5, 0.4], [0.4, 0.4, 0.5]], requires_grad=True)
    alike = torch.tensor([[1.0, 0.9, 0.0], [0.9, 1.0, 0.0], [0.0, 0.0, 1.0]])
    loss = InfoNCE(InfoNCEConfig(soft_temperature=0.1), ["S"])
    loss("S", scores, torch.arange(3), alike).backward()
    assert scores.grad is not None and scores.grad[0, 1] < scores.grad[0, 2]


def test_the_objective_is_the_mean_over_levels_and_s() -> None:
    image_of = torch.arange(3)
    levels = {name: example([1, 1, 1], seed)[0] for seed, name in enumerate(("context", "local"))}
    combined = 0.5 * levels["context"] + 0.5 * levels["local"]
    hinge = hinge_of()

    def value(scores: Tensor) -> float:
        return hinge("", scores, image_of).item()

    found = objective(hinge, levels, combined, image_of).item()
    each = [value(scores) for scores in (*levels.values(), combined)]
    assert found == pytest.approx(sum(each) / 3)
    alone = {"context": levels["context"]}
    assert objective(hinge, alone, levels["context"], image_of).item() == pytest.approx(each[0])


def test_scores_can_start_with_temperatures_of_their_own() -> None:
    loss = InfoNCE(InfoNCEConfig(temperature=0.05), ["context", "local", "S"])
    loss.start_from({"context": 0.02, "S": 0.004, "shared": 0.3})  # there is no shared level
    found = {name: math.exp(-scale.item()) for name, scale in loss.log_scale.items()}
    assert found == pytest.approx({"context": 0.02, "local": 0.05, "S": 0.01})  # the lower bound
    assert all(scale.requires_grad for scale in loss.log_scale.values())
