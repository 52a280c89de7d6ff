"""Queries to calibrate a model with, made from captions: some have an answer, some have none.

With an answer: captions, words and phrases, as people type them. A photo answers a word or a phrase
if a caption of it has it. Without an answer: names of things of which no caption speaks, such as
`spaceship`; captions and words of another collection that name such a thing; and nonsense.
"""

import re
import string
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from typing import NamedTuple, TypeVar

import numpy as np

from hgan.data.captions.types import Captions
from hgan.runtime.explain import FUNCTION_WORDS

SENTENCES, WORDS, PHRASES, NONSENSE = 300, 250, 250, 50
"""Number of queries of each kind and collection."""
Item = TypeVar("Item")
_WORD = re.compile(r"[^\W\d_]+")


class JudgedQuery(NamedTuple):
    """A text to search for, and what is right."""

    text: str
    answers: frozenset[int]
    """Rows of the photos that answer it; empty if no photo does."""


def words_of(text: str) -> list[str]:
    """The words of a text, in lower case."""
    return _WORD.findall(text.lower())


def stem(word: str) -> str:
    """A word without the s of the plural."""
    return word[:-1] if word.endswith("s") and len(word) > 3 else word


def things() -> list[str]:
    """Names of things that people take photos of, or do not."""
    text = resources.files("hgan.export").joinpath("things.txt").read_text("utf-8")
    return text.splitlines()


@dataclass(frozen=True, eq=False)
class Collection:
    """The captions of the photos of a collection."""

    captions: list[list[str]]
    """The captions of each photo."""

    @classmethod
    def of(cls, captions: Captions) -> "Collection":
        """The photos of a data set."""
        return cls([[captions.texts[row] for row in rows] for rows in captions.of_image()])

    def __add__(self, other: "Collection") -> "Collection":
        return Collection(self.captions + other.captions)

    @cached_property
    def words(self) -> list[list[list[str]]]:
        """The words of each caption of each photo."""
        return [[words_of(text) for text in texts] for texts in self.captions]

    @cached_property
    def stems(self) -> list[set[str]]:
        """The stems in the captions of each photo."""
        return [{stem(word) for words in photo for word in words} for photo in self.words]

    def answers(self, text: str) -> frozenset[int]:
        """The photos whose captions have all words of a text that are no function words."""
        wanted = {stem(word) for word in words_of(text) if word not in FUNCTION_WORDS}
        return frozenset(row for row, found in enumerate(self.stems) if wanted <= found)

    def lacks(self, text: str) -> bool:
        """Whether a word of a text that is no function word is in no caption."""
        known = set().union(*self.stems)
        return any(stem(word) not in known | FUNCTION_WORDS for word in words_of(text))


def with_answer(collection: Collection, rng: np.random.Generator) -> list[JudgedQuery]:
    """Captions, words that most captions of a photo have, and phrases that two captions have."""
    queries = []
    for row in _some(range(len(collection.captions)), SENTENCES, rng):
        texts = collection.captions[row]
        queries.append(JudgedQuery(_sentence(texts[rng.integers(len(texts))]), frozenset([row])))
    named: Counter[str] = Counter()
    for photo in collection.words:
        counts = Counter(word for words in photo for word in set(words))
        named.update(word for word, count in counts.items() if 2 * count > len(photo))
    words = sorted(word for word in named if word not in FUNCTION_WORDS and len(word) > 2)
    twice = sorted(text for text, count in phrases(collection, 2, 4).items() if count >= 2)
    for text in (*_some(words, WORDS, rng), *_some(twice, PHRASES, rng)):
        queries.append(JudgedQuery(text, collection.answers(text)))
    return queries


def without_answer(
    collection: Collection,
    others: Sequence[JudgedQuery],
    concrete: set[str],
    rng: np.random.Generator,
) -> list[JudgedQuery]:
    """Things that no caption names, queries for things of other collections, and nonsense.

    Args:
        collection: the collection.
        others: queries of other collections.
        concrete: stems of words for things that one can see.
        rng: chooses.
    """
    known = set().union(*collection.stems)
    absent = [text for text in things() if collection.lacks(text)]
    foreign = [
        query.text
        for query in others
        if any(stem(word) in concrete - known for word in words_of(query.text))
    ]
    letters = list(string.ascii_lowercase)
    nonsense = ["".join(rng.choice(letters, rng.integers(4, 10))) for _ in range(NONSENSE)]
    texts = (*absent, *_some(foreign, SENTENCES, rng), *nonsense)
    return [JudgedQuery(text, frozenset()) for text in dict.fromkeys(texts)]


def phrases(collection: Collection, shortest: int, longest: int) -> Counter[str]:
    """Sequences of words that do not begin or end with a function word, and the number of photos
    of which a caption has them."""
    found: Counter[str] = Counter()
    for photo in collection.words:
        found.update({text for words in photo for text in _phrases(words, shortest, longest)})
    return found


def _phrases(words: Sequence[str], shortest: int, longest: int) -> Iterator[str]:
    for length in range(shortest, longest + 1):
        for start in range(len(words) - length + 1):
            part = words[start : start + length]
            if not FUNCTION_WORDS & {part[0], part[-1]}:
                yield " ".join(part)


def _sentence(caption: str) -> str:
    """A caption as it is typed in a search: without the space and the full stop at its end."""
    return caption.rstrip(" .")


def _some(items: Sequence[Item], count: int, rng: np.random.Generator) -> list[Item]:
    """At most so many of the items, at random."""
    return [items[row] for row in rng.permutation(len(items))[:count]]
