"""Negation in plain words: `a beach without people`, `a street, no cars`, `flowers but not roses`.

What follows `without`, `no` or `not` is left out of the words, and becomes what photos should not
show. Words stay words when that is not certain, as in `no smoking sign` or `not on a leash`.
"""

import re
from typing import NamedTuple

_TOKEN = re.compile(r"\"[^\"]*\"|[^\W_]+(?:['’-][^\W_]+)*|[^\s\w]", re.UNICODE)


def _listed(words: str) -> frozenset[str]:
    return frozenset(words.split())


_ARTICLES = _listed("a an the any")
_ENDS = _listed("""
    about above across after against along among around as at because before behind below beneath
    beside between beyond but by down during except for from if in inside into is are like near next
    on onto outside over past that through to toward towards under until up upon was were when where
    while who with within without no not
""")
"""Words that end what is negated: prepositions and the like, which may belong to the rest."""
_SIGNS = _listed("sign signs symbol symbols sticker stickers logo logos poster posters")
"""`no smoking sign` is a sign."""
_NEVER = _listed("access doubt entry exit idea longer matter more one place problem vacancy way")
"""Words after `no` that are not left out of a photo."""
_MASS = _listed("""
    people person children men women humans animal snow water grass rain fog smoke sand sky sun ice
    hair food text traffic furniture clothing vegetation sheep fish cattle light sunlight fire
    makeup jewelry graffiti trash litter wildlife
""")
"""Words without an `s` that follow `no`, as plurals do."""
_LONGEST = 4
"""Maximum number of words that are left out together; a longer phrase is a clause."""


class Negation(NamedTuple):
    """What photos should not show, and where it says so."""

    start: int
    end: int
    without: tuple[str, ...]


class _Token(NamedTuple):
    start: int
    end: int
    text: str
    word: str
    """In lower case; empty for quotes and punctuation."""


def negations(text: str) -> list[Negation]:
    """The negations in a text, in their order."""
    tokens = [
        _Token(one.start(), one.end(), one[0], one[0].lower() if one[0][0].isalnum() else "")
        for one in _TOKEN.finditer(text)
    ]
    found: list[Negation] = []
    at = 0
    while at < len(tokens):
        read = _negation(tokens, at)
        if read is None:
            at += 1
            continue
        phrases, after = read
        first = _begin(tokens, at)
        found.append(Negation(tokens[first].start, tokens[after - 1].end, tuple(phrases)))
        at = after
    return found


def _negation(tokens: list[_Token], at: int) -> tuple[list[str], int] | None:
    """The phrases after a negating word, and the token after them."""
    trigger = tokens[at].word
    before = tokens[at - 1].word if at else ""
    if trigger not in ("without", "no", "not"):
        return None
    phrases: list[str] = []
    end = at + 1
    while (phrase := _phrase(tokens, end)) is not None:
        words, after = phrase
        if trigger == "no" and not _is_left_out(words, before):
            break
        if trigger == "not" and not (phrases or words[0] in _ARTICLES or before == "but"):
            break
        phrases.append(_text(tokens[end:after]))
        end = after
        if not _continues(tokens, end):
            break
        end += 1
    if phrases and end < len(tokens) and tokens[end - 1].word in ("and", "or", "nor"):
        end -= 1  # what follows it is not negated
    return (phrases, end) if phrases else None


def _phrase(tokens: list[_Token], at: int) -> tuple[list[str], int] | None:
    """The words of a noun with what is before it; None if there is none, or it is too long."""
    end = at
    while end < len(tokens) and (tokens[end].word or tokens[end].text[0] == '"'):
        if tokens[end].word in _ENDS or tokens[end].word in ("and", "or", "nor"):
            break
        end += 1
    words = [token.word or token.text.strip('"') for token in tokens[at:end]]
    nouns = [word for word in words if word not in _ARTICLES]
    if not any(word.strip() for word in nouns) or len(nouns) > _LONGEST:
        return None
    return words, end


def _is_left_out(words: list[str], before: str) -> bool:
    """Whether `no` before these words means that photos should not show it."""
    last = words[-1]
    if words[0].isdigit() or words[0] in _NEVER or last in _SIGNS or last.endswith("ing"):
        return False
    plural = last.endswith("s") and not last.endswith("ss")
    return plural or last in _MASS or before in ("with", "but", "are", "is")


def _continues(tokens: list[_Token], at: int) -> bool:
    """Whether `and` or `or` continues a list, as in `without people or cars`."""
    if at + 1 >= len(tokens) or tokens[at].word not in ("and", "or", "nor"):
        return False
    # Without a collar and a dog: the dog may be wanted.
    return tokens[at].word != "and" or tokens[at + 1].word not in _ARTICLES


def _begin(tokens: list[_Token], at: int) -> int:
    """The first token of what introduces a negation: `with no`, `but no`, `where there are no`."""
    first = at
    if first and tokens[first - 1].word in ("is", "are"):
        if first < 2 or tokens[first - 2].word != "there":
            return first
        first -= 2
    if first and tokens[first - 1].word in ("with", "but", "and", "where"):
        first -= 1
    if first and tokens[first - 1].text == ",":
        first -= 1
    return first


def _text(tokens: list[_Token]) -> str:
    """The words of a phrase, without quotes and `any`."""
    words = [token.text.strip('"') for token in tokens if token.word != "any"]
    return " ".join(" ".join(words).split())
