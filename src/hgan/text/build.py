"""Text encoders by name, with pretrained weights; by description, for a checkpoint's weights."""

from collections.abc import Sequence
from typing import Any

from tokenizers import Tokenizer

from hgan.config import TextConfig
from hgan.text.bigru import build_bigru, load_bigru
from hgan.text.encoder import TextEncoder
from hgan.text.transformer import build_transformer, load_transformer


def load_encoder(config: TextConfig, texts: Sequence[str]) -> tuple[TextEncoder, Tokenizer]:
    """The encoder that a configuration asks for, some layers frozen, and its tokenizer.

    Args:
        config: names the encoder.
        texts: training captions, for an encoder that makes its vocabulary of them.

    Raises:
        ConfigError: the encoder cannot be had, or has not so many layers.
        DataError: a Bi-GRU's vocabulary or word vectors are missing or malformed.
    """
    encoder: TextEncoder
    if config.encoder == "bigru":
        encoder, tokenizer = load_bigru(config.vocabulary, config.vectors, texts)
    else:
        encoder, tokenizer = load_transformer(config.encoder)
    encoder.freeze(config.trainable_layers)
    return encoder, tokenizer


def build_encoder(description: dict[str, Any], tokenizer: Tokenizer) -> TextEncoder:
    """An encoder with random weights from its own description, to load a checkpoint into."""
    if description.get("model_type") == "bigru":
        return build_bigru(description, tokenizer)
    return build_transformer(description, tokenizer)
