"""Replace the pretrained text layers by a linear map of the trained states, to encode texts faster.

A semantic prior needs the states of the pretrained text encoder. Its upper layers beside the
trained ones would make encoding a text up to 1.7 times as slow. Training changes an encoder so
little that a linear map of the states after all of its layers, side by side, gives the pretrained
states nearly unchanged. The map is the solution of a ridge regression on texts; photos are not
needed.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from hgan.chunks import chunks
from hgan.data.batches.tokens import pad, tokenise
from hgan.progress import progress
from hgan.text.encoder import TextEncoder

BATCH = 64
RIDGE = 1e-3
"""Weight of the penalty, as a multiple of the mean square of a state."""
MOST = 10_000
"""Texts for the fit; more do not improve it."""
HELD_OUT = 10
"""One of this many texts is not used for the fit, but to measure it."""


@torch.inference_mode()
def distill_pretrained(
    encoder: TextEncoder, tokenizer: Tokenizer, texts: Sequence[str], max_words: int
) -> float:
    """Replace the pretrained layers of a text encoder by a linear map.

    Args:
        encoder: a trained text encoder that keeps its pretrained layers.
        tokenizer: its tokenizer.
        texts: sentences, at least 10; of more than `MOST`, as many are used, evenly spaced.
        max_words: maximum number of tokens of a text.

    Returns:
        The mean cosine of estimated and real sentence vectors, on texts that were held out.
    """
    texts = texts[:: -(-len(texts) // MOST)]
    chosen = [text for i, text in enumerate(texts) if i % HELD_OUT]
    gram = moment = torch.zeros(())
    with progress("fit text layers", total=len(texts), unit="texts") as bar:
        for trained, pretrained, mask in _states(encoder, tokenizer, chosen, max_words):
            x, y = (_rows(states, mask) for states in (trained, pretrained))
            x = torch.cat([x, torch.ones_like(x[:, :1])], dim=1)  # (P, F + 1), F = layers x D_t
            gram = gram + (x.T @ x).double()
            moment = moment + (x.T @ y).double()
            bar.advance(len(mask))
        penalty = RIDGE * gram.diagonal()[:-1].mean()
        gram.diagonal()[:-1].add_(penalty)
        solution = torch.linalg.solve(gram, moment).float()  # (F + 1, D_t)
        head = nn.Linear(len(solution) - 1, encoder.width)
        head.weight.data, head.bias.data = solution[:-1].T.clone(), solution[-1].clone()
        cosines = []
        for trained, pretrained, mask in _states(encoder, tokenizer, texts[::HELD_OUT], max_words):
            found, expected = (_mean(states, mask) for states in (head(trained), pretrained))
            cosines.append(F.cosine_similarity(found, expected, dim=-1))
            bar.advance(len(mask))
    encoder.replace_pretrained(head.requires_grad_(False))
    return float(torch.cat(cosines).mean())


def _states(
    encoder: TextEncoder, tokenizer: Tokenizer, texts: Sequence[str], max_words: int
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Of batches of texts: the trained states after all layers side by side (T, W, F), pretrained
    states (T, W, D_t), and mask (T, W)."""
    tokens = tokenise(tokenizer, texts, max_words)
    order = np.argsort([len(row) for row in tokens], kind="stable")  # to reduce padding
    for batch in chunks(order, BATCH):
        padded = pad([tokens[i] for i in batch])
        trained = torch.cat(encoder.states_of_layers(padded.ids, padded.mask), dim=-1)
        yield trained, encoder.pretrained_states(padded.ids, padded.mask, None), padded.mask


def _rows(states: Tensor, mask: Tensor) -> Tensor:
    """Rows (P, D) to fit, of states (T, W, D): all tokens, and the mean of each text with the
    weight of all its tokens."""
    count = mask.sum(1, keepdim=True).to(states.dtype)  # (T, 1)
    return torch.cat([states[mask.bool()], _mean(states, mask) * count.sqrt()])


def _mean(states: Tensor, mask: Tensor) -> Tensor:
    """Means (T, D) over the tokens of each text."""
    weight = mask[..., None].to(states.dtype)
    return (states * weight).sum(1) / weight.sum(1)
