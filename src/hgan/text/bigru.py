"""The classical text encoder of image-text retrieval: a bidirectional GRU, trained from scratch."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from hgan.errors import ConfigError
from hgan.progress import console
from hgan.text.encoder import TextEncoder
from hgan.text.vectors import read_vectors
from hgan.text.vocabulary import (
    END,
    PAD,
    SPECIALS,
    START,
    UNKNOWN,
    count_words,
    read_vocabulary,
    word_tokenizer,
)


class BiGRUEncoder(TextEncoder):
    """Word embeddings and a GRU in each direction; a token's state is the mean of the two.

    As in SCAN (Lee et al., ECCV 2018, section 3.4), without dropout. SCAN has no context; here it
    is the mean over the tokens, `<start>` and `<end>` included, as in every text encoder. A masked
    word becomes `<unk>`: SCAN's vocabularies have no mask token.

    Tokens outside the mask are skipped, also in the middle of a row, and their states are zero.
    For that, the tokens of each row are moved to its front, in their order for one GRU and in
    reverse for the other; the outputs for the padding after them are not used. So rows of any
    lengths can be in a batch, in any order.

    Args:
        words: number of words in the vocabulary.
        word_width: width of an embedding.
        width: D_t.
    """

    def __init__(self, words: int, word_width: int = 300, width: int = 1024) -> None:
        special_ids = [SPECIALS.index(token) for token in (PAD, START, END)]
        super().__init__(special_ids, mask_id=SPECIALS.index(UNKNOWN))
        self.embedding = nn.Embedding(words, word_width)
        nn.init.uniform_(self.embedding.weight, -0.1, 0.1)
        self.rightward = nn.GRU(word_width, width, batch_first=True)
        self.leftward = nn.GRU(word_width, width, batch_first=True)

    @property
    def width(self) -> int:
        """D_t."""
        return self.rightward.hidden_size

    def encode(self, ids: Tensor, mask: Tensor, frozen_cache: Tensor | None) -> Tensor:
        """States (T, W, D_t): the mean of both directions, zero where the mask is zero."""
        assert frozen_cache is None  # no layer is frozen, so there is no cache
        real = mask.bool()
        count = real.sum(1, keepdim=True)  # (T, 1)
        nth = real.cumsum(1) - 1  # (T, W): number of a token among those of its row
        rest = count + (~real).cumsum(1) - 1
        rightward = self._read(self.rightward, ids, torch.where(real, nth, rest))
        leftward = self._read(self.leftward, ids, torch.where(real, count - 1 - nth, rest))
        return (rightward + leftward) / 2 * real[..., None]

    def _read(self, gru: nn.GRU, ids: Tensor, places: Tensor) -> Tensor:
        """States (T, W, D_t) of tokens that a GRU reads in the order of their places (T, W)."""
        moved = self.embedding(torch.zeros_like(ids).scatter(1, places, ids))
        exporting = torch.onnx.is_in_onnx_export()
        states = _onnx_gru(gru, moved) if exporting else gru(moved)[0]
        return states.gather(1, places[..., None].expand_as(states))

    def freeze(self, trainable_layers: int | None) -> None:
        """Do nothing: all of the encoder is trained, since it starts untrained and has one layer.

        Raises:
            ConfigError: no layer is to be trained.
        """
        if trainable_layers is not None and trainable_layers < 1:
            raise ConfigError(
                f"text.trainable_layers: {trainable_layers}, but bigru starts untrained; "
                "use null (train all)"
            )

    def frozen_states(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Raise `TypeError`: there are no frozen layers."""
        raise TypeError("a Bi-GRU has no frozen layers")

    def describe(self) -> dict[str, Any]:
        """The widths; the size of the vocabulary comes from the tokenizer."""
        word_width = self.embedding.embedding_dim
        return {"model_type": "bigru", "word_width": word_width, "width": self.width}


def load_bigru(
    vocabulary: Path | None, vectors: Path | None, texts: Sequence[str]
) -> tuple[BiGRUEncoder, Tokenizer]:
    """An untrained encoder and its tokenizer.

    Args:
        vocabulary: a SCAN vocabulary file; by default the words are counted.
        vectors: word vectors that initialise the embedding and set its width; they are trained
            with the rest, and words without a vector start at random.
        texts: training captions to count words in.

    Raises:
        ConfigError: there is neither a vocabulary nor a caption.
        DataError: the vocabulary or the vectors are missing or malformed.
    """
    if vocabulary is None and not texts:
        raise ConfigError(
            "text.vocabulary: bigru has no training captions to count words in; name a SCAN "
            "vocabulary file"
        )
    words = count_words(texts) if vocabulary is None else read_vocabulary(vocabulary)
    tokenizer = word_tokenizer(words)
    if vectors is None:
        return BiGRUEncoder(len(words)), tokenizer
    ids, values = read_vectors(vectors, words)
    console.print(f"{len(ids)} of {len(words)} words initialised from {vectors.name}")
    encoder = BiGRUEncoder(len(words), word_width=values.shape[1])
    with torch.no_grad():
        encoder.embedding.weight[torch.from_numpy(ids)] = torch.from_numpy(values)
    return encoder, tokenizer


def build_bigru(description: dict[str, Any], tokenizer: Tokenizer) -> BiGRUEncoder:
    """An encoder with random weights from its description, to load a checkpoint into."""
    words = tokenizer.get_vocab_size()
    return BiGRUEncoder(words, description["word_width"], description["width"])


def _onnx_gru(gru: nn.GRU, inputs: Tensor) -> Tensor:
    """States (T, W, D_t) by ONNX's GRU operator, for export.

    Torch traces a GRU word by word, which would fix the length of sentences to the example's.
    """
    width = gru.hidden_size

    def gates(rows: Tensor) -> Tensor:
        # The order of the gates is reset, update, new in torch, and update, reset, new in ONNX.
        return torch.cat([rows[width : 2 * width], rows[:width], rows[2 * width :]])[None]

    inward, recurrent, *biases = [gates(weight) for weight in gru.all_weights[0]]
    rows, words, _ = inputs.shape
    states = torch.onnx.ops.symbolic(
        "GRU",
        [inputs.transpose(0, 1), inward, recurrent, torch.cat(biases, dim=1)],
        {"hidden_size": width, "linear_before_reset": 1},
        dtype=inputs.dtype,
        shape=(words, 1, rows, width),
    )
    return states[:, 0].transpose(0, 1)
