"""Sentences to word ids, as in SCAN: words in lower case, split as NLTK does.

A vocabulary is read from a file that SCAN (Lee et al., ECCV 2018) is distributed with, or counted
over training captions by SCAN's rule.
"""

import json
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

SPECIALS = PAD, START, END, UNKNOWN = "<pad>", "<start>", "<end>", "<unk>"
"""The first words of every vocabulary, in the order of their ids."""
LEAST_COUNT = 4
"""Words with fewer occurrences in the training captions are unknown, as in SCAN."""
MOST_WORDS = 10_000_000
"""No limit in practice: the trainer needs one."""

_OPENING_QUOTE = r"""\A"|(?<=[ (\[{<])(?:"|'')"""
"""Opening quotes, which NLTK writes as ``; every other double quote becomes ''."""
_BREAKS = "|".join(
    (
        r"`+|''|[«“‘„»”’]",
        r"[;@#$%&?!*\[\](){}<>]|--|[\u2012-\u2015]",
        r"[:,](?!\d)",
        r"\.{2,}",
        r"(?<=[^.])\.(?=[\])}>'»”’\s]*\z)",
        # The end of a sentence within the caption; an abbreviation keeps its full stop.
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
"""Parts of words that NLTK splits off: don't is do n't, dogs' is dogs ', cannot is can not."""
_SURROGATE = re.compile("[\ud800-\udfff]")


def word_tokenizer(words: dict[str, int]) -> Tokenizer:
    """A tokenizer that gives `<start> word ... <end>`, split as by NLTK's word_tokenize.

    Args:
        words: ids by word, specials included; all other words become `<unk>`.
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
    """A vocabulary of the words that occur at least four times, the most frequent first.

    Args:
        texts: training captions, never those of other splits.
    """
    tokenizer = word_tokenizer({token: i for i, token in enumerate(SPECIALS)})
    trainer = WordLevelTrainer(
        vocab_size=MOST_WORDS,
        min_frequency=LEAST_COUNT,
        special_tokens=list(SPECIALS),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer.get_vocab()


def read_vocabulary(path: Path) -> dict[str, int]:
    """Ids by word of a SCAN vocabulary file (JSON: word2idx, idx2word, idx).

    Raises:
        DataError: the file is missing, is not JSON, or its ids contradict each other.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
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
    """What is wrong with the content of a vocabulary file."""
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
