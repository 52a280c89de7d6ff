"""Captions to token ids, and rows of ids to a batch."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from tokenizers import Tokenizer
from torch import Tensor

AT_ONCE = 10_000
"""Texts that are tokenised at once."""


@dataclass(frozen=True)
class TextBatch:
    """Tokens of T captions, padded to the longest."""

    ids: Tensor
    """(T, W) int64"""
    mask: Tensor
    """(T, W) int64, 1 where a token is real"""
    states: Tensor | None = None
    """(T, W, D_t) of the text encoder's frozen layers, where they were computed ahead"""

    def to(self, device: torch.device) -> "TextBatch":
        """The same on another device."""
        states = None if self.states is None else self.states.to(device)
        return TextBatch(self.ids.to(device), self.mask.to(device), states)


def tokenise(tokenizer: Tokenizer, texts: Sequence[str], max_words: int) -> list[Tensor]:
    """Token ids of each text, specials included, cut to `max_words`, the last special kept."""
    rows: list[Tensor] = []
    # Some at a time: what the tokenizer says of a text takes many times the room of its ids.
    for start in range(0, len(texts), AT_ONCE):
        encoded = tokenizer.encode_batch(list(texts[start : start + AT_ONCE]))
        rows += [torch.tensor(e.ids) for e in encoded]
    return [r if len(r) <= max_words else torch.cat([r[: max_words - 1], r[-1:]]) for r in rows]


def pad(rows: Sequence[Tensor]) -> TextBatch:
    """Rows of token ids to a batch, padded with zeros at the end."""
    ids = torch.nn.utils.rnn.pad_sequence(list(rows), batch_first=True)
    lengths = torch.tensor([len(row) for row in rows])
    return TextBatch(ids, (torch.arange(ids.shape[1]) < lengths[:, None]).long())
