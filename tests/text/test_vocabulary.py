"""Words, split and numbered as in SCAN, from SCAN's files and from captions."""

import json
import os
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from hgan.errors import DataError
from hgan.text.vocabulary import SPECIALS, count_words, read_vocabulary, word_tokenizer

SPECIAL_IDS = {token: i for i, token in enumerate(SPECIALS)}
SPLITTER = word_tokenizer(SPECIAL_IDS)
SCAN_TEXT = Path(os.environ.get("HGAN_DATA", "data")) / "scan_text"


def split(text: str) -> list[str]:
    """The words of a text, known or not."""
    clean = SPLITTER.normalizer.normalize_str(text)
    return [word for word, _ in SPLITTER.pre_tokenizer.pre_tokenize_str(clean)]


def scan_captions(name: str) -> list[str]:
    path = SCAN_TEXT / name
    if not path.is_file():
        pytest.skip(f"no SCAN captions at {path}; set HGAN_DATA")
    return path.read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow)
        for name in ("coco/testall_caps.txt", "f30k/test_caps.txt")
    ],
)
def test_real_captions_are_split_as_nltk_splits_them(name: str) -> None:
    nltk = pytest.importorskip("nltk.tokenize")
    captions, reference = scan_captions(name), nltk.NLTKWordTokenizer()
    assert len(captions) >= 5000
    same = sum(split(text) == reference.tokenize(text.lower()) for text in captions)
    assert same / len(captions) >= 0.999


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("A dog, two cats; one HORSE!", "a dog , two cats ; one horse !"),
        ("It doesn't, they're, I'd, we'll, he's", "it does n't , they 're , i 'd , we 'll , he 's"),
        ("does n't they 're", "does n't they 're"),
        ("the dogs' race, a dog's, o'clock", "the dogs ' race , a dog 's , o'clock"),
        ("a 'stop' sign, rock 'n' roll", "a ' stop ' sign , rock 'n ' roll"),
        ("I cannot; gonna, gimme, wanna", "i can not ; gon na , gim me , wan na"),
        ("at 10:30, 3,000 of them: 90%", "at 10:30 , 3,000 of them : 90 %"),
        ('a "stop" sign', "a `` stop '' sign"),
        ('"stop" (it "says")', "`` stop '' ( it `` says '' )"),
        ("black-and-white, and/or--well...", "black-and-white , and/or -- well ..."),
        ("He runs. It sits.", "he runs . it sits ."),
        ("mr. smith in the u.s. of a.", "mr. smith in the u.s. of a ."),
        ("wait.. <unk> [b]", "wait .. < unk > [ b ]"),
        ("Übung 雪地里的狗 🐕", "übung 雪地里的狗 🐕"),
        (" \t ", ""),
    ],
)
def test_words_stand_apart_from_punctuation_and_clitics(text: str, words: str) -> None:
    assert split(text) == words.split()


@given(st.text(alphabet="abcnts'\".,:-` ()d", max_size=30))
def test_splitting_loses_nothing_but_space(text: str) -> None:
    words = split(text)
    same_quotes = str.maketrans({'"': "''", "`": "'"})
    assert "".join(words).translate(same_quotes) == "".join(text.split()).translate(same_quotes)
    assert all(words)


def test_a_caption_stands_between_its_ends() -> None:
    words = SPECIAL_IDS | {"a": 4, "dog": 5, "n't": 6}
    tokenizer = word_tokenizer(words)
    assert tokenizer.encode("A dog don't").ids == [1, 4, 5, 3, 6, 2]
    assert tokenizer.encode("A dog don't").special_tokens_mask == [1, 0, 0, 0, 0, 1]
    assert tokenizer.encode("").ids == [1, 2]
    # Written in a caption, the names of special tokens are words like others.
    assert tokenizer.encode("<end> a <pad>").ids == [1, 3, 3, 3, 4, 3, 3, 3, 2]


def test_a_saved_tokenizer_splits_as_before(tmp_path: Path) -> None:
    tokenizer = word_tokenizer(count_words(["the dog's \"big\" ears don't move. so."] * 4))
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    again = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    for text in ("The dog's ears.", 'a "big" dog don\'t', ""):
        assert again.encode(text).ids == tokenizer.encode(text).ids
    assert again.get_vocab() == tokenizer.get_vocab()


# --- words of captions


def test_words_seen_four_times_are_known_the_most_frequent_first() -> None:
    words = count_words(["A dog runs.", "a dog", "A dog sits.", "a dog.", "a cat runs."])
    assert words == SPECIAL_IDS | {"a": 4, ".": 5, "dog": 6}


def test_the_order_of_captions_does_not_matter() -> None:
    rng = random.Random(0)
    captions = [" ".join(rng.choices([f"w{i}" for i in range(40)], k=9)) for _ in range(60)]
    expected = count_words(captions)
    assert len(expected) > 30
    for _ in range(3):
        rng.shuffle(captions)
        assert count_words(captions) == expected


def test_of_a_tiny_corpus_every_word_is_unknown() -> None:
    assert count_words(["a dog", "a cat"]) == SPECIAL_IDS
    tokenizer = word_tokenizer(count_words(["a dog", "a cat"]))
    assert tokenizer.encode("a dog").ids == [1, 3, 3, 2]


# --- SCAN's files


@pytest.mark.parametrize(
    ("name", "size", "captions", "unknown"),
    [
        ("coco", 11_353, "coco/testall_caps.txt", 0.006),
        ("f30k", 8_481, "f30k/test_caps.txt", 0.011),
    ],
)
def test_the_vocabularies_of_the_field_know_nearly_all_words(
    name: str, size: int, captions: str, unknown: float
) -> None:
    texts = scan_captions(captions)
    words = read_vocabulary(SCAN_TEXT / "vocab" / f"{name}_precomp_vocab.json")
    assert len(words) == size
    ids = [i for found in word_tokenizer(words).encode_batch(texts) for i in found.ids[1:-1]]
    assert ids.count(SPECIAL_IDS["<unk>"]) / len(ids) < unknown


def scan_file(**changes: Any) -> dict[str, Any]:
    words = SPECIAL_IDS | {"dog": 4, "cat": 5}
    reverse = {str(i): word for word, i in words.items()}
    return {"word2idx": words, "idx2word": reverse, "idx": len(words)} | changes


def test_a_file_of_scans_form_is_read(tmp_path: Path) -> None:
    path = tmp_path / "vocab.json"
    path.write_text(json.dumps(scan_file()))
    assert read_vocabulary(path) == SPECIAL_IDS | {"dog": 4, "cat": 5}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not JSON"),
        (b"\x80\x04\x95", "not JSON in UTF-8"),
        ("[]", "no word2idx"),
        ('{"word2idx": ["dog"]}', "no word2idx"),
        (scan_file(word2idx=SPECIAL_IDS | {"dog": "4"}), "id of 'dog' is '4'"),
        (scan_file(word2idx=SPECIAL_IDS | {"dog": True}), "id of 'dog' is True"),
        (scan_file(word2idx=SPECIAL_IDS | {"dog": 4, "cat": 4}), "none has id 5"),
        (scan_file(word2idx=SPECIAL_IDS | {"dog": 4, "cat": 6}), "none has id 5"),
        (scan_file(word2idx=SPECIAL_IDS | {"dog": -1}), "none has id 4"),
        (scan_file(word2idx={"dog": 0}), "<pad> must have id 0, not None"),
        (scan_file(word2idx=SPECIAL_IDS | {"<end>": 4, "dog": 2}), "<end> must have id 2, not 4"),
        (scan_file(word2idx=SPECIAL_IDS | {"\ud800": 4}), "is not text"),
        (scan_file(idx2word={"0": "dog"}), "not the reverse"),
        (scan_file(idx2word=None), "not the reverse"),
    ],
)
def test_a_malformed_vocabulary_is_refused(
    tmp_path: Path, content: str | bytes | dict[str, Any], message: str
) -> None:
    path = tmp_path / "vocab.json"
    if isinstance(content, dict):
        content = json.dumps(content)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError, match=message) as raised:
        read_vocabulary(path)
    assert str(path) in str(raised.value)


def test_a_missing_vocabulary_is_an_error_of_the_data(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"vocab\.json: the vocabulary cannot be read"):
        read_vocabulary(tmp_path / "vocab.json")
