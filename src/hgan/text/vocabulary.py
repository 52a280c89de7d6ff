"""Vocabulary and word tokenizer of SCAN: words in lower case, split as by NLTK.

A vocabulary is read from a file of SCAN (Lee et al., ECCV 2018), or built from training captions
with the same rule.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tokenizers import Regex, Tokenizer
from tokenizers.models import WordLevel
from tokenizers.normalizers import Lowercase, Replace
from tokenizers.normalizers import Sequence as Normalizers
from tokenizers.pre_tokenizers import Sequence as Splitters
from tokenizers.pre_tokenizers import Split, WhitespaceSplit
from tokenizers.processors import TemplateProcessing
from tokenizers.trainers import WordLevelTrainer

from hgan.errors import DataError
from hgan.files import parse_json

SPECIALS = PAD, START, END, UNKNOWN = "<pad>", "<start>", "<end>", "<unk>"
"""Special tokens, which are the first words of every vocabulary, in the order of their ids."""
MIN_COUNT = 4
"""Words that occur less often in the training captions become `<unk>`, as in SCAN."""
MAX_WORDS = 10_000_000
"""Maximum size of a vocabulary; the trainer needs a limit, which is not reached in practice."""

_OPENING_QUOTE = r"""\A"|(?<=[ (\[{<])(?:"|'')"""
"""Opening quotes, which NLTK replaces by ``; all other double quotes are replaced by ''."""
_BREAKS = "|".join(
    (
        r"`+|''|[«“‘„»”’]",
        r"[;@#$%&?!*\[\](){}<>]|--|[\u2012-\u2015]",
        r"[:,](?!\d)",
        r"\.{2,}",
        r"(?<=[^.])\.(?=[\])}>'»”’\s]*\z)",
        # A full stop at the end of a sentence within the caption, but not after an abbreviation.
        r"(?<!\b\w|\bmr|\bmrs|\bms|\bdr|\bst|\bjr|\bsr|\.)\.(?=\s)",
    )
)
"""Characters that are always separate words."""
_CLITICS = "|".join(
    (
        rf"(?<=[^'\s])(?:'[smd]|'ll|'re|'ve|n't|')(?=\s|\z|{_BREAKS})",
        r"(?<!\w)'(?!(?:re|ve|ll|m|t|s|d|n)\b)(?=\w)",
        r"\bcan(?=not\b)|\bgim(?=me\b)|\blem(?=me\b)|\bgot(?=ta\b)|\bgon(?=na\b)|\bwan(?=na(?:\s|\z))",
        r"\bd(?='ye\b)|\bmore(?='n\b)",
    )
)
"""Parts of words that NLTK splits: don't to do n't, dogs' to dogs ', cannot to can not."""
_SURROGATE = re.compile("[\ud800-\udfff]")


def word_tokenizer(words: dict[str, int]) -> Tokenizer:
    """A tokenizer that returns `<start> word ... <end>`, split as by NLTK's `word_tokenize`.

    Args:
        words: ids by word, including special tokens; all other words become `<unk>`.
    """
    tokenizer = Tokenizer(WordLevel(words, unk_token=UNKNOWN))
    tokenizer.normalizer = Normalizers(
        [Lowercase(), Replace(Regex(_OPENING_QUOTE), "``"), Replace('"', "''")]
    )
    tokenizer.pre_tokenizer = Splitters(
        [Split(Regex(f"{_BREAKS}|{_CLITICS}"), "isolated"), WhitespaceSplit()]
    )
    tokenizer.post_processor = TemplateProcessing(
        single=f"{START} $A {END}",
        special_tokens=[(token, SPECIALS.index(token)) for token in (START, END)],
    )
    return tokenizer


def count_words(texts: Sequence[str]) -> dict[str, int]:
    """Build a vocabulary of the words that occur at least four times, the most frequent first.

    Args:
        texts: captions of the training split.
    """
    tokenizer = word_tokenizer({token: i for i, token in enumerate(SPECIALS)})
    trainer = WordLevelTrainer(
        vocab_size=MAX_WORDS,
        min_frequency=MIN_COUNT,
        special_tokens=list(SPECIALS),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer.get_vocab()


def read_vocabulary(path: Path) -> dict[str, int]:
    """Read ids by word from a SCAN vocabulary file (JSON: word2idx, idx2word, idx).

    Raises:
        DataError: the file is missing or not JSON, or its ids are inconsistent.
    """
    try:
        values = parse_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{path}: the vocabulary cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise DataError(
            f"{path}: not JSON in UTF-8 ({error}); a SCAN vocabulary is `vocab/*.json`"
        ) from error
    problem = _problem(values)
    if problem:
        raise DataError(f"{path}: not a SCAN vocabulary: {problem}")
    return dict(values["word2idx"])


def _problem(values: Any) -> str | None:
    """A problem of the content of a vocabulary file, or None."""
    if not isinstance(values, dict) or not isinstance(values.get("word2idx"), dict):
        return "it has no word2idx, an object of ids by word"
    words = values["word2idx"]
    for word, number in words.items():
        if type(number) is not int:
            return f"word2idx: the id of {word!r} is {number!r}, not a whole number"
        if _SURROGATE.search(word):
            return f"word2idx: {word!r} is not text"
    for number, token in enumerate(SPECIALS):
        if words.get(token) != number:
            return f"word2idx: {token} must have id {number}, not {words.get(token)}"
    missing = set(range(len(words))) - set(words.values())
    if missing:
        return f"word2idx: {len(words)} words, but none has id {min(missing)}"
    reverse = {str(number): word for word, number in words.items()}
    if values.get("idx2word", reverse) != reverse:
        return "idx2word is not the reverse of word2idx"
    return None
