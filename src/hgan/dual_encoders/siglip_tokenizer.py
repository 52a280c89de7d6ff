"""SigLIP's tokenizer, which Hugging Face has only in a slow form, as a fast one.

It is a unigram model of SentencePiece on texts in lower case without punctuation (`spiece.model`).
"""

import string
from typing import Any

from tokenizers import Regex, Tokenizer
from tokenizers.models import Unigram
from tokenizers.normalizers import Lowercase, Precompiled, Replace, Strip
from tokenizers.normalizers import Sequence as Normalizers
from tokenizers.pre_tokenizers import Metaspace
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast
from transformers.convert_slow_tokenizer import import_protobuf

from hgan.errors import ConfigError
from hgan.hub import HubModel

MAX_WORDS = 64
"""Tokens of a text, unless the settings say otherwise."""


def siglip_tokenizer(source: HubModel, settings: dict[str, Any]) -> PreTrainedTokenizerFast:
    """A fast tokenizer with the ids of `transformers.SiglipTokenizer`.

    Args:
        source: the model.
        settings: content of its `tokenizer_config.json`.

    Raises:
        ConfigError: the model has no SentencePiece file, or it is damaged or not a unigram model.
    """
    path = source.file("spiece.model")
    if path is None:
        raise ConfigError(f"{source.source}: has no tokenizer (spiece.model is missing)")
    try:
        proto = import_protobuf().ModelProto()  # type: ignore[no-untyped-call]
        proto.ParseFromString(path.read_bytes())
        if proto.trainer_spec.model_type != proto.trainer_spec.UNIGRAM:
            raise ValueError("it is not a unigram model")
        tokenizer = _convert(proto, settings.get("do_lower_case", True))
    except Exception as error:  # protobuf and tokenizers raise errors of their own
        raise ConfigError(f"{source.source}: spiece.model is not SigLIP's ({error})") from error
    end = _token(settings, "eos_token", "</s>")
    tokenizer.post_processor = TemplateProcessing(
        single=f"$A {end}", special_tokens=[(end, tokenizer.token_to_id(end))]
    )
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer,
        eos_token=end,
        unk_token=_token(settings, "unk_token", "<unk>"),
        pad_token=_token(settings, "pad_token", "</s>"),
        model_max_length=settings.get("model_max_length", MAX_WORDS),
        padding_side=settings.get("padding_side", "right"),
        model_input_names=settings.get("model_input_names", ["input_ids", "attention_mask"]),
    )


def _convert(proto: Any, lower: bool) -> Tokenizer:
    pieces = [(piece.piece, piece.score) for piece in proto.pieces]
    tokenizer = Tokenizer(Unigram(pieces, unk_id=proto.trainer_spec.unk_id))
    steps: list[Any] = [Replace("▁", " ")]
    if lower:
        steps.append(Lowercase())
    punctuation = "".join(f"\\{mark}" for mark in string.punctuation)
    steps += [Replace(Regex(f"[{punctuation}]"), ""), Replace(Regex(r"\s+"), " "), Strip()]
    if charsmap := proto.normalizer_spec.precompiled_charsmap:
        steps += [Precompiled(charsmap), Replace(Regex(" {2,}"), " "), Strip()]
    tokenizer.normalizer = Normalizers(steps)
    tokenizer.pre_tokenizer = Metaspace(replacement="▁", prepend_scheme="always")
    return tokenizer


def _token(settings: dict[str, Any], name: str, default: str) -> str:
    """A special token of the settings, which may be described by an object."""
    found = settings.get(name, default)
    return str(found["content"] if isinstance(found, dict) else found)
