"""The base class of baselines, which can be given what HGAN is given.

With a prior, a baseline has two more levels, whose scores are not trained: the cosine of the
prior's positions of photo and sentence, and the mean over words of the best region's cosine. S is
the weighted sum, and the weights are chosen on validation, as HGAN's are. The positions of regions
and words are further features too.
"""

from abc import abstractmethod
from dataclasses import dataclass
from math import inf
from typing import ClassVar, Literal

import torch
from torch import Tensor

from hgan.config import Bounds
from hgan.data.batches.types import ImageBatch, TextBatch
from hgan.encoded import Encoded
from hgan.errors import ConfigError
from hgan.model.baselines.inputs import region_rows, with_prior, word_rows
from hgan.model.encoding import make_encoded
from hgan.model.hgan import context_similarity, local_similarity
from hgan.model.layers import projection, unit
from hgan.model.matcher import Matcher, MatcherConfig
from hgan.model.prior import Known, Prior
from hgan.text.encoder import TextEncoder, TokenStates

PRIOR, PRIOR_LOCAL = "prior", "prior_local"
"""Names of the levels of the prior: of photo and sentence, and of regions and words."""


@dataclass
class BaselineConfig(MatcherConfig):
    """Settings that all baselines have."""

    bounds: ClassVar[Bounds] = {"width": (1, inf), "dropout": (0, 1), "prior_width": (1, inf)}

    width: int = 512
    """Width D of the vectors of regions, words, photos and sentences."""
    dropout: float = 0.2
    """Dropout rate of the backbone features before the projection."""
    norm: bool = True
    """Layer norm and dropout before the projections, as in HGAN; the papers have a linear layer
    alone."""
    context: bool = False
    """Also give what HGAN is given: the backbone's features of the whole photo as one more region,
    and the mean of the token states as one more word."""
    prior: Literal["classes", "none"] = "none"
    """Also give the semantic prior that HGAN starts from: its positions of regions and words as
    further features, and its scores as two more levels."""
    prior_width: int = 128
    """Width P of the prior."""


class Baseline(Matcher):
    """A matcher of rows: regions and words, which a subclass encodes and compares.

    Attributes:
        own_levels: names of the levels that the method itself has.
        row_widths: widths of the rows of photos and of sentences, D_v and D_t, with the prior's P.
        project_regions, project_words: project these rows to width D.
    """

    own_levels: ClassVar[tuple[str, ...]]
    config: BaselineConfig

    def __init__(
        self,
        config: BaselineConfig,
        image_width: int,
        text: TextEncoder,
        prior: Prior | None = None,
    ) -> None:
        levels = (*self.own_levels, *((PRIOR, PRIOR_LOCAL) if prior is not None else ()))
        super().__init__(config, image_width, text, levels)
        if prior is not None and prior.is_base:
            raise ConfigError(
                f"model.name: {config.name} cannot start from the embeddings of a dual encoder"
            )
        self.prior = prior
        more = 0 if prior is None else prior.width
        self.row_widths = image_width + more, text.width + more
        self.project_regions, self.project_words = (
            projection(width, config.width, config.dropout, config.norm)
            for width in self.row_widths
        )
        if prior is not None:
            self.has_prior = True
            self.optional_levels = frozenset((PRIOR, PRIOR_LOCAL))
            # As in HGAN, S is that of the prior until weights are chosen.
            self.set_weights({name: 0.5 * (name not in self.own_levels) for name in levels})

    @abstractmethod
    def encode_regions(self, rows: Tensor, mask: Tensor) -> Encoded[Tensor]:
        """Encode photos from rows (B, n, D_v) with mask (B, n)."""

    @abstractmethod
    def encode_words(self, rows: Tensor, mask: Tensor) -> Encoded[Tensor]:
        """Encode sentences from rows (T, n, D_t) with mask (T, n)."""

    @abstractmethod
    def compare_own(self, images: Encoded[Tensor], texts: Encoded[Tensor]) -> dict[str, Tensor]:
        """The similarity at each of the method's own levels, (B, T) each."""

    def choose_words(self, token: TokenStates, mask: Tensor) -> TokenStates:
        """Choose the tokens that count as words; `mask` (T, W) is that of all tokens."""
        return token

    def encode_image(self, batch: ImageBatch) -> Encoded[Tensor]:
        """Encode photos from their regions."""
        context = self.config.context
        rows, mask = region_rows(batch, context)
        if self.prior is None:
            return self.encode_regions(rows, mask)
        known = self.prior.of_photos(batch)
        own = self.encode_regions(with_prior(rows, known, context), mask)
        return _join(own, known, batch.mask)

    def encode_text(self, batch: TextBatch) -> Encoded[Tensor]:
        """Encode captions from their words."""
        context = self.config.context
        token = self.text(batch.ids, batch.mask, batch.frozen_cache, batch.pretrained_cache)
        rows, mask = word_rows(self.choose_words(token, batch.mask), context)
        if self.prior is None:
            return self.encode_words(rows, mask)
        known = self.prior.of_texts(token, batch.mask)
        own = self.encode_words(with_prior(rows, known, context), mask)
        return _join(own, known, token.words)

    def compare(self, images: Encoded[Tensor], texts: Encoded[Tensor]) -> dict[str, Tensor]:
        """The similarity at the method's own levels, and at those of the prior; (B, T) each."""
        if self.prior is None:
            return self.compare_own(images, texts)
        width = self.prior.width
        (images, seen), (texts, said) = _part(images, width), _part(texts, width)
        levels = self.compare_own(images, texts)
        return levels | {
            PRIOR: context_similarity(seen, said),
            PRIOR_LOCAL: local_similarity(seen, said),
        }


# --- the prior's vectors lie beside the method's own, so that they go wherever these go


def _join(own: Encoded[Tensor], known: Known, mask: Tensor) -> Encoded[Tensor]:
    """Put the prior's positions, of the rows in the mask (B, n), beside what a method encodes.

    The method's own rows may have one more, the context, and may be none; the mask of the result is
    the method's, and the prior's own is where its rows are not zero.
    """
    assert known.rows is not None
    rows = unit(known.rows) * mask[..., None]  # (B, n, P)
    local, real = own.local, own.mask
    if not real.shape[1]:
        local, real = rows.new_zeros(*mask.shape, 0), mask
    more = real.shape[1] - mask.shape[1]
    rows = torch.cat([rows, rows.new_zeros(len(rows), more, rows.shape[-1])], dim=1)
    return make_encoded(
        context=torch.cat([own.context, unit(known.whole)], dim=-1),
        slots=own.slots,
        local=torch.cat([local, rows], dim=-1),
        mask=real,
    )


def _part(joined: Encoded[Tensor], width: int) -> tuple[Encoded[Tensor], Encoded[Tensor]]:
    """What `_join` put together: the method's own, and the prior's of this width."""
    context, whole = _split(joined.context, width)
    local, rows = _split(joined.local, width)
    own = Encoded(context, joined.slots, local, joined.mask)
    known = Encoded(whole, joined.slots, rows, joined.mask & rows.any(-1))
    return own, known


def _split(x: Tensor, width: int) -> tuple[Tensor, Tensor]:
    return x[..., : x.shape[-1] - width], x[..., x.shape[-1] - width :]
