"""What training minimises, given scores of B photos and T captions: InfoNCE, or the hinge on the
hardest negative. Captions of one photo are never each other's negatives.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

MAX_LOGIT_SCALE = 100.0
"""Bound on 1 / temperature, as in CLIP (Radford et al., ICML 2021), for stability."""


class InfoNCE(nn.Module):
    """Symmetric InfoNCE with a learned temperature for each score it is given.

    From a photo, each of its captions is contrasted with the captions of the other photos; from a
    caption, its photo is contrasted with the other photos.

    Args:
        names: of the scores.
        temperature: where each learned temperature starts.
        smoothing: share of the target that is spread over all candidates.
    """

    def __init__(self, names: list[str], temperature: float, smoothing: float) -> None:
        super().__init__()
        start = torch.tensor(1.0 / temperature).log()
        self.log_scale = nn.ParameterDict({n: nn.Parameter(start.clone()) for n in names})
        self.smoothing = smoothing

    def forward(self, name: str, scores: Tensor, image_of: Tensor) -> Tensor:
        """Scores (B, T) and the photo of each caption (T) to a scalar."""
        scale = self.log_scale[name].exp().clamp(max=MAX_LOGIT_SCALE)
        logits = scores.float() * scale
        to_image = F.cross_entropy(logits.T, image_of, label_smoothing=self.smoothing)
        return (to_image + self._to_text(logits, image_of)) / 2

    def _to_text(self, logits: Tensor, image_of: Tensor) -> Tensor:
        own = image_of == torch.arange(len(logits), device=logits.device)[:, None]  # (B, T)
        others = logits.masked_fill(own, float("-inf")).logsumexp(1)  # (B)
        positive = logits.gather(0, image_of[None]).squeeze(0)  # (T)
        # One positive at a time, its siblings left out: log(exp(p) / (exp(p) + sum of others)).
        loss = torch.logaddexp(positive, others[image_of]) - positive
        if self.smoothing:
            spread = (logits.masked_fill(own, 0.0).sum(1) / (~own).sum(1))[image_of]
            loss = loss + self.smoothing * (positive - spread)
        return loss.mean()


class Hinge(nn.Module):
    """Bidirectional hinge: the mean over negatives while warming up, then the hardest alone.

    Faghri et al., *VSE++*, BMVC 2018, equations 4 and 5; averaged over the batch, so that the
    learning rate does not depend on its size.
    """

    def __init__(self, margin: float) -> None:
        super().__init__()
        self.margin = margin
        self.hardest = True

    def forward(self, name: str, scores: Tensor, image_of: Tensor) -> Tensor:
        """Scores (B, T) and the photo of each caption (T) to a scalar."""
        scores = scores.float()
        own = image_of == torch.arange(len(scores), device=scores.device)[:, None]  # (B, T)
        positive = scores.gather(0, image_of[None])  # (1, T)
        to_image = (self.margin + scores - positive).clamp_min(0).masked_fill(own, 0.0)  # (B, T)
        # From photo b with positive t, against every caption u of another photo.
        rows = scores[image_of]  # (T, T)
        to_text = (self.margin + rows - positive.T).clamp_min(0).masked_fill(own[image_of], 0.0)
        if self.hardest:
            return to_image.amax(0).mean() + to_text.amax(1).mean()
        return to_image.sum() / (~own).sum() + to_text.sum() / (~own[image_of]).sum()


def objective(
    criterion: nn.Module, levels: dict[str, Tensor], combined: Tensor, image_of: Tensor
) -> Tensor:
    """The mean of the criterion over the levels and, where there are several, over S."""
    terms = dict(levels)
    if len(levels) > 1:
        terms["S"] = combined
    losses = [criterion(name, scores, image_of) for name, scores in terms.items()]
    return torch.stack(losses).mean()
