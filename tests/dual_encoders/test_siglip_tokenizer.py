"""SigLIP's tokenizer in its fast form gives the ids of the slow one of `transformers`."""

from pathlib import Path

import pytest
import transformers as hf

from hgan.data.captions.read import read_captions
from hgan.dual_encoders.siglip_tokenizer import siglip_tokenizer
from hgan.errors import ConfigError
from hgan.hub import HubModel
from tests.fixtures.dual_encoders import TRAINED, write_spiece

ODD = [
    "",
    "!!!",
    "A Dog's ball!",
    "  two   dogs ",
    "ÀÉÎ Straße ΣΑΣ İstanbul",
    "日本語 の 犬",
    "a\tb\nc\u00a0d\u3000e",
    "▁under ▁score",
    "don't (stop) [it] {now} a-b a_b 1,000.5 ~ ^ | \\ / @ # $ % & * + = < >",
    "“quotes” — dash … ellipsis",
    "ﬁne ligature ½ ① Ⅷ",
    "emoji 🐕 dog",
    "x" * 200,
    "a  !  b",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("siglip")
    write_spiece(folder / "spiece.model", TRAINED)
    hf.SiglipTokenizer(str(folder / "spiece.model")).save_pretrained(folder)
    return folder


def both(folder: Path) -> tuple[hf.PreTrainedTokenizerBase, hf.PreTrainedTokenizerBase]:
    source = HubModel.find(folder)
    fast = siglip_tokenizer(source, source.json("tokenizer_config.json") or {})
    return fast, hf.SiglipTokenizer.from_pretrained(folder)


@pytest.mark.parametrize("text", [*TRAINED[:6], *ODD])
def test_ids_are_the_same(folder: Path, text: str) -> None:
    fast, slow = both(folder)
    assert fast(text)["input_ids"] == slow(text)["input_ids"]
    padded = [each(text, padding="max_length", truncation=True) for each in (fast, slow)]
    assert padded[0]["input_ids"] == padded[1]["input_ids"]


def test_real_captions(folder: Path, flickr8k: Path) -> None:
    fast, slow = both(folder)
    texts = read_captions(flickr8k / "captions.jsonl").split("val").texts[::5]
    assert fast(texts)["input_ids"] == slow(texts)["input_ids"]


def test_case_is_kept_where_the_settings_say_so(folder: Path) -> None:
    source = HubModel.find(folder)
    settings = source.json("tokenizer_config.json") or {}
    fast = siglip_tokenizer(source, settings | {"do_lower_case": False})
    slow = hf.SiglipTokenizer.from_pretrained(folder, do_lower_case=False)
    assert fast("A DOG")["input_ids"] == slow("A DOG")["input_ids"] != fast("a dog")["input_ids"]


@pytest.mark.parametrize("content", [None, b"", b"not a model"])
def test_a_missing_or_damaged_file(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "spiece.model").write_bytes(content)
    with pytest.raises(ConfigError, match=r"spiece\.model is"):
        siglip_tokenizer(HubModel.find(tmp_path), {})
