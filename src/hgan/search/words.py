"""Words of a query that the model does not know, and what may have been meant.

A text tower encodes anything, so a typing error or a word of another language gives confident hits
for nothing. A word is known if it is among the words that the model learned from, or if the
tokenizer has it as one token, because it is frequent in the text that the encoder was trained on.
"""

import difflib
import re
import unicodedata
from collections.abc import Callable, Sequence
from typing import NamedTuple

from hgan.terminal import visible

MOST = 3
"""Maximum number of words that are reported."""
ALIKE = 0.8
"""Smallest similarity of a suggestion, see `difflib.SequenceMatcher.ratio`."""
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")


class Unknown(NamedTuple):
    """A word that the model does not know."""

    word: str
    meant: str | None
    """A known word that is spelled nearly the same; None if there is none."""

    def __str__(self) -> str:
        word = visible(self.word)
        hint = f"; did you mean “{self.meant}”?" if self.meant else ""
        return f"The model does not know “{word}”{hint}"


def unknown_words(
    text: str, vocabulary: Sequence[str], is_token: Callable[[str], bool]
) -> list[Unknown]:
    """The first `MOST` words of a text, and symbols such as emoji, that an English model does not
    know.

    Args:
        text: the text.
        vocabulary: words that the model learned from, in lower case, most frequent first.
        is_token: whether the tokenizer has a word as one token.
    """
    known = set(vocabulary)
    found: list[Unknown] = []
    for word in dict.fromkeys([*_WORD.findall(text), *_symbols(text)]):
        if len(found) == MOST:
            break
        plain = _plain(word)
        if not plain.isascii() or not plain:
            found.append(Unknown(word, None))
        elif plain not in known and not is_token(plain):
            close = difflib.get_close_matches(plain, vocabulary, n=1, cutoff=ALIKE)
            found.append(Unknown(word, close[0] if close else None))
    return found


def corrected(text: str, unknown: Sequence[Unknown]) -> str | None:
    """The text with what was meant in place of unknown words; None if nothing is suggested."""
    meant = {found.word: found.meant for found in unknown if found.meant}
    if not any(word in meant for word in _WORD.findall(text)):
        return None
    return _WORD.sub(lambda match: meant.get(match[0], match[0]), text)


def _plain(word: str) -> str:
    """A word in lower case without accents, as in `café`, which English writes both ways."""
    decomposed = unicodedata.normalize("NFKD", word.lower())
    return "".join(letter for letter in decomposed if not unicodedata.combining(letter))


def _symbols(text: str) -> list[str]:
    return [letter for letter in text if unicodedata.category(letter) == "So"]
