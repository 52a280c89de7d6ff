"""Size augmentation (Chen et al., CVPR 2021): drop regions and words at random."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from hgan.data.batches.types import ImageBatch, TextBatch

FIRST_WORD = 1000
"""First id of a word in BERT's vocabulary; also used for other vocabularies in which the special
tokens are not the first ids."""


@dataclass(frozen=True)
class Augmenter:
    """Drops regions, and drops, masks or replaces words; each item keeps at least one."""

    region_drop: float
    """Probability that a region is dropped."""
    word_drop: float
    """Probability that a word is masked, replaced or dropped."""
    mask_id: int | None
    """Id of the mask token; None for a text encoder that knows none, for which all selected words
    are taken out of the text, as if it had been written without them."""
    special_ids: Tensor
    """(S) ids of the tokens that are never changed."""
    vocabulary: int
    """Size of the vocabulary."""
    continues: Tensor | None = None
    """(V) bool: which tokens are further pieces of a word; then all pieces of a word are changed
    alike. None to draw for each piece."""

    def images(
        self,
        batch: ImageBatch,
        rng: torch.Generator,
        whole: int | None = None,
        own: slice = slice(None),
    ) -> ImageBatch:
        """Drop regions of a batch; or of the photos `own` of a batch of `whole` photos, with the
        random numbers that they have in the whole batch."""
        count, regions = batch.mask.shape
        drawn = torch.rand((whole or count, regions), generator=rng)
        keep = drawn[own] >= self.region_drop
        mask = _keep_some(batch.mask & keep, batch.mask)
        return replace(batch, mask=mask)

    def texts(self, batch: TextBatch, rng: torch.Generator) -> TextBatch:
        """Select words at random; mask half of them, replace a tenth by random words, and drop the
        rest. With a frozen cache, which contains the states of the original words, drop all of
        them. Without a mask token, take all of them out.
        """
        words = batch.mask.bool() & ~(batch.ids[..., None] == self.special_ids).any(-1)
        chance = self._per_word(torch.rand(batch.ids.shape, generator=rng), batch.ids)
        drawn = words & (chance < self.word_drop)
        if self.mask_id is None:
            return _take_out(batch, ~words | _keep_some(words & ~drawn, words))
        if batch.frozen_cache is not None:
            kept = _keep_some(words & ~drawn, words)
            mask = (batch.mask.bool() & (~words | kept)).long()
            return replace(batch, mask=mask)
        kind = self._per_word(torch.rand(batch.ids.shape, generator=rng), batch.ids)
        other = torch.randint(self._first_word(), self.vocabulary, batch.ids.shape, generator=rng)
        ids = torch.where(drawn & (kind < 0.5), self.mask_id, batch.ids)
        ids = torch.where(drawn & (kind >= 0.5) & (kind < 0.6), other, ids)
        kept = _keep_some(words & ~(drawn & (kind >= 0.6)), words)
        return TextBatch(ids, (batch.mask.bool() & (~words | kept)).long())

    def _per_word(self, chance: Tensor, ids: Tensor) -> Tensor:
        """Numbers (T, W) in which all pieces of a word have that of its first piece."""
        if self.continues is None:
            return chance
        position = torch.arange(ids.shape[1]).expand_as(ids)
        first = position.masked_fill(self.continues[ids], 0).cummax(1).values  # (T, W)
        return chance.gather(1, first)

    def _first_word(self) -> int:
        """The lowest id that is certainly a word."""
        assert self.mask_id is not None
        special = sorted({*self.special_ids.tolist(), self.mask_id})
        if special == list(range(len(special))):
            return min(len(special), self.vocabulary - 1)
        return min(FIRST_WORD, self.vocabulary // 2)


def _take_out(batch: TextBatch, kept: Tensor) -> TextBatch:
    """The same texts without the tokens that are not kept (T, W); padding is at the end."""
    mask = batch.mask.bool() & kept
    order = (~mask).long().argsort(dim=1, stable=True)
    longest = int(mask.sum(1).max())
    ids, mask = batch.ids.gather(1, order), mask.gather(1, order)
    return TextBatch(ids[:, :longest], mask[:, :longest].long())


def _keep_some(kept: Tensor, real: Tensor) -> Tensor:
    """In rows where nothing would be kept, keep everything."""
    return torch.where(kept.any(-1, keepdim=True), kept, real)
