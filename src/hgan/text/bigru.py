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
    """Word embeddings and a GRU in each direction; the state of a token is the mean of both.

    As in SCAN (Lee et al., ECCV 2018, section 3.4), without dropout. SCAN has no context; here it
    is the mean over all tokens, including `<start>` and `<end>`, as for all text encoders. Masked
    words are replaced by `<unk>`, since SCAN's vocabularies have no mask token.

    Tokens outside the mask are skipped, also in the middle of a row, and their states are zero. To
    do this, the tokens of each row are moved to its front, in their order for one GRU and in
    reverse order for the other; outputs for padding are not used. The rows of a batch can have any
    lengths, in any order.

    Args:
        words: number of words in the vocabulary.
        word_width: width of a word embedding.
        width: D_t, width of a token state.
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
        """D_t, width of a token state."""
        return self.rightward.hidden_size

    def encode(self, ids: Tensor, mask: Tensor, frozen_cache: Tensor | None) -> Tensor:
        """States (T, W, D_t): the mean of both directions, zero where the mask is zero."""
        assert frozen_cache is None  # no layer is frozen, so there is no cache
        real = mask.bool()
        count = real.sum(1, keepdim=True)  # (T, 1)
        position = real.cumsum(1) - 1  # (T, W): position of a token among the tokens of its row
        rest = count + (~real).cumsum(1) - 1  # (T, W): position of padding, after all tokens
        rightward = self._run(self.rightward, ids, torch.where(real, position, rest))
        leftward = self._run(self.leftward, ids, torch.where(real, count - 1 - position, rest))
        return (rightward + leftward) / 2 * real[..., None]

    def _run(self, gru: nn.GRU, ids: Tensor, positions: Tensor) -> Tensor:
        """States (T, W, D_t) of tokens, after moving them to these positions (T, W) for a GRU."""
        moved = self.embedding(torch.zeros_like(ids).scatter(1, positions, ids))
        exporting = torch.onnx.is_in_onnx_export()
        states = _onnx_gru(gru, moved) if exporting else gru(moved)[0]
        return states.gather(1, positions[..., None].expand_as(states))

    def freeze(self, trainable_layers: int | None) -> None:
        """Do nothing: the encoder is not pretrained and has one layer, so it is always trained.

        Raises:
            ConfigError: `trainable_layers` is 0.
        """
        if trainable_layers is not None and trainable_layers < 1:
            raise ConfigError(
                f"text.trainable_layers: {trainable_layers}, but bigru is not pretrained; "
                "use null (train all)"
            )

    def pretrained_states(
        self, ids: Tensor, mask: Tensor, layers: int | None, frozen_cache: Tensor | None = None
    ) -> Tensor:
        """Raise `TypeError`: a Bi-GRU is not pretrained."""
        raise TypeError("a Bi-GRU is not pretrained")

    def describe(self) -> dict[str, Any]:
        """The widths; the size of the vocabulary is known from the tokenizer."""
        word_width = self.embedding.embedding_dim
        return {"model_type": "bigru", "word_width": word_width, "width": self.width}


def load_bigru(
    vocabulary: Path | None, vectors: Path | None, texts: Sequence[str]
) -> tuple[BiGRUEncoder, Tokenizer]:
    """Create an untrained encoder and its tokenizer.

    Args:
        vocabulary: a SCAN vocabulary file; by default, the vocabulary is built from `texts`.
        vectors: word vectors that initialise the embeddings and set their width; they are trained
            like the other weights. Words without a vector are initialised at random.
        texts: training captions for the vocabulary.

    Raises:
        ConfigError: there is no vocabulary, and there are no captions.
        DataError: the vocabulary or the vectors are missing or malformed.
    """
    if vocabulary is None and not texts:
        raise ConfigError(
            "text.vocabulary: there are no training captions to build the vocabulary of bigru; "
            "name a SCAN vocabulary file"
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
    """Build an encoder with random weights from its description, to load a checkpoint into it."""
    words = tokenizer.get_vocab_size()
    return BiGRUEncoder(words, description["word_width"], description["width"])


def _onnx_gru(gru: nn.GRU, inputs: Tensor) -> Tensor:
    """States (T, W, D_t), computed with the GRU operator of ONNX, for export.

    Torch would trace the GRU word by word, which would fix the length of sentences to that of the
    example.
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
