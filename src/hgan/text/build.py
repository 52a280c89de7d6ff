"""Create a text encoder: pretrained, by name; or untrained, by description, for a checkpoint."""

from collections.abc import Sequence
from typing import Any

from tokenizers import Tokenizer

from hgan.config import TextConfig
from hgan.text.bigru import build_bigru, load_bigru
from hgan.text.encoder import TextEncoder
from hgan.text.transformer import build_transformer, load_transformer


def load_encoder(config: TextConfig, texts: Sequence[str]) -> tuple[TextEncoder, Tokenizer]:
    """The encoder of a configuration, with frozen layers if it has any, and its tokenizer.

    Args:
        config: names the encoder.
        texts: training captions, from which a Bi-GRU builds its vocabulary.

    Raises:
        ConfigError: the encoder cannot be loaded, or has fewer layers.
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
    """An encoder with random weights, from what `describe` gave, to load a checkpoint into."""
    if description.get("model_type") == "bigru":
        return build_bigru(description, tokenizer)
    return build_transformer(description, tokenizer)
