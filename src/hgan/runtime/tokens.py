"""Convert texts to token ids, in the same way for a bundle and a checkpoint."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hgan.errors import DataError

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer


class TextReader:
    """A tokenizer with the limits of one model."""

    def __init__(self, tokenizer: "Tokenizer", max_words: int) -> None:
        """Configure a tokenizer.

        Args:
            tokenizer: its truncation and padding are set here; pass a copy if others use it. If it
                pads already, as that of a model that wants all texts padded to one length, its
                token, side and length of padding are kept.
            max_words: maximum number of tokens of a text, including the start and end tokens.

        Raises:
            ValueError: the tokenizer pads texts to another length than `max_words`.
        """
        tokenizer.enable_truncation(max_words)
        tokenizer.enable_padding(**_padding(tokenizer, max_words))
        self._tokenizer = tokenizer
        self._unknown = tokenizer.token_to_id("[UNK]")

    def ids(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Token ids and mask of texts, (N, W) int64 each; longer texts are truncated.

        Raises:
            DataError: a text contains no words.
        """
        encodings = self._encodings(texts)
        ids = np.array([encoding.ids for encoding in encodings], np.int64)
        return ids, np.array([encoding.attention_mask for encoding in encodings], np.int64)

    def words(self, text: str) -> list[tuple[int, int] | None]:
        """Start and end of each token's word in a text.

        All tokens of a word have the start and end of that word; the start and end tokens have
        None.

        Raises:
            DataError: the text contains no words.
        """
        [encoding] = self._encodings([text])
        return [
            None if word is None else encoding.word_to_chars(word) for word in encoding.word_ids
        ]

    def is_token(self, word: str) -> bool:
        """Whether a word is one token, and not the one for unknown words."""
        [encoding] = self._tokenizer.encode_batch([word.encode("utf-8", "replace").decode()])
        special = zip(encoding.ids, encoding.special_tokens_mask, strict=True)
        ids = [key for key, is_special in special if not is_special]
        return len(ids) == 1 and ids[0] != self._unknown

    def _encodings(self, texts: Sequence[str]) -> "list[Encoding]":
        # Tokenizers reject unpaired surrogates, which badly encoded command-line arguments contain.
        clean = [text.encode("utf-8", "replace").decode() for text in texts]
        encodings = self._tokenizer.encode_batch(clean)
        for text, encoding in zip(texts, encodings, strict=True):
            if all(encoding.special_tokens_mask):
                raise DataError(f"{text!r} has no words in it; describe what the photo shows")
        return encodings


def _padding(tokenizer: "Tokenizer", max_words: int) -> dict[str, Any]:
    """Arguments for `Tokenizer.enable_padding`."""
    own = tokenizer.padding
    if own is None:
        return {"pad_id": tokenizer.token_to_id("[PAD]") or 0}
    if own["length"] not in (None, max_words):
        raise ValueError(f"it pads texts to {own['length']} tokens, but must pad to {max_words}")
    return {name: own[name] for name in ("direction", "pad_id", "pad_token", "length")}
