"""The tokenizer of a dual encoder as one file, with the padding that the model was trained with."""

from typing import Any, NamedTuple

from tokenizers import Tokenizer
from transformers import AutoTokenizer, PreTrainedConfig

from hgan.dual_encoders.siglip_tokenizer import siglip_tokenizer
from hgan.errors import ConfigError
from hgan.hub import HubModel
from hgan.runtime.tokens import TextReader

_SMALLEST = 10
"""A tokenizer of fewer tokens has no vocabulary but the special tokens, as without its files."""
_CHECKED = ["a photo of a dog", "Two DOGS,  & a ball!", "un été à Москва, 犬", "many words " * 200]
"""Texts whose tokens are compared."""


class TextInput(NamedTuple):
    """How a model wants its texts."""

    tokenizer: Tokenizer
    """The tokenizer with its padding; it does not truncate."""
    max_words: int
    """Maximum tokens of a text, including the start and end tokens."""
    masked: bool
    """Whether the text tower is told which tokens are padding."""


def read_tokenizer(source: HubModel, config: PreTrainedConfig, pads: bool) -> TextInput:
    """Read the tokenizer of a model.

    Args:
        source: the model.
        config: its configuration.
        pads: whether all texts are padded to the longest that the model reads.

    Raises:
        ConfigError: the model has no tokenizer, or none that the package `tokenizers` can run.
    """
    wrapper = _load(source)
    tokenizer = getattr(wrapper, "backend_tokenizer", None)
    if tokenizer is None:
        raise ConfigError(
            f"{source.source}: its tokenizer {type(wrapper).__name__} has only a slow form; a "
            "bundle needs a fast one: convert it to tokenizer.json, and save it with the model"
        )
    text: Any = config.get_text_config()
    if not _SMALLEST <= len(wrapper) <= text.vocab_size:
        raise ConfigError(
            f"{source.source}: its tokenizer has {len(wrapper)} tokens, its text tower "
            f"{text.vocab_size}; tokenizer files are missing, or those of another model"
        )
    longest = _longest(text, wrapper.model_max_length)
    tokenizer.no_truncation()
    pad = wrapper.pad_token or wrapper.eos_token
    tokenizer.enable_padding(
        direction=wrapper.padding_side,
        pad_id=tokenizer.token_to_id(pad) or 0,
        pad_token=pad,
        length=longest if pads else None,
    )
    _check(source, wrapper, tokenizer, longest, "max_length" if pads else "longest")
    return TextInput(tokenizer, longest, "attention_mask" in wrapper.model_input_names)


def _load(source: HubModel) -> Any:
    """The tokenizer as a class of `transformers`.

    Raises:
        ConfigError: the model has none, or its files are damaged.
    """
    settings = source.json("tokenizer_config.json") or {}
    if settings.get("tokenizer_class") == "SiglipTokenizer":
        return siglip_tokenizer(source, settings)
    try:
        return AutoTokenizer.from_pretrained(
            source.source,
            revision=source.revision,
            use_fast=True,
            trust_remote_code=False,
            local_files_only=source.is_offline,
        )
    except Exception as error:  # tokenizers raises a plain Exception for a damaged file
        reason = str(error).strip().split("\n")[0]
        raise ConfigError(
            f"{source.source}: has no tokenizer that can be loaded ({reason}); a dual encoder has "
            "tokenizer.json beside its weights"
        ) from error


def _check(
    source: HubModel, wrapper: Any, tokenizer: Tokenizer, longest: int, padding: str
) -> None:
    """Raise `ConfigError` unless the runtime reads texts as the class of `transformers` does."""
    reader = TextReader(Tokenizer.from_str(tokenizer.to_str()), longest)
    own = wrapper(_CHECKED, padding=padding, truncation=True, max_length=longest)["input_ids"]
    if reader.ids(_CHECKED)[0].tolist() != own:
        raise ConfigError(
            f"{source.source}: its tokenizer {type(wrapper).__name__} does something that "
            "tokenizer.json does not say; such tokenizers are not supported"
        )


def _longest(text: Any, model_max_length: int) -> int:
    """Maximum number of tokens: by the tokenizer, and by the text tower's positions."""
    positions = int(text.max_position_embeddings)
    if "roberta" in type(text).__name__.lower() or text.model_type.startswith("altclip"):
        positions -= text.pad_token_id + 1  # the first ones are for padding
    return min(positions, model_max_length)
