"""Tokenise captions, order them by length, and pad token ids to a batch."""

from collections.abc import Sequence

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from hgan.chunks import chunks
from hgan.data.batches.types import TextBatch

BATCH = 10_000
"""Texts that are tokenised at once; the output of a tokenizer is much larger than its ids."""
ENCODE_BATCH = 256
"""Captions in a batch for the text encoder, without gradients."""


def tokenise(tokenizer: Tokenizer, texts: Sequence[str], max_words: int) -> list[Tensor]:
    """Token ids (W) of each text, including special tokens, truncated to `max_words`; the special
    token at the end is kept."""
    rows: list[Tensor] = []
    for batch in chunks(texts, BATCH):
        rows += [torch.tensor(e.ids) for e in tokenizer.encode_batch(list(batch))]
    return [r if len(r) <= max_words else torch.cat([r[: max_words - 1], r[-1:]]) for r in rows]


def pad(rows: Sequence[Tensor]) -> TextBatch:
    """Create a batch from rows of token ids (W), padded with zeros at the end."""
    ids = torch.nn.utils.rnn.pad_sequence(list(rows), batch_first=True)
    lengths = torch.tensor([len(row) for row in rows])
    return TextBatch(ids, (torch.arange(ids.shape[1]) < lengths[:, None]).long())


def distinct_by_length(rows: Sequence[Tensor]) -> tuple[np.ndarray, np.ndarray]:
    """Positions (U) of the distinct rows of token ids, sorted by length to reduce padding, and for
    each row (T), its place among them.

    Equal captions are encoded only once. In different batches, rounding could make their encodings
    differ in the last bit, which would break ties that are in the data.
    """
    numbers: dict[tuple[int, ...], int] = {}
    which = np.array([numbers.setdefault(tuple(row.tolist()), len(numbers)) for row in rows])
    unique = np.unique(which, return_index=True)[1]
    order = np.argsort([len(rows[t]) for t in unique], kind="stable")
    return unique[order], np.argsort(order, kind="stable")[which]


def further_pieces(tokenizer: Tokenizer) -> Tensor:
    """Which tokens (V) are further pieces of a word: in WordPiece, those that start with `##`."""
    pieces = torch.zeros(tokenizer.get_vocab_size(), dtype=torch.bool)
    for token, position in tokenizer.get_vocab().items():
        pieces[position] = token.startswith("##")
    return pieces
