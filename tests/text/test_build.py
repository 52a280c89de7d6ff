"""Text encoders by name and by description: each kind can be built again."""

import json
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer

from hgan.config import TextConfig
from hgan.data.batches.tokens import pad, tokenise
from hgan.errors import ConfigError, DataError
from hgan.text.bigru import BiGRUEncoder
from hgan.text.build import build_encoder, load_encoder
from hgan.text.encoder import TextEncoder
from hgan.text.transformer import TransformerEncoder
from hgan.text.vocabulary import SPECIALS
from tests.fixtures.tiny_model import write_tiny_bert

TEXTS = ["a red dog", "a dog", "a dog runs", "a dog runs"]
SPECIAL_IDS = {token: i for i, token in enumerate(SPECIALS)}


@pytest.fixture
def vocabulary(tmp_path: Path) -> Path:
    path = tmp_path / "vocab.json"
    path.write_text(json.dumps({"word2idx": SPECIAL_IDS | {"dog": 4, "red": 5, "runs": 6}}))
    return path


def assert_same(one: TextEncoder, other: TextEncoder, tokenizer: Tokenizer) -> None:
    batch = pad(tokenise(tokenizer, TEXTS, 12))
    with torch.inference_mode():
        expected, found = one.eval()(batch.ids, batch.mask), other.eval()(batch.ids, batch.mask)
    assert torch.equal(found.states, expected.states)
    assert torch.equal(found.words, expected.words)


@pytest.mark.parametrize("kind", ["bigru", "bert"])
def test_an_encoder_rebuilt_from_its_description_takes_the_weights(
    tmp_path: Path, kind: str
) -> None:
    name = kind if kind == "bigru" else str(write_tiny_bert(tmp_path / "bert"))
    encoder, tokenizer = load_encoder(TextConfig(name, trainable_layers=None), TEXTS)
    assert isinstance(encoder, BiGRUEncoder if kind == "bigru" else TransformerEncoder)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    description = json.loads(json.dumps(encoder.describe()))
    assert description["model_type"] == kind
    again_tokenizer = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    again = build_encoder(description, again_tokenizer)
    again.load_state_dict(encoder.state_dict(), strict=True)
    assert_same(encoder, again, again_tokenizer)


def test_words_are_counted_in_training_captions_where_no_vocabulary_is_named() -> None:
    _, tokenizer = load_encoder(TextConfig("bigru"), TEXTS)
    assert tokenizer.get_vocab() == SPECIAL_IDS | {"a": 4, "dog": 5}


def test_a_vocabulary_that_is_named_is_used(vocabulary: Path) -> None:
    encoder, tokenizer = load_encoder(TextConfig("bigru", vocabulary), TEXTS)
    assert tokenizer.encode("A red dog").ids == [1, 3, 5, 4, 2]
    assert encoder.embedding.num_embeddings == 7


def test_words_start_from_their_vectors_and_the_others_at_random(
    vocabulary: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    vectors = tmp_path / "glove.txt"
    vectors.write_text("dog 1 2 3\nzebra 4 5 6\nruns 7 8 9\n")
    encoder, _ = load_encoder(TextConfig("bigru", vocabulary, vectors), TEXTS)
    weight = encoder.embedding.weight
    assert weight[[4, 6]].tolist() == [[1, 2, 3], [7, 8, 9]]
    others = weight[[0, 1, 2, 3, 5]]
    assert weight.shape == (7, 3) and 0 < others.abs().max() <= 0.1
    assert weight.requires_grad and weight.is_leaf
    assert "2 of 7 words initialised from glove.txt" in " ".join(capsys.readouterr().err.split())
    again = build_encoder(encoder.describe(), load_encoder(TextConfig("bigru", vocabulary), [])[1])
    again.load_state_dict(encoder.state_dict(), strict=True)


def test_without_captions_or_vocabulary_there_are_no_words() -> None:
    with pytest.raises(ConfigError, match=r"text\.vocabulary.*SCAN vocabulary file"):
        load_encoder(TextConfig("bigru"), [])


def test_an_untrained_encoder_cannot_be_frozen() -> None:
    with pytest.raises(ConfigError, match=r"text\.trainable_layers"):
        load_encoder(TextConfig("bigru", trainable_layers=0), TEXTS)


def test_files_that_are_not_there_are_named(vocabulary: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.json"):
        load_encoder(TextConfig("bigru", tmp_path / "none.json"), TEXTS)
    with pytest.raises(DataError, match=r"none\.txt"):
        load_encoder(TextConfig("bigru", vocabulary, tmp_path / "none.txt"), TEXTS)
