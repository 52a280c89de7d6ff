"""Create text encoders: pretrained ones by name, or untrained ones to load a checkpoint into."""

from collections.abc import Sequence
from typing import Any

from tokenizers import Tokenizer

from hgan.config import TextConfig
from hgan.dual_encoders.load import is_dual_encoder
from hgan.text.bigru import build_bigru, load_bigru
from hgan.text.dual_encoder import MODEL_TYPE, build_dual_encoder, load_dual_encoder
from hgan.text.encoder import TextEncoder
from hgan.text.transformer import build_transformer, load_transformer


def is_pretrained(config: TextConfig) -> bool:
    """Whether the text encoder of a configuration is pretrained."""
    return config.encoder != "bigru"


def load_encoder(
    config: TextConfig, texts: Sequence[str], keep_pretrained: bool = False
) -> tuple[TextEncoder, Tokenizer]:
    """Load the text encoder of a configuration, freeze its layers, and return its tokenizer too.

    Args:
        config: settings of the encoder.
        texts: training captions, from which a Bi-GRU builds its vocabulary.
        keep_pretrained: keep the pretrained layers beside those that are trained.

    Raises:
        ConfigError: the encoder cannot be loaded, has fewer layers than `trainable_layers`, or is
            to be kept but not pretrained.
        DataError: the vocabulary or the word vectors of a Bi-GRU are missing or malformed.
    """
    encoder: TextEncoder
    if config.encoder not in ("minilm", "bigru") and is_dual_encoder(config.encoder):
        encoder, tokenizer = load_dual_encoder(config.encoder, config.max_words)
    elif is_pretrained(config):
        encoder, tokenizer = load_transformer(config.encoder)
    else:
        encoder, tokenizer = load_bigru(config.vocabulary, config.vectors, texts)
    encoder.freeze(config.trainable_layers)
    if keep_pretrained:
        encoder.keep_pretrained(config.trainable_layers)
    return encoder, tokenizer


def build_encoder(description: dict[str, Any], tokenizer: Tokenizer) -> TextEncoder:
    """Build an encoder with random weights from the result of `describe`, to load a checkpoint."""
    if description.get("model_type") == "bigru":
        return build_bigru(description, tokenizer)
    if description.get("model_type") == MODEL_TYPE:
        return build_dual_encoder(description, tokenizer)
    return build_transformer(description, tokenizer)
